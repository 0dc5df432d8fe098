// Package consent obtains a user's consent with the authorization code grant of
// RFC 6749 §4.1 and PKCE (RFC 7636).
//
// A consent is a session with two sides that share only its record.
// [BackChannel] is called with AWS credentials: a principal starts a session and
// later completes it. [FrontChannel] is called by browsers, without credentials:
// it shows the consent page, redirects to the provider and receives the
// authorization response. Because it is public, it can read and write sessions
// only, and a session contains nothing that is usable without the back channel's
// keys: the PKCE verifier is encrypted under a keyset that the front channel
// does not have, and the authorization code is encrypted to a public key of the
// session (HPKE, RFC 9180) whose private key is under that keyset.
//
// Binding state to the browser stops forged callbacks but not consent phishing,
// where the victim's own browser is bound. Hence a code alone completes nothing.
// The callback page shows a confirmation code, and only the principal that
// started the session can complete it, with that code. The third wrong code ends
// the session.
//
// A session is in one of four phases: pending until the authorization response
// arrives (10 minutes), received until it is completed (30 minutes), refused, or
// ended. Each step is one conditional write, so one of two concurrent attempts
// succeeds. Session ids, states, cookies and confirmation codes are stored as
// hashes or encrypted, never in clear.
//
// The package knows no store, no HTTP and no HTML. Package vending exchanges the
// code and stores the grant.
package consent
