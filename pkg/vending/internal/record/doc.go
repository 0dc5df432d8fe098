// Package record owns the way between the stored item and the token or grant in
// it: sealing and opening, this process's cache of opened items, reads that
// concurrent callers share, and writes that the table has not accepted yet.
//
// The cache is not a decorator of the store, because it must know versions and
// rejections: an eventually consistent read never replaces a newer version that
// is known, and a token that was dropped does not come back.
//
// The package takes no lease and calls no provider. Where a pending write turns
// out to be superseded it returns the grant, so that the caller can revoke it.
package record
