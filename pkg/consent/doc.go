// Package consent obtains a user's consent: the authorization-code flow of RFC
// 6749 §4.1, with PKCE (RFC 7636), from its start until the code is handed over.
//
// It has two sides that share nothing but a session's record. [BackChannel] is the
// signed side: a principal starts a session and, in the end, completes it.
// [FrontChannel] is the public side, where browsers come by: it shows who asks, sends
// the browser to the provider and receives it back. The door is open to
// everybody, so it is given as little as can be: it reads and writes sessions,
// and nothing that it can read there is of use to anybody. What the flow needs
// again is sealed under a keyset that the door has not; the authorization code
// is sealed by the door towards a key that it cannot use itself (RFC 9180).
//
// A state that is bound to a browser stops forged callbacks, but not a victim
// who was sent an attacker's consent link: that browser is bound rightly. So a
// code alone adopts nothing. The callback page shows a confirmation code, and
// only the principal that started, and was told that code by whoever
// consented, can complete. Three wrong ones end the session.
//
// A session is in one of four phases: pending until the browser is back (10
// minutes), received until it is completed (30 minutes), refused, or ended.
// Each step is one conditional write, so that of two who take it together one
// wins. Nothing stored in clear is a session's id, a state, a verifier, a code
// or a confirmation code: of what has to be recognised, the hash is kept.
//
// This package knows no store, no HTTP and no page; how a grant is exchanged
// and kept is the business of package vending.
package consent
