package scorecard

import (
	"cmp"
	"fmt"
	"time"
)

// Row is one line of a scorecard.
type Row struct {
	// What was measured.
	What string
	// Aim and Measured are texts. Without an Aim the row is shown and not judged.
	Aim, Measured string
	// Met is a pass, otherwise a miss. It means nothing when Err is set, or Aim is
	// empty.
	Met bool
	// Err is why there is no measurement.
	Err error
}

// Verdict is the word in the last column.
func (r Row) Verdict() string {
	switch {
	case r.Err != nil:
		return "not measured"
	case r.Aim == "":
		return none
	case r.Met:
		return "pass"
	default:
		return "miss"
	}
}

// none is shown where there is no aim.
const none = "-"

func (r Row) aim() string { return cmp.Or(r.Aim, none) }

func (r Row) measured() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return r.Measured
}

// Aim is a bound on a ratio, the bound itself included.
type Aim struct {
	limit   float64
	atLeast bool
}

// AtMost is the aim not to exceed limit.
func AtMost(limit float64) Aim { return Aim{limit: limit} }

// AtLeast is the aim not to fall below limit.
func AtLeast(limit float64) Aim { return Aim{limit: limit, atLeast: true} }

// Met reports whether value is within the bound.
func (a Aim) Met(value float64) bool {
	if a.atLeast {
		return value >= a.limit
	}
	return value <= a.limit
}

// String is the aim as the design writes it.
func (a Aim) String() string {
	if a.atLeast {
		return fmt.Sprintf("≥ %v", a.limit)
	}
	return fmt.Sprintf("≤ %v", a.limit)
}

// Unit formats one absolute figure.
type Unit func(value float64) string

// Seconds is the unit of durations measured in seconds.
func Seconds(value float64) string {
	d := time.Duration(value * float64(time.Second))
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", value)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", value*1e3)
	default:
		return fmt.Sprintf("%.2f µs", value*1e6)
	}
}

// PerSecond is the unit of rates.
func PerSecond(value float64) string { return fmt.Sprintf("%.0f/s", value) }

// Judge makes the row of a ratio, which is judged before it is rounded.
func (a Aim) Judge(what string, c Comparison, unit Unit) Row {
	return Row{What: what, Aim: a.String(), Met: a.Met(c.Ratio()), Measured: c.Text(unit)}
}
