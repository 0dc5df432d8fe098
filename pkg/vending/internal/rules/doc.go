// Package rules makes the decisions of the core that need no call to a store or
// provider and read no declaration: who may use a token, how long a failure delays
// the next attempt, whether a grant can be refreshed, and in which slot of the
// timing wheel an item waits.
//
// Everything here is a function of its arguments, apart from the clock, the
// random source and the throttle, which the rest of the core shares, and two
// warnings about grants in the audit entry.
package rules
