package renewals

import (
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/metered"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

const (
	ratioAim = 1.05
	burstAim = time.Minute
)

// Rows compares the day with its aims.
func (d Day) Rows() []scorecard.Row {
	what := fmt.Sprintf("a day in %d connections with tokens of %v: ", d.Connections, d.Lifetime)
	perDay := 24 * time.Hour.Seconds() / d.Span.Seconds()
	perCall := d.Usage.Items.Write / float64(d.Calls)
	return []scorecard.Row{
		{What: what + "token requests, vs one for each 75 % of a lifetime", Aim: fmt.Sprintf("≤ %v", ratioAim),
			Measured: fmt.Sprintf("%.3f (%d)", d.Ratio(), d.Calls), Met: d.Ratio() <= ratioAim},
		{What: what + "callers without a token, failures of ticks", Aim: "0, 0",
			Measured: fmt.Sprintf("%d of %d, %d", d.Unserved, d.Vends+d.Unserved, len(d.Failed)), Met: d.Unserved+len(d.Failed) == 0},
		{What: what + "write units of the renewal index", Aim: "0",
			Measured: fmt.Sprintf("%.0f; %.0f read units a day, $%.2f a month", d.Usage.Index.Write, d.Usage.Index.Read*perDay, dollars(d.Usage.Index)*perDay*365/12),
			Met:      d.Usage.Index.Write == 0},
		{What: what + "write units of a renewal and of the mark that its token is in use", Aim: "≤ 3.1",
			Measured: fmt.Sprintf("%.2f", perCall), Met: perCall <= 3.1},
	}
}

// dollars are list prices of on-demand tables in us-east-1.
func dollars(u metered.Units) float64 { return (u.Read*0.125 + u.Write*0.625) / 1e6 }

// Row compares the burst with its aim.
func (b Burst) Row() scorecard.Row {
	return scorecard.Row{
		What: fmt.Sprintf("%d renewals due at once, %d hosts, %v each, %d refused, %d hanging: all others renewed after",
			b.Due, b.Hosts, b.Latency, b.Refused, b.Hanging),
		Aim: "< " + burstAim.String(),
		Measured: fmt.Sprintf("%.1f s (%d of %d; at most %d at once, %d per host; tick %.1f s)",
			b.LastAfter.Seconds(), b.Run.Renewed, b.Healthy(), b.AtOnce, b.PerHost, b.Tick.Seconds()),
		Met: b.Run.Renewed == b.Healthy() && b.LastAfter < burstAim,
	}
}

// Row compares the outage with its aims.
func (o Outage) Row() scorecard.Row {
	return scorecard.Row{
		What:     fmt.Sprintf("first tick after %v without: due tokens missed, read twice, callers without a token", o.Lasts),
		Aim:      "0, 0, 0",
		Measured: fmt.Sprintf("%d, %d, %d (%d due, %d renewed)", len(o.Missed), len(o.Twice), o.Unserved, o.Due, o.Renewed),
		Met:      len(o.Missed)+len(o.Twice)+o.Unserved == 0 && o.Due > 0 && o.Renewed > 0,
	}
}
