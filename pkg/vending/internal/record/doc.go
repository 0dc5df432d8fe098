// Package record converts between stored items and their tokens and grants: it seals
// and opens them, caches opened items, shares the reads of concurrent callers, and
// keeps writes that the table has not accepted yet.
//
// The cache is not a decorator of the store, because it must know versions and
// rejections: an eventually consistent read never replaces a newer version that
// is known, and a dropped token does not reappear.
//
// The package takes no lease and calls no provider. Where a pending write turns
// out to be superseded it returns the grant, so that the caller can revoke it.
package record
