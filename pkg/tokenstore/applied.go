package tokenstore

// A write whose answer was lost is sent again, and then fails its own condition
// because it has been carried out. AlreadyApplied tells by the item as it stands that
// this is so (CR-36).

// AlreadyApplied says whether item shows this very commit: its token at the next
// version, or the refresh token that it brought. The latter stands also where
// another presented the same refresh token and was given the same new one.
func (c Commit) AlreadyApplied(item Item) bool {
	whole := item.Version == c.Version+1 && item.Token.ID == c.Token.ID
	if c.Consumed == "" {
		return whole
	}
	return item.Grant.Fingerprint == c.Grant.Fingerprint && (whole || c.Grant.Fingerprint != c.Consumed)
}

// AlreadyApplied says whether item shows this very adoption.
func (a StoreGrant) AlreadyApplied(item Item) bool {
	return item.Version == a.Version+1 && item.Token.ID == a.Token.ID && item.Grant.Fingerprint == a.Grant.Fingerprint
}
