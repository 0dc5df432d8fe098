package dynamo_test

import (
	"fmt"
	"strings"
	"testing"
)

// The outcomes of a condition. Whatever else a row wants is a part of the
// message that refuses it.
const (
	holds = "holds"
	fails = "fails"
)

var conditions = []struct{ expression, want string }{
	// Comparison.
	{"n = :five", holds}, {"n = :fivezero", holds}, {"n = :one", fails}, {"n = :abc", fails}, {"n <> :one", holds}, {"n <> :five", fails},
	{"n <> :abc", holds}, {"n < :nine", holds}, {"n < :five", fails}, {"n <= :five", holds}, {"n > :one", holds}, {"n >= :nine", fails},
	{"s = :abc", holds}, {"s > :ab", holds}, {"s < :five", fails}, {"s > :five", fails}, {"b = :bin", holds}, {"b > :binab", holds}, {"b = :abc", fails},
	{"t = :yes", holds}, {"t = :no", fails}, {"z = :null", holds}, {"ss = :ss", holds}, {"ss = :ssbc", fails}, {"ns = :ns", holds},
	{"m.a = :one", holds}, {"m.deep.b = :abc", fails}, {"l[0] = :one", holds}, {"l[1] = :x", holds}, {"l[9] = :x", fails}, {"s.a = :one", fails}, {"m[0] = :one", fails},
	{":five = n", holds}, {"e = :empty", holds}, {"n < s", fails}, {"l[0] < n", holds},
	// What is missing.
	{"gone = :one", fails}, {"gone <> :one", holds}, {"gone < :one", fails}, {"NOT gone < :one", holds}, {"NOT gone = :one", holds},
	{"gone BETWEEN :one AND :five", fails}, {"gone IN (:one)", fails}, {"gone = absent", fails}, {"gone <> absent", holds},
	// Logic, its precedence, and parentheses.
	{"n = :one AND n = :five OR n = :five", holds}, {"n = :five OR n = :five AND n = :one", holds}, {"(n = :five OR n = :five) AND n = :one", fails},
	{"NOT n = :one AND n = :five", holds}, {"NOT (n = :one OR n = :nine)", holds}, {"NOT NOT n = :five", holds}, {"not n = :one and n = :five", holds},
	{"n = :one OR NOT n = :one", holds}, {"(n) = (:five)", holds}, {"(n = :five) AND (s = :abc)", holds}, {"NOT (NOT (n = :five))", holds},
	// BETWEEN and IN.
	{"n BETWEEN :one AND :nine", holds}, {"n BETWEEN :five AND :five", holds}, {"n BETWEEN :nine AND :nine", fails}, {"s BETWEEN :a AND :x", holds},
	{"s BETWEEN :one AND :nine", fails}, {"NOT n BETWEEN :one AND :two", holds}, {"n BETWEEN :one AND :nine AND s = :abc", holds}, {"n BETWEEN l[0] AND :nine", holds},
	{"n IN (:one, :five)", holds}, {"n IN (:one)", fails}, {"s IN (:abc, :five)", holds}, {"NOT n IN (:one)", holds}, {"ss IN (:ss)", holds},
	// Functions.
	{"attribute_exists(n)", holds}, {"attribute_exists(gone)", fails}, {"attribute_exists(m.deep.b)", holds}, {"attribute_exists(l[2])", holds}, {"attribute_exists(l[3])", fails},
	{"attribute_not_exists(gone)", holds}, {"attribute_not_exists(z)", fails}, {"attribute_not_exists(m.gone)", holds}, {"attribute_not_exists(gone.deeper)", holds},
	{"attribute_type(s, :S)", holds}, {"attribute_type(n, :S)", fails}, {"attribute_type(gone, :S)", fails}, {"NOT attribute_type(gone, :S)", holds},
	{"attribute_type(ss, :SS)", holds}, {"attribute_type(l, :L)", holds}, {"attribute_type(z, :NULL)", holds},
	{"begins_with(s, :ab)", holds}, {"begins_with(s, :x)", fails}, {"begins_with(s, :empty)", holds}, {"begins_with(b, :binab)", holds}, {"begins_with(n, :ab)", fails},
	{"begins_with(s, :binab)", fails}, {"begins_with(gone, :ab)", fails},
	{"contains(s, :ab)", holds}, {"contains(s, :x)", fails}, {"contains(ss, :a)", holds}, {"contains(ss, :ab)", fails}, {"contains(ns, :one)", holds}, {"contains(ns, :a)", fails},
	{"contains(bs, :binb)", holds}, {"contains(l, :x)", holds}, {"contains(l, :five)", fails}, {"contains(b, :binab)", holds}, {"contains(n, :five)", fails}, {"contains(gone, :a)", fails},
	{"size(s) = :five", fails}, {"size(ss) = :two", holds}, {"size(l) > size(ss)", holds}, {"size(m) = :two", holds}, {"size(b) BETWEEN :one AND :five", holds},
	{"size(n) = :one", fails}, {"size(gone) = :zero", fails}, {"size(e) = :zero", holds}, {"size(:abc) < n", holds}, {"size(l) IN (:one, :five)", fails},
	// Names.
	{"#n = :five", holds}, {"#m.#deep.#b = :x", fails}, {"#status = :one", fails}, {"attribute_not_exists(#ttl)", holds}, {"n=:five AND(s=:abc)", holds}, {"n\n=\t:five", holds},

	// Refused.
	{"", "The expression can not be empty;"},
	{"  ", "The expression can not be empty;"},
	{"n", "Syntax error"},
	{"n =", "Syntax error"},
	{"= :five", "Syntax error"},
	{"n == :five", "Syntax error"},
	{"n != :five", "Syntax error"},
	{"n = :five AND", "Syntax error"},
	{"n = :five OR OR s = :abc", "Syntax error"},
	{"n = :five s = :abc", "Syntax error"},
	{"(n = :five", "Syntax error"},
	{"n = :five)", "Syntax error"},
	{"n = 5", "Syntax error"},
	{"n = 'abc'", "Syntax error"},
	{"n BETWEEN :one", "Syntax error"},
	{"n IN :one", "Syntax error"},
	{"n IN ()", "Syntax error"},
	{"l[x] = :one", "Syntax error"},
	{"l[-1] = :one", "Syntax error"},
	{"m. = :one", "Syntax error"},
	{"_n = :one", "Syntax error"},
	{"n = :one = :one", "Syntax error"},
	{":five", "Syntax error"},
	{"n + :one = :five", "Syntax error"},
	{"attribute_exists n", "Syntax error"},
	{"attribute_exists()", "Syntax error"},
	{"((n = :five))", "redundant parentheses"},
	{"((n)) = :five", "redundant parentheses"},
	{"or = :one", "Syntax error"},
	{"status = :one", "reserved keyword; reserved keyword: status"},
	{"m.Year = :one", "reserved keyword; reserved keyword: Year"},
	{"ttl < :one", "reserved keyword; reserved keyword: ttl"},
	{"attribute_not_exists(token)", "reserved keyword; reserved keyword: token"},
	{"n = :undefined", "value used in expression is not defined; attribute value: :undefined"},
	{"frobnicate(n)", "Invalid function name; function: frobnicate"},
	{"ATTRIBUTE_EXISTS(n)", "Invalid function name; function: ATTRIBUTE_EXISTS"},
	{"if_not_exists(n, :one) = :one", "Invalid function name; function: if_not_exists"},
	{"attribute_exists(n, s)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"},
	{"begins_with(s)", "Incorrect number of operands"},
	{"size(s, n) = :one", "Incorrect number of operands"},
	{"attribute_exists(:one)", "requires a document path; operator or function: attribute_exists"},
	{"attribute_not_exists(size(s))", "requires a document path"},
	{"attribute_type(s, :X)", "Invalid attribute type name found; type: X"},
	{"attribute_type(s, :one)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"},
	{"attribute_type(s, n)", "Incorrect operand type"},
	{"begins_with(s, :one)", "operator or function: begins_with, operand type: N"},
	{"begins_with(s, :ss)", "operator or function: begins_with, operand type: SS"},
	{"begins_with(s, s)", "must be distinct"},
	{"contains(s, s)", "must be distinct"},
	{"n = n", "must be distinct"},
	{"m.a <> m.a", "must be distinct"},
	{"size(s)", "not allowed to be used this way in an expression; function: size"},
	{"NOT size(s)", "not allowed to be used this way"},
	{"attribute_exists(n) = :one", "not allowed to be used this way in an expression; function: attribute_exists"},
	{"size(attribute_exists(n)) = :one", "not allowed to be used this way"},
	{"size(:five) = :one", "operator or function: size, operand type: N"},
	{"size(:yes) = :one", "operator or function: size, operand type: BOOL"},
	{"n < :yes", "operand type: BOOL"},
	{"n >= :ss", "operand type: SS"},
	{"n > :null", "operand type: NULL"},
	{"n BETWEEN :list AND :list", "operand type: L"},
	{"n BETWEEN :one AND :abc", "requires same data type for lower and upper bounds"},
	{"n BETWEEN :nine AND :one", "requires upper bound to be greater than or equal to lower bound"},
	{"n IN (" + strings.Repeat(":one, ", 100) + ":one)", "Incorrect number of operands"},
	{"n = :five" + strings.Repeat(" ", 4096), "Expression size has exceeded"},
}

