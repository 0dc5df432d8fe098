// Package vending is the core: it hands a valid access token to a caller who
// may have it, from the nearest place that has one, and makes a whole fleet of
// short-lived processes share each call to a provider.
//
// A token comes, in order, from this process's memory, from the table (one
// eventually consistent read), or from a refresh under the fleet's lease. Only
// the last asks for the connection's secret, so a stored token carries what the
// warm path must know of its declaration: who may call.
//
// Whoever holds the lease refreshes; everybody else waits for the result or
// takes the current token while that is still usable. A commit is fenced by the
// version read under the lease, so a holder that was frozen for longer than its
// lease overwrites nothing newer. A failure is shared as a token is: until its
// next attempt is due nobody calls the provider, and whoever would have to is
// told the original error at once.
//
// The package knows no AWS, no store and no environment; what it needs of them
// is declared in ports.go. It owns the one rule that says when a token is
// usable ([Token.Usable]). It starts no goroutine that outlives a request,
// because a frozen execution environment runs none.
package vending
