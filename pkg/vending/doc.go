// Package vending is the core: it serves a valid access token to a caller who may
// have it, from the nearest place that has one, and makes a whole fleet of
// short-lived processes share each request to a provider.
//
// A token comes, in order, from this process's memory, from the table (one
// eventually consistent read), or from a refresh under the fleet's lease. Only
// the last needs the connection's secret, so a stored token carries what the warm
// path must know of its declaration: who may have it.
//
// A failure is shared as a token is. Until its next attempt is due no process
// asks the provider, and callers without a token get the original error at once.
//
// The Core decides what to do for a request. How it is done is in the packages
// below internal, of which each imports only those before it: token (the expiry
// rule), rules (decisions without side effects), record (items, opened and
// cached), issue (token requests), lease (one refresh for the fleet).
//
// The package knows no AWS, no store and no environment; what it needs of them is
// declared in ports.go. It starts no goroutine that outlives a request, because a
// frozen execution environment runs none.
package vending