// laxPeer are conditions that dynalite 4 judges otherwise; the developer guide
// is on our side. It knows no limits, takes a name that begins with an
// underscore and an order of what has none, finds two missing attributes equal,
// gives an empty text no size, and does not take NOT twice.
var laxPeer = map[string]bool{
	"size(e) = :zero": true, "NOT NOT n = :five": true, "gone = absent": true, "gone <> absent": true, "_n = :one": true,
	"n < :yes": true, "n >= :ss": true, "n > :null": true, "n BETWEEN :list AND :list": true,
}

func TestConditions(t *testing.T) {
	for _, p := range peers(t) {
		p.put(t, specimen)
		for _, tc := range conditions {
			if !p.ours && (laxPeer[tc.expression] || len(tc.expression) > 100) {
				continue
			}
			t.Run(fmt.Sprintf("%.60s", tc.expression), func(t *testing.T) {
				a := p.call(t, "UpdateItem", p.request(map[string]string{"ConditionExpression": tc.expression}))
				p.judge(t, a, tc.want)
			})
		}
	}
}

// judge compares an answer with what a row wants. The other engine's messages
// may differ.
func (p peer) judge(t *testing.T, a answer, want string) {
	t.Helper()
	switch want {
	case holds:
		if a.status != 200 {
			t.Errorf("ours %t: %s", p.ours, a.text)
		}
	case fails:
		if a.code != "ConditionalCheckFailedException" {
			t.Errorf("ours %t: %s, want the condition to fail", p.ours, a.text)
		}
	default:
		if a.code != "ValidationException" || p.ours && !strings.Contains(a.message, want) {
			t.Errorf("ours %t: %s, want ValidationException that says %q", p.ours, a.text, want)
		}
	}
}
