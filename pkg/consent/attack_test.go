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
		w := newWorld()
		s := w.start(t) // the attacker may use the connection, and is the initiator
		victim := w.leave(t, s.SessionID)
		receipt, err := w.arrive(victim, answer(victim.state))
		expect(t, err, "", "")
		if receipt.Principal != owner.ARN {
			t.Error("the page cannot say whom the code is for")
		}
		// The confirmation code is on the victim's screen. The attacker guesses.
		for _, want := range []problem.Code{problem.AccessDenied, problem.AccessDenied, problem.SessionExpired, problem.SessionExpired} {
			expect(t, w.complete(s.SessionID, "ABCD-EFGH"), want, "")
		}
		if len(w.core.adopted) > 0 {
			t.Error("the victim's consent was adopted")
		}
	})
	t.Run("AZ-23 a victim is sent the provider's link", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		attacker := w.leave(t, s.SessionID) // continues in a browser of their own
		victim := browser{state: attacker.state}
		_, err := w.arrive(victim, answer(victim.state))
		expect(t, err, problem.InvalidRequest, "not the browser")
		expect(t, w.complete(s.SessionID, "ABCD-EFGH"), problem.AuthorizationRequired, "")
	})
	t.Run("AZ-22 a victim is sent a callback with the attacker's code", func(t *testing.T) {
		w := newWorld()
		s := w.start(t) // the victim is the initiator here
		attacker := w.leave(t, w.start(t).SessionID)
		mine := w.leave(t, s.SessionID)
		for _, forged := range []string{attacker.state, parseState(s)} {
			_, err := w.arrive(browser{cookies: mine.cookies}, url.Values{"code": {"attackers"}, "state": {forged}})
			expect(t, err, problem.InvalidRequest, "")
		}
		receipt, err := w.arrive(mine, answer(mine.state))
		expect(t, err, "", "")
		expect(t, w.complete(s.SessionID, receipt.ConfirmationCode.Reveal()), "", "")
		if len(w.core.adopted) != 1 || w.core.adopted[0].Code.Reveal() != theCode {
			t.Error("another code than the victim's own was adopted")
		}
	})
	t.Run("AZ-23 an eavesdropper has the link and the confirmation code", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		err := w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: other, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
		expect(t, err, problem.AccessDenied, "")
		expect(t, w.complete(s.SessionID, code), "", "")
	})
}

// TestLeaks searches everything stored, logged and answered for everything secret.
func TestLeaks(t *testing.T) {
	w := newWorld()
	var seen strings.Builder
	look := func(err error) {
		seen.WriteString(w.tables.text() + w.line())
		if err != nil {
			fmt.Fprintf(&seen, "%v %+v %q", err, err, problem.Of(err).Detail)
		}
	}
	s := w.start(t)
	look(nil)
	b := w.leave(t, s.SessionID)
	look(nil)
	_, err := w.arrive(browser{state: b.state, cookies: []string{ownCookie + "=c4n4ry-cookie"}}, answer(b.state))
	look(err)
	receipt, err := w.arrive(b, answer(b.state))
	look(err)
	fmt.Fprintf(&seen, "%v %+v %#v %v", receipt, receipt, receipt, b.cookie)
	look(w.complete(s.SessionID, "C4N4RY-TYPED"))
	look(w.byHand("https://c4n4ry.example.com/?" + answer(parseState(s)).Encode()))
	_, err = w.arrive(b, url.Values{"error": {"c4n4ry"}, "state": {b.state}})
	look(err)
	look(w.complete(s.SessionID, receipt.ConfirmationCode.Reveal()))
	if len(w.core.adopted) != 1 {
		t.Fatal("the flow did not come to its end")
	}
	confirmation := receipt.ConfirmationCode.Reveal()
	secrets := map[string]string{
		"the session's id": s.SessionID, "the code": theCode, "the verifier": w.core.adopted[0].Verifier.Reveal(),
		"the confirmation code": confirmation, "its bare form": strings.ReplaceAll(confirmation, "-", ""),
		"the state by hand": parseState(s), "its random part": parseState(s)[65:], "the browser's state": b.state[65:], "the cookie": b.cookie.Value.Reveal(),
		"a cookie that was sent": "c4n4ry-cookie", "a code that was typed": "C4N4RY-TYPED", "an address that was given": "c4n4ry.example.com",
	}
	all := strings.ToLower(seen.String())
	for name, secret := range secrets {
		t.Run("INV-5 AZ-20 "+name, func(t *testing.T) {
			for _, form := range forms(secret) {
				if strings.Contains(all, strings.ToLower(form)) {
					t.Error("is stored, logged or told in clear")
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
	w := newWorld()
	s := w.start(t)
	csrf := csrfOf(t, w, s.SessionID)
	empty := strings.NewReader("")
	flow := consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.tables, Pending: w.tables, Grants: w.core, Sealer: sealer("main"), Rand: empty})
	_, started := flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
	door := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.tables, Sealer: sealer("door"), Rand: empty, Now: func() time.Time { return noon }})
	_, continued := door.Continue(w.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: csrf})
	_, received := door.Receive(w.ctx, consent.CallbackRequest{Connection: crm, RawQuery: answer(parseState(s)).Encode()})
	for step, err := range map[string]error{"OC-07 start": started, "OC-07 continue": continued, "OC-07 receive": received} {
		t.Run(step, func(t *testing.T) { expect(t, err, problem.InternalError, "") })
	}
}
