package consent_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// TestPhishing is the attack that a cookie does not stop: the attacker starts a
// consent, and has a victim go through it.
func TestPhishing(t *testing.T) {
	t.Run("AZ-23 FI-45 a victim is sent the consent link", func(t *testing.T) {
		f := newFixture()
		s := f.start(t) // the attacker may use the connection, and is the initiator
		victim := f.redirect(t, s.SessionID)
		result, err := f.callback(victim, response(victim.state))
		expect(t, err, "", "")
		if result.Principal != owner.ARN {
			t.Error("the page cannot say whom the code is for")
		}
		// The confirmation code is on the victim's screen. The attacker guesses.
		for _, want := range []problem.Code{problem.AccessDenied, problem.AccessDenied, problem.SessionExpired, problem.SessionExpired} {
			expect(t, f.complete(s.SessionID, "ABCD-EFGH"), want, "")
		}
		if len(f.core.authorized) > 0 {
			t.Error("the victim's grant was stored")
		}
	})
	t.Run("AZ-23 a victim is sent the provider's link", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		attacker := f.redirect(t, s.SessionID) // continues in a browser of their own
		victim := browser{state: attacker.state}
		_, err := f.callback(victim, response(victim.state))
		expect(t, err, problem.InvalidRequest, "not the browser")
		expect(t, f.complete(s.SessionID, "ABCD-EFGH"), problem.AuthorizationRequired, "")
	})
	t.Run("AZ-22 a victim is sent a callback with the attacker's code", func(t *testing.T) {
		f := newFixture()
		s := f.start(t) // the victim is the initiator here
		attacker := f.redirect(t, f.start(t).SessionID)
		mine := f.redirect(t, s.SessionID)
		for _, forged := range []string{attacker.state, manualState(s)} {
			_, err := f.callback(browser{cookies: mine.cookies}, url.Values{"code": {"attackers"}, "state": {forged}})
			expect(t, err, problem.InvalidRequest, "")
		}
		result, err := f.callback(mine, response(mine.state))
		expect(t, err, "", "")
		expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
		if len(f.core.authorized) != 1 || f.core.authorized[0].Code.Reveal() != theCode {
			t.Error("another code than the victim's own was exchanged")
		}
	})
	t.Run("AZ-23 an eavesdropper has the link and the confirmation code", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		err := f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: other, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
		expect(t, err, problem.AccessDenied, "")
		expect(t, f.complete(s.SessionID, code), "", "")
	})
}

// TestLeaks searches all stored, logged and returned text for secrets.
func TestLeaks(t *testing.T) {
	f := newFixture()
	var seen strings.Builder
	look := func(err error) {
		seen.WriteString(f.store.text() + f.line())
		if err != nil {
			fmt.Fprintf(&seen, "%v %+v %q", err, err, problem.Of(err).Detail)
		}
	}
	s := f.start(t)
	look(nil)
	b := f.redirect(t, s.SessionID)
	look(nil)
	_, err := f.callback(browser{state: b.state, cookies: []string{ownCookie + "=c4n4ry-cookie"}}, response(b.state))
	look(err)
	result, err := f.callback(b, response(b.state))
	look(err)
	fmt.Fprintf(&seen, "%v %+v %#v %v", result, result, result, b.cookie)
	look(f.complete(s.SessionID, "C4N4RY-TYPED"))
	look(f.completeManually("https://c4n4ry.example.com/?" + response(manualState(s)).Encode()))
	_, err = f.callback(b, url.Values{"error": {"c4n4ry"}, "state": {b.state}})
	look(err)
	look(f.complete(s.SessionID, result.ConfirmationCode.Reveal()))
	if len(f.core.authorized) != 1 {
		t.Fatal("the flow did not come to its end")
	}
	confirmation := result.ConfirmationCode.Reveal()
	secrets := map[string]string{
		"the session's id": s.SessionID, "the code": theCode, "the verifier": f.core.authorized[0].Verifier.Reveal(),
		"the confirmation code": confirmation, "its bare form": strings.ReplaceAll(confirmation, "-", ""),
		"the manual state": manualState(s), "its random part": manualState(s)[65:], "the browser's state": b.state[65:], "the cookie": b.cookie.Value.Reveal(),
		"a cookie that was sent": "c4n4ry-cookie", "a code that was typed": "C4N4RY-TYPED", "an address that was given": "c4n4ry.example.com",
	}
	all := strings.ToLower(seen.String())
	for name, secret := range secrets {
		t.Run("INV-5 AZ-20 "+name, func(t *testing.T) {
			for _, form := range forms(secret) {
				if strings.Contains(all, strings.ToLower(form)) {
					t.Error("is stored, logged or returned in clear")
				}
			}
		})
	}
	t.Run("AZ-20 and the search would find them", func(t *testing.T) {
		if !strings.Contains(all, hash(s.SessionID)) || !strings.Contains(all, strings.ToLower(owner.ARN)) {
			t.Error("the records were not looked at")
		}
	})
}

// forms are the ways in which a secret may hide.
func forms(secret string) []string {
	reversed := []byte(secret)
	slices.Reverse(reversed)
	return []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), string(reversed),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="), base64.RawURLEncoding.EncodeToString([]byte(secret))}
}

// TestRandom: without randomness nothing begins.
func TestRandom(t *testing.T) {
	f := newFixture()
	s := f.start(t)
	csrf := csrfOf(t, f, s.SessionID)
	empty := strings.NewReader("")
	back := consent.NewBackChannel(consent.BackChannelConfig{Sessions: f.store, Pending: f.store, Grants: f.core, Sealer: sealer("main"), Rand: empty})
	_, started := back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
	front := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: f.store, Sealer: sealer("page"), Rand: empty, Now: func() time.Time { return noon }})
	_, continued := front.Continue(f.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
	_, received := front.Receive(f.ctx, consent.CallbackRequest{Connection: crm, RawQuery: response(manualState(s)).Encode()})
	for step, err := range map[string]error{"OC-07 start": started, "OC-07 continue": continued, "OC-07 receive": received} {
		t.Run(step, func(t *testing.T) { expect(t, err, problem.InternalError, "") })
	}
}
