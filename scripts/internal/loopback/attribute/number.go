package attribute

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// The range of a number, as powers of ten of its first digit, and its precision.
const (
	maxDigits    = 38
	maxMagnitude = 125
	minMagnitude = -130
)

var numeral = regexp.MustCompile(`^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?$`)

// Number is an exact decimal: coefficient times ten to the exponent. The
// coefficient has no trailing zero, so equal numbers have equal parts. A Number
// does not change, so that copies may share their digits; the zero Number is 0.
type Number struct {
	coefficient big.Int
	exponent    int
}

// ParseNumber reads a number. What has more than 38 significant digits, or lies
// outside 1E-130 … 9.99E+125, is refused.
func ParseNumber(text string) (Number, error) {
	parts := numeral.FindStringSubmatch(text)
	if parts == nil || parts[2]+parts[3] == "" {
		return Number{}, awsjson.Invalid("The parameter cannot be converted to a numeric value")
	}
	digits := strings.TrimLeft(parts[2]+parts[3], "0")
	if digits == "" {
		return Number{}, nil
	}
	return assemble(parts[1], digits, exponent(parts[4])-len(parts[3]))
}

func assemble(sign, digits string, exponent int) (Number, error) {
	significant := strings.TrimRight(digits, "0")
	n := Number{exponent: exponent + len(digits) - len(significant)}
	if len(significant) > maxDigits {
		return Number{}, errDigits()
	}
	if _, ok := n.coefficient.SetString(sign+significant, 10); !ok {
		return Number{}, awsjson.Invalid("The parameter cannot be converted to a numeric value")
	}
	return n.checked()
}

// exponent reads what stands after the E; whatever has more digits than any
// number can use is as good as infinite.
func exponent(text string) int {
	const infinite = 1 << 30
	n, err := strconv.Atoi(text)
	switch {
	case text == "":
		return 0
	case err != nil && strings.HasPrefix(text, "-"):
		return -infinite
	case err != nil:
		return infinite
	}
	return max(-infinite, min(n, infinite))
}

func errDigits() error {
	return awsjson.Invalid("Attempting to store more than 38 significant digits in a Number")
}

func (n Number) checked() (Number, error) {
	if n.coefficient.Sign() == 0 {
		return Number{}, nil
	}
	digits := n.digits()
	switch magnitude := len(digits) - 1 + n.exponent; {
	case len(digits) > maxDigits:
		return Number{}, errDigits()
	case magnitude > maxMagnitude:
		return Number{}, awsjson.Invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case magnitude < minMagnitude:
		return Number{}, awsjson.Invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return n, nil
}

// digits are the significant digits, without a sign.
func (n Number) digits() string { return strings.TrimPrefix(n.coefficient.String(), "-") }

// Add returns n + m, which must be a number itself.
func (n Number) Add(m Number) (Number, error) {
	var sum Number
	sum.exponent = min(n.exponent, m.exponent)
	sum.coefficient.Add(n.scaled(sum.exponent), m.scaled(sum.exponent))
	digits := sum.digits()
	sign := ""
	if sum.coefficient.Sign() < 0 {
		sign = "-"
	}
	if digits == "0" {
		return Number{}, nil
	}
	return assemble(sign, digits, sum.exponent)
}

// Negate returns -n.
func (n Number) Negate() Number {
	var m Number
	m.exponent = n.exponent
	m.coefficient.Neg(&n.coefficient)
	return m
}

// Compare is -1, 0 or 1.
func (n Number) Compare(m Number) int {
	low := min(n.exponent, m.exponent)
	return n.scaled(low).Cmp(m.scaled(low))
}

// scaled is the coefficient for a lower exponent; the range keeps it short.
func (n Number) scaled(exponent int) *big.Int {
	factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.exponent-exponent)), nil)
	return factor.Mul(factor, &n.coefficient)
}

// String writes the number as DynamoDB does: plainly, without an exponent.
func (n Number) String() string {
	digits, sign := n.digits(), ""
	if n.coefficient.Sign() < 0 {
		sign = "-"
	}
	switch point := len(digits) + n.exponent; {
	case n.exponent >= 0:
		return sign + digits + strings.Repeat("0", n.exponent)
	case point > 0:
		return sign + digits[:point] + "." + digits[point:]
	default:
		return sign + "0." + strings.Repeat("0", -point) + digits
	}
}

// size is what a number counts in an item: a byte for two digits, one for the
// exponent, and one more below zero.
func (n Number) size() int {
	size := (len(n.digits())+1)/2 + 1
	if n.coefficient.Sign() < 0 {
		size++
	}
	return size
}
