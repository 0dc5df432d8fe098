package declaration

import (
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	// reportAgain is the time after which a second report of one principal counts.
	reportAgain = 10 * time.Minute
	// maxReports is how many reports are kept, the latest ones.
	maxReports = 8
)

// Reports are the callers' reports that a resource server refuses an access token
// which is the whole grant, oldest first. One report ends it for the principal that
// made it, who may be the one who is wrong. Only a new consent replaces such a token.
type Reports []tokenstore.ForcedRefresh

// ReportsOf returns the reports of item's grant.
func ReportsOf(item tokenstore.Item) Reports {
	if !item.Grant.IsAccessToken() {
		return nil
	}
	return item.ForcedRefreshes
}

// Dead reports whether the token has ended for all callers: two principals reported
// it, or one did again after ten minutes.
func (r Reports) Dead() bool {
	return slices.ContainsFunc(r, func(other tokenstore.ForcedRefresh) bool {
		return other.By != r[0].By || other.At.Sub(r[0].At) >= reportAgain
	})
}

// EndedFor reports whether the token has ended for a principal, and when that was
// reported.
func (r Reports) EndedFor(principal string) (at time.Time, ended bool) {
	if r.Dead() {
		return r[len(r)-1].At, true
	}
	i := slices.IndexFunc(r, func(one tokenstore.ForcedRefresh) bool { return one.By == principal })
	if i < 0 {
		return time.Time{}, false
	}
	return r[i].At, true
}

// With adds a report. It changes nothing if the same principal has reported before,
// unless that ends the token for all.
func (r Reports) With(one tokenstore.ForcedRefresh) (next Reports, changed bool) {
	if i := slices.IndexFunc(r, func(other tokenstore.ForcedRefresh) bool { return other.By == one.By }); i >= 0 &&
		(r.Dead() || one.At.Sub(r[i].At) < reportAgain) {
		return r, false
	}
	next = append(slices.Clone(r), one)
	return next[max(0, len(next)-maxReports):], true
}
