// Package scenario simulates the service where a test cannot go: a day of ten
// thousand connections, an hour in which a fifth of all requests fail, one
// minute in which everything is due at once, and the minute after an outage.
//
// What is simulated is the real core and the real renewer; only what they reach
// for is played. Each scenario has a Run function that returns what was counted,
// and [Rows] sets the figures beside what the design aims at.
package scenario
