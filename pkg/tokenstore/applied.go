package tokenstore

import (
	"bytes"
	"slices"
)

// When the response to a write is lost, the write is sent again and fails its own
// condition, because it was already applied. AlreadyApplied recognizes this from
// the current item (CR-36).

// AlreadyApplied reports whether item already reflects this commit: it has the
// commit's token at the next version, or the commit's refresh token. The latter
// also holds if a concurrent refresh received the same new refresh token.
func (c Commit) AlreadyApplied(item Item) bool {
	whole := item.Version == c.Version+1 && item.Token.ID == c.Token.ID
	if c.Consumed == "" {
		return whole
	}
	return item.Grant.Fingerprint == c.Grant.Fingerprint && (whole || c.Grant.Fingerprint != c.Consumed)
}

// AlreadyApplied reports whether item already reflects this grant.
func (s StoreGrant) AlreadyApplied(item Item) bool {
	return item.Version == s.Version+1 && item.Token.ID == s.Token.ID && item.Grant.Fingerprint == s.Grant.Fingerprint
}

// AlreadyApplied reports whether current is the record that the write of d stored.
// Two different writes do not have the same sealed text.
func (d DeclarationRecord) AlreadyApplied(current DeclarationRecord) bool {
	return current.Version == d.Version+1 && bytes.Equal(current.Sealed, d.Sealed)
}

// AlreadyForced reports whether stored already reflects that forced replaced was: it is
// forced, or has what forced adds and was replaced by others since.
func AlreadyForced(stored, was, forced []ForcedRefresh) bool {
	if slices.EqualFunc(stored, forced, ForcedRefresh.Same) {
		return true
	}
	added := slices.DeleteFunc(slices.Clone(forced), func(f ForcedRefresh) bool { return slices.ContainsFunc(was, f.Same) })
	missing := slices.ContainsFunc(added, func(f ForcedRefresh) bool { return !slices.ContainsFunc(stored, f.Same) })
	return len(added) > 0 && !missing
}

// Same reports whether f and other are one refresh: of one principal, in one
// millisecond.
func (f ForcedRefresh) Same(other ForcedRefresh) bool {
	return f.By == other.By && f.At.UnixMilli() == other.At.UnixMilli()
}
