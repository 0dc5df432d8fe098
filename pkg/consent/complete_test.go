package consent_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestComplete(t *testing.T) {
	t.Run("OC-02 OC-06 the code is exchanged with the parameters of its request", func(t *testing.T) {
		f := newFixture()
		s := f.start(t)
		b := f.redirect(t, s.SessionID)
		f.now = noon.Add(9 * time.Minute)
		result, err := f.callback(b, response(b.state))
		expect(t, err, "", "")
		f.now = noon.Add(38 * time.Minute) // more than ten minutes after the start, less than thirty after the response
		f.entry.SecretIncarnation = ""
		expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
		want := vending.Authorization{Connection: declared(crm), Code: redact.New(theCode), RedirectURI: base + "/callback/crm", Scope: "read offline_access"}
		got := f.core.authorized
		if len(got) != 1 {
			t.Fatalf("%d authorizations", len(got))
		}
		if oauth.Challenge(got[0].Verifier) != b.address.Query().Get("code_challenge") {
			t.Error("the verifier is not the challenge's")
		}
		got[0].Verifier = redact.Secret{}
		if diff := cmp.Diff(want, got[0], cmpopts.EquateComparable(redact.Secret{})); diff != "" {
			t.Errorf("authorization (-want +got):\n%s", diff)
		}
		if f.entry.SecretIncarnation != "generation-1" {
			t.Error("AZ-56 the audit line has no generation")
		}
	})
	t.Run("OC-06 no verifier where PKCE is off", func(t *testing.T) {
		f := newFixture()
		f.change(func(c *connection.Connection) { c.PKCE = false })
		s, code := f.received(t)
		expect(t, f.complete(s.SessionID, code), "", "")
		if len(f.core.authorized) != 1 || !f.core.authorized[0].Verifier.IsZero() {
			t.Errorf("authorized %v", f.core.authorized)
		}
	})
	t.Run("AZ-23 the code in other spellings", func(t *testing.T) {
		for _, write := range []func(string) string{strings.ToLower, func(s string) string { return strings.ReplaceAll(s, "-", "") },
			func(s string) string { return " " + strings.ReplaceAll(s, "-", " ") + "\n" }} {
			f := newFixture()
			s, code := f.received(t)
			expect(t, f.complete(s.SessionID, write(code)), "", "")
		}
	})
	t.Run("AZ-23 another session of the same role completes", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		err := f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code),
			Principal: consent.Principal{ARN: owner.ARN + "-more", UniqueID: "AROAOWNER:two"}})
		expect(t, err, "", "")
	})
	t.Run("AZ-23 for the subject that it was started for", func(t *testing.T) {
		f := newFixture()
		s, err := f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Subject: "ann", Principal: owner, BaseURL: base})
		expect(t, err, "", "")
		b := f.redirect(t, s.SessionID)
		result, err := f.callback(b, response(b.state))
		expect(t, err, "", "")
		r := consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: result.ConfirmationCode}
		for _, subject := range []connection.Subject{"", "bob"} {
			r.Subject = subject
			expect(t, f.back.Complete(f.ctx, r), problem.InvalidRequest, "another subject")
		}
		r.Subject = "ann"
		expect(t, f.back.Complete(f.ctx, r), "", "")
		if result.Subject != "ann" || len(f.core.authorized) != 1 || f.core.authorized[0].Subject != "ann" {
			t.Errorf("authorized %v", f.core.authorized)
		}
	})
}

func TestCompleteRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *fixture, r *consent.CompleteRequest)
		code   problem.Code
		words  string
	}{
		{"BI-23 AZ-23 another principal", func(_ *fixture, r *consent.CompleteRequest) { r.Principal = other }, problem.AccessDenied, "another principal"},
		{"AZ-06 a role created again under the old name", func(_ *fixture, r *consent.CompleteRequest) { r.Principal.UniqueID = "AROANEWONE:one" }, problem.AccessDenied, "another principal"},
		{"AZ-05 no identity", func(_ *fixture, r *consent.CompleteRequest) { r.Principal.UniqueID = "" }, problem.AccessDenied, "identity"},
		{"OC-09 another connection", func(_ *fixture, r *consent.CompleteRequest) { r.Connection = "erp" }, problem.InvalidRequest, "does not belong"},
		{"BI-23 after its expiry", func(f *fixture, _ *consent.CompleteRequest) { f.now = noon.Add(30 * time.Minute) }, problem.SessionExpired, "expired"},
		{"BI-23 an unknown session", func(_ *fixture, r *consent.CompleteRequest) { r.SessionID = redact.New(strings.Repeat("a", 32)) }, problem.SessionExpired, "no such"},
		{"BI-23 an incomplete session id", func(_ *fixture, r *consent.CompleteRequest) { r.SessionID = redact.New("abc") }, problem.InvalidRequest, "incomplete session id"},
		{"BI-24 no confirmation code", func(_ *fixture, r *consent.CompleteRequest) { r.ConfirmationCode = redact.Secret{} }, problem.InvalidRequest, "session_id and confirmation_code"},
		{"BI-24 both kinds of completion", func(_ *fixture, r *consent.CompleteRequest) { r.Code = redact.New("c") }, problem.InvalidRequest, "ambiguous"},
		{"AZ-30 the secret was created again", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.SecretIncarnation = "generation-2" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another token endpoint", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.TokenURL = "https://evil.example.com/token" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another provider", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.Provider = "p" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another issuer", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another client", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.ClientID = "c" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another redirect URI", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.RedirectURI = "https://apps.example.com" })
		}, problem.SessionExpired, "configuration"},
		{"BI-22 it now uses client_credentials", func(f *fixture, _ *consent.CompleteRequest) {
			f.change(func(c *connection.Connection) { c.GrantType = connection.ClientCredentials })
		}, problem.InvalidRequest, "client_credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			s, code := f.received(t)
			r := consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)}
			tt.change(f, &r)
			before := f.store.text()
			expect(t, f.back.Complete(f.ctx, r), tt.code, tt.words)
			if len(f.core.authorized) > 0 || f.store.text() != before {
				t.Error("a code was exchanged, or the session has changed")
			}
			if marked := strings.Contains(f.line(), "session_mismatch"); marked != (tt.words == "another principal" || tt.words == "does not belong") {
				t.Errorf("FI-45 session_mismatch in the audit line: %v", marked)
			}
		})
	}
}

func TestEarly(t *testing.T) {
	f := newFixture()
	s := f.start(t)
	for range 5 {
		err := f.complete(s.SessionID, "AAAA-AAAA")
		expect(t, err, problem.AuthorizationRequired, "has not consented")
	}
	b := f.redirect(t, s.SessionID)
	result, err := f.callback(b, response(b.state))
	expect(t, err, "", "")
	t.Run("AZ-23 an attempt before the response is not counted", func(t *testing.T) {
		expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
	})
}

func TestWrongCode(t *testing.T) {
	t.Run("BI-24 the third wrong code ends the session", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		expect(t, f.complete(s.SessionID, "AAAA-AAAA"), problem.AccessDenied, "2 of 3")
		expect(t, f.complete(s.SessionID, code+"A"), problem.AccessDenied, "1 of 3")
		expect(t, f.complete(s.SessionID, "<script>"), problem.SessionExpired, "ended")
		expect(t, f.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(f.core.authorized) > 0 || !strings.Contains(f.line(), "session_guessed") {
			t.Error("a code was exchanged, or there is no warning")
		}
	})
	t.Run("BI-24 two wrong codes do not end the session", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		expect(t, f.complete(s.SessionID, "AAAA-AAAA"), problem.AccessDenied, "")
		expect(t, f.complete(s.SessionID, "BBBB-BBBB"), problem.AccessDenied, "")
		expect(t, f.complete(s.SessionID, code), "", "")
	})
	t.Run("BI-24 concurrent guesses are all counted", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		var group sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			group.Go(func() {
				back := consent.NewBackChannel(consent.BackChannelConfig{Sessions: f.store, Pending: f.store, Grants: f.core, Sealer: sealer("main"), Now: func() time.Time { return noon }})
				errs[i] = back.Complete(t.Context(), consent.CompleteRequest{Connection: crm, Principal: owner,
					SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New("AAAA-AAAA")})
			})
		}
		group.Wait()
		codes := map[problem.Code]int{}
		for _, err := range errs {
			codes[codeOf(err)]++
		}
		if codes[problem.AccessDenied] != 2 || codes[problem.SessionExpired] != 18 {
			t.Errorf("codes %v", codes)
		}
		expect(t, f.complete(s.SessionID, code), problem.SessionExpired, "")
	})
	t.Run("BI-24 AZ-23 another principal's guesses do not count", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		for range 5 {
			err := f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: other, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New("AAAA-AAAA")})
			expect(t, err, problem.AccessDenied, "another principal")
		}
		expect(t, f.complete(s.SessionID, code), "", "")
	})
}

