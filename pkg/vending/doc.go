// Package vending is the core: it serves valid access tokens to authorized callers,
// and lets all processes of the fleet share each request to a provider.
//
// A token comes from this process's memory, else from the table (one eventually
// consistent read), else from a refresh under the fleet's lease. Only a refresh
// reads the connection's secret. What the other paths need of it is the connection's
// declaration record, which is read with the token and remembered for ten seconds:
// who may use the tokens, and which ones the declaration accepts. A changed secret is
// therefore one write.
//
// Failures are shared like tokens. Until the next attempt is due, no process calls
// the provider, and callers without a token get the original error at once.
//
// The Core decides what to do for a request. The packages under internal do it;
// each imports only those listed before it: token (the expiry
// rule), rules (decisions without side effects), declared (declaration records),
// record (items, opened and cached), issue (token requests), lease (one refresh for the fleet).
//
// The package knows no AWS, no store and no environment; ports.go
// declares what it needs of them. It starts no goroutine that outlives a request, because a
// frozen execution environment runs none.
package vending
