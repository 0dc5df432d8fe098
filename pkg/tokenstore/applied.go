package tokenstore

import "bytes"

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