func TestOnce(t *testing.T) {
	t.Run("BI-23 AZ-21 a second time", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		expect(t, f.complete(s.SessionID, code), "", "")
		expect(t, f.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(f.core.authorized) != 1 {
			t.Errorf("%d authorizations", len(f.core.authorized))
		}
	})
	t.Run("AZ-21 concurrent completions", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				back := consent.NewBackChannel(consent.BackChannelConfig{Sessions: f.store, Pending: f.store, Grants: f.core, Sealer: sealer("main"), Now: func() time.Time { return noon }})
				_ = back.Complete(t.Context(), consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
			})
		}
		group.Wait()
		if len(f.core.authorized) != 1 {
			t.Errorf("%d authorizations", len(f.core.authorized))
		}
	})
	t.Run("AZ-21 a writer does not mistake another's write for its own", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		f.store.before = func() { expect(t, f.complete(s.SessionID, code), "", "") }
		expect(t, f.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(f.core.authorized) != 1 {
			t.Errorf("%d authorizations", len(f.core.authorized))
		}
	})
	t.Run("AZ-21 a failure before the code is sent does not end the session", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		f.core.busy = problem.New(problem.RefreshInProgress, "busy")
		expect(t, f.complete(s.SessionID, code), problem.RefreshInProgress, "busy")
		f.core.busy = nil
		f.store.before = func() { f.store.sessionsDown = tokenstore.ErrUnavailable }
		expect(t, f.complete(s.SessionID, code), problem.StoreUnavailable, "")
		f.store.sessionsDown = nil
		expect(t, f.complete(s.SessionID, code), "", "")
	})
	t.Run("FI-44 FI-46 a failure afterwards needs a new consent", func(t *testing.T) {
		f := newFixture()
		for refusal, told := range map[*problem.Error]string{
			problem.New(problem.AuthorizationRequired, "the code has expired; start again"): "the code has expired; start again",
			problem.New(problem.ProviderTimeout, "no answer in time"):                       "no answer in time; the code has been used; start a new consent",
		} {
			s, code := f.received(t)
			f.core.refuses = refusal
			err := f.complete(s.SessionID, code)
			if p := problem.Of(err); p.Code != refusal.Code || p.Detail != told {
				t.Errorf("error %v", err)
			}
			expect(t, f.complete(s.SessionID, code), problem.SessionExpired, "")
		}
	})
	t.Run("AZ-20 the record of an ended session has no secrets", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		expect(t, f.complete(s.SessionID, code), "", "")
		text := string(f.store.sessions[hash(s.SessionID)].Text)
		for _, member := range []string{"keepsake", "answer\"", "key", "hand", "departed"} {
			if strings.Contains(text, `"`+member) {
				t.Errorf("the record still has %s", member)
			}
		}
	})
}

// TestAltered: a writer of sessions, as the front channel is, cannot move one to
// another principal or client.
func TestAltered(t *testing.T) {
	for name, edit := range map[string][2]string{
		"AZ-52 another principal":       {"AROAOWNER", "AROASPY"},
		"AZ-52 another start":           {"12:00:00Z", "12:00:01Z"},
		"AZ-52 another scope":           {"read offline_access", "read write offline_access"},
		"AZ-52 another principal's ARN": {"role/app", "role/spy"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			s, code := f.received(t)
			record := f.store.sessions[hash(s.SessionID)]
			record.Text = []byte(strings.Replace(string(record.Text), edit[0], edit[1], 1))
			if string(record.Text) == string(f.store.sessions[hash(s.SessionID)].Text) {
				t.Fatal("nothing was altered")
			}
			f.store.sessions[hash(s.SessionID)] = record
			p := owner
			if edit[1] == "AROASPY" {
				p = other
			}
			err := f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: p, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
			expect(t, err, problem.SessionExpired, "cannot be decrypted")
			if len(f.core.authorized) > 0 || !strings.Contains(f.line(), "session_corrupt") {
				t.Error("a code was exchanged, or there is no warning")
			}
		})
	}
	t.Run("AZ-52 the response to another session", func(t *testing.T) {
		f := newFixture()
		one, code := f.received(t)
		two, _ := f.received(t)
		swap := f.store.sessions[hash(two.SessionID)]
		swap.ID = hash(one.SessionID)
		f.store.sessions[swap.ID] = swap
		expect(t, f.complete(one.SessionID, code), problem.SessionExpired, "cannot be decrypted")
	})
	t.Run("FI-36 an unavailable keyset is not corruption", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		before := f.store.text()
		back := consent.NewBackChannel(consent.BackChannelConfig{Sessions: f.store, Pending: f.store, Grants: f.core, Sealer: noSealer{}, Now: func() time.Time { return noon }})
		err := back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
		expect(t, err, problem.StoreUnavailable, "keyset")
		if f.store.text() != before || strings.Contains(f.line(), "session_corrupt") {
			t.Error("it was treated as corruption")
		}
		_, err = back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
		expect(t, err, problem.StoreUnavailable, "keyset")
		if err := errors.Unwrap(err); err == nil {
			t.Error("the error has no cause for the log")
		}
		waiting := f.start(t)
		csrf := csrfOf(t, f, waiting.SessionID)
		front := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: f.store, Sealer: noSealer{}, Now: func() time.Time { return noon }})
		_, err = front.Show(f.ctx, waiting.SessionID)
		expect(t, err, problem.StoreUnavailable, "keyset")
		_, err = front.Continue(f.ctx, consent.ContinueRequest{SessionID: waiting.SessionID, CSRF: csrf})
		expect(t, err, problem.StoreUnavailable, "keyset")
	})
}
