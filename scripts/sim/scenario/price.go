package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/sim/internal/metered"
)

// List prices in dollars: DynamoDB on demand (standard class) and Secrets
// Manager, us-east-1. No free tier and no discount.
const (
	perReadUnit   = 0.125 / 1e6
	perWriteUnit  = 0.625 / 1e6
	perSecretCall = 0.05 / 1e4
	perSecret     = 0.40 // and month
)

// month is the twelfth part of a year.
const month = 365 * 24 * time.Hour / 12

// Prices says what the bills are worked out with.
const Prices = "list prices, us-east-1: DynamoDB on demand $0.125 per million read units and $0.625 per million write units; " +
	"Secrets Manager $0.05 per 10,000 calls and $0.40 per secret and month"

// bill is what a month of a day's traffic costs, in dollars.
type bill struct {
	index, scan, items, notes, calls, secrets float64
}

// bill works out a month.
func (d Day) bill() bill {
	months := month.Seconds() / d.Span.Seconds()
	return bill{
		index:   months * price(d.Usage.Index),
		scan:    months * d.Scan * perReadUnit,
		items:   months * price(d.Usage.Items),
		notes:   months * price(d.Usage.Notes),
		calls:   months * float64(d.Loads+d.Lists) * perSecretCall,
		secrets: float64(d.Secrets) * perSecret,
	}
}

func price(u metered.Units) float64 { return u.Read*perReadUnit + u.Write*perWriteUnit }

// perDay writes units as so many a day.
func (d Day) perDay(u metered.Units) string {
	days := 24 * time.Hour.Seconds() / d.Span.Seconds()
	return fmt.Sprintf("%s read and %s write units a day", number(u.Read*days), number(u.Write*days))
}

func dollars(amount float64) string { return "$" + number(amount) }

// number writes a figure with its thousands apart, and two decimals of a small one.
func number(n float64) string {
	if n < 100 {
		return fmt.Sprintf("%.2f", n)
	}
	digits := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
