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
	t.Run("OC-02 OC-06 the code goes out with what the request had", func(t *testing.T) {
		w := newWorld()
		s := w.start(t)
		b := w.leave(t, s.SessionID)
		w.now = noon.Add(9 * time.Minute)
		receipt, err := w.arrive(b, answer(b.state))
		expect(t, err, "", "")
		w.now = noon.Add(38 * time.Minute) // of the ten minutes none are left, of the thirty some
		w.entry.SecretIncarnation = ""
		expect(t, w.complete(s.SessionID, receipt.ConfirmationCode.Reveal()), "", "")
		want := vending.Authorization{Connection: declared(crm), Code: redact.New(theCode), RedirectURI: base + "/callback/crm", Scope: "read offline_access"}
		got := w.core.adopted
		if len(got) != 1 {
			t.Fatalf("%d authorizations", len(got))
		}
		if oauth.Challenge(got[0].Verifier) != b.address.Query().Get("code_challenge") {
			t.Error("the verifier is not the challenge's")
		}
		got[0].Verifier = redact.Secret{}
		if diff := cmp.Diff(want, got[0], cmpopts.EquateComparable(redact.Secret{})); diff != "" {
			t.Errorf("adoption (-want +got):\n%s", diff)
		}
		if w.entry.SecretIncarnation != "generation-1" {
			t.Error("AZ-56 the audit line has no generation")
		}
	})
	t.Run("OC-06 no verifier where none was announced", func(t *testing.T) {
		w := newWorld()
		w.change(func(c *connection.Connection) { c.PKCE = false })
		s, code := w.received(t)
		expect(t, w.complete(s.SessionID, code), "", "")
		if len(w.core.adopted) != 1 || !w.core.adopted[0].Verifier.IsZero() {
			t.Errorf("adopted %v", w.core.adopted)
		}
	})
	t.Run("AZ-23 the code as people type it", func(t *testing.T) {
		for _, write := range []func(string) string{strings.ToLower, func(s string) string { return strings.ReplaceAll(s, "-", "") },
			func(s string) string { return " " + strings.ReplaceAll(s, "-", " ") + "\n" }} {
			w := newWorld()
			s, code := w.received(t)
			expect(t, w.complete(s.SessionID, write(code)), "", "")
		}
	})
	t.Run("AZ-23 another session of the same role completes", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		err := w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code),
			Principal: consent.Principal{ARN: owner.ARN + "-more", UniqueID: "AROAOWNER:two"}})
		expect(t, err, "", "")
	})
	t.Run("AZ-23 for the subject that it was started for", func(t *testing.T) {
		w := newWorld()
		s, err := w.flow.Start(w.ctx, consent.StartRequest{Connection: crm, Subject: "ann", Principal: owner, BaseURL: base})
		expect(t, err, "", "")
		b := w.leave(t, s.SessionID)
		receipt, err := w.arrive(b, answer(b.state))
		expect(t, err, "", "")
		r := consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: receipt.ConfirmationCode}
		for _, subject := range []connection.Subject{"", "bob"} {
			r.Subject = subject
			expect(t, w.flow.Complete(w.ctx, r), problem.InvalidRequest, "another subject")
		}
		r.Subject = "ann"
		expect(t, w.flow.Complete(w.ctx, r), "", "")
		if receipt.Subject != "ann" || len(w.core.adopted) != 1 || w.core.adopted[0].Subject != "ann" {
			t.Errorf("adopted %v", w.core.adopted)
		}
	})
}

func TestCompleteRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world, r *consent.CompleteRequest)
		code   problem.Code
		words  string
	}{
		{"BI-23 AZ-23 another principal", func(_ *world, r *consent.CompleteRequest) { r.Principal = other }, problem.AccessDenied, "another principal"},
		{"AZ-06 a role made anew under the old name", func(_ *world, r *consent.CompleteRequest) { r.Principal.UniqueID = "AROANEWONE:one" }, problem.AccessDenied, "another principal"},
		{"AZ-05 nobody", func(_ *world, r *consent.CompleteRequest) { r.Principal.UniqueID = "" }, problem.AccessDenied, "identity"},
		{"OC-09 another connection", func(_ *world, r *consent.CompleteRequest) { r.Connection = "erp" }, problem.InvalidRequest, "does not belong"},
		{"BI-23 after its expiry", func(w *world, _ *consent.CompleteRequest) { w.now = noon.Add(30 * time.Minute) }, problem.SessionExpired, "expired"},
		{"BI-23 a session that never was", func(_ *world, r *consent.CompleteRequest) { r.SessionID = redact.New(strings.Repeat("a", 32)) }, problem.SessionExpired, "no such"},
		{"BI-23 half a session id", func(_ *world, r *consent.CompleteRequest) { r.SessionID = redact.New("abc") }, problem.InvalidRequest, "incomplete session id"},
		{"BI-24 no confirmation code", func(_ *world, r *consent.CompleteRequest) { r.ConfirmationCode = redact.Secret{} }, problem.InvalidRequest, "session_id and confirmation_code"},
		{"BI-24 two ways at once", func(_ *world, r *consent.CompleteRequest) { r.Code = redact.New("c") }, problem.InvalidRequest, "ambiguous"},
		{"AZ-30 the secret was made anew", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.SecretIncarnation = "generation-2" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another token endpoint", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.TokenURL = "https://evil.example.com/token" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another provider", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.Provider = "p" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another issuer", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.Issuer = "https://as.example.com" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another client", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.ClientID = "c" })
		}, problem.SessionExpired, "configuration"},
		{"AZ-30 another redirect URI", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.RedirectURI = "https://apps.example.com" })
		}, problem.SessionExpired, "configuration"},
		{"BI-22 it acts for itself by now", func(w *world, _ *consent.CompleteRequest) {
			w.change(func(c *connection.Connection) { c.GrantType = connection.ClientCredentials })
		}, problem.InvalidRequest, "itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			s, code := w.received(t)
			r := consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)}
			tt.change(w, &r)
			before := w.tables.text()
			expect(t, w.flow.Complete(w.ctx, r), tt.code, tt.words)
			if len(w.core.adopted) > 0 || w.tables.text() != before {
				t.Error("something was adopted, or the session has changed")
			}
			if marked := strings.Contains(w.line(), "session_mismatch"); marked != (tt.words == "another principal" || tt.words == "does not belong") {
				t.Errorf("FI-45 session_mismatch in the audit line: %v", marked)
			}
		})
	}
}

func TestEarly(t *testing.T) {
	w := newWorld()
	s := w.start(t)
	for range 5 {
		err := w.complete(s.SessionID, "AAAA-AAAA")
		expect(t, err, problem.AuthorizationRequired, "has not consented")
	}
	b := w.leave(t, s.SessionID)
	receipt, err := w.arrive(b, answer(b.state))
	expect(t, err, "", "")
	t.Run("AZ-23 asking before the browser is back counts for nothing", func(t *testing.T) {
		expect(t, w.complete(s.SessionID, receipt.ConfirmationCode.Reveal()), "", "")
	})
}

func TestWrongCode(t *testing.T) {
	t.Run("BI-24 the third ends the session", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		expect(t, w.complete(s.SessionID, "AAAA-AAAA"), problem.AccessDenied, "2 of 3")
		expect(t, w.complete(s.SessionID, code+"A"), problem.AccessDenied, "1 of 3")
		expect(t, w.complete(s.SessionID, "<script>"), problem.SessionExpired, "ended")
		expect(t, w.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(w.core.adopted) > 0 || !strings.Contains(w.line(), "session_guessed") {
			t.Error("it was adopted, or nothing says what happened")
		}
	})
	t.Run("BI-24 two wrong ones do no harm", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		expect(t, w.complete(s.SessionID, "AAAA-AAAA"), problem.AccessDenied, "")
		expect(t, w.complete(s.SessionID, "BBBB-BBBB"), problem.AccessDenied, "")
		expect(t, w.complete(s.SessionID, code), "", "")
	})
	t.Run("BI-24 guesses at the same time are counted one by one", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		var group sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			group.Go(func() {
				flow := consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.tables, Pending: w.tables, Grants: w.core, Sealer: sealer("main"), Now: func() time.Time { return noon }})
				errs[i] = flow.Complete(t.Context(), consent.CompleteRequest{Connection: crm, Principal: owner,
					SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New("AAAA-AAAA")})
			})
		}
		group.Wait()
		told := map[problem.Code]int{}
		for _, err := range errs {
			told[codeOf(err)]++
		}
		if told[problem.AccessDenied] != 2 || told[problem.SessionExpired] != 18 {
			t.Errorf("answers %v", told)
		}
		expect(t, w.complete(s.SessionID, code), problem.SessionExpired, "")
	})
	t.Run("BI-24 AZ-23 somebody else's guesses do not count", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		for range 5 {
			err := w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: other, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New("AAAA-AAAA")})
			expect(t, err, problem.AccessDenied, "another principal")
		}
		expect(t, w.complete(s.SessionID, code), "", "")
	})
}

func TestOnce(t *testing.T) {
	t.Run("BI-23 AZ-21 twice", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		expect(t, w.complete(s.SessionID, code), "", "")
		expect(t, w.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(w.core.adopted) != 1 {
			t.Errorf("%d authorizations", len(w.core.adopted))
		}
	})
	t.Run("AZ-21 many at the same time", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				flow := consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.tables, Pending: w.tables, Grants: w.core, Sealer: sealer("main"), Now: func() time.Time { return noon }})
				_ = flow.Complete(t.Context(), consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
			})
		}
		group.Wait()
		if len(w.core.adopted) != 1 {
			t.Errorf("%d authorizations", len(w.core.adopted))
		}
	})
	t.Run("AZ-21 a writer does not take another's write for its own", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		w.tables.before = func() { expect(t, w.complete(s.SessionID, code), "", "") }
		expect(t, w.complete(s.SessionID, code), problem.SessionExpired, "completed or has ended")
		if len(w.core.adopted) != 1 {
			t.Errorf("%d authorizations", len(w.core.adopted))
		}
	})
	t.Run("AZ-21 what fails before the code is sent uses nothing up", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		w.core.busy = problem.New(problem.RefreshInProgress, "busy")
		expect(t, w.complete(s.SessionID, code), problem.RefreshInProgress, "busy")
		w.core.busy = nil
		w.tables.before = func() { w.tables.sessionsDown = tokenstore.ErrUnavailable }
		expect(t, w.complete(s.SessionID, code), problem.StoreUnavailable, "")
		w.tables.sessionsDown = nil
		expect(t, w.complete(s.SessionID, code), "", "")
	})
	t.Run("FI-44 FI-46 what fails afterwards needs a new start", func(t *testing.T) {
		w := newWorld()
		for refusal, told := range map[*problem.Error]string{
			problem.New(problem.AuthorizationRequired, "the code has expired; start again"): "the code has expired; start again",
			problem.New(problem.ProviderTimeout, "no answer in time"):                       "no answer in time; the code has been used; start a new consent",
		} {
			s, code := w.received(t)
			w.core.refuses = refusal
			err := w.complete(s.SessionID, code)
			if p := problem.Of(err); p.Code != refusal.Code || p.Detail != told {
				t.Errorf("error %v", err)
			}
			expect(t, w.complete(s.SessionID, code), problem.SessionExpired, "")
		}
	})
	t.Run("AZ-20 nothing of use is left behind", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		expect(t, w.complete(s.SessionID, code), "", "")
		text := string(w.tables.sessions[hash(s.SessionID)].Text)
		for _, member := range []string{"keepsake", "answer\"", "key", "hand", "departed"} {
			if strings.Contains(text, `"`+member) {
				t.Errorf("the record still has %s", member)
			}
		}
	})
}

// TestAltered: who can write sessions, as the public side can, cannot move one
// to another principal or client.
func TestAltered(t *testing.T) {
	for name, edit := range map[string][2]string{
		"AZ-52 another principal":       {"AROAOWNER", "AROASPY"},
		"AZ-52 another start":           {"12:00:00Z", "12:00:01Z"},
		"AZ-52 another scope":           {"read offline_access", "read write offline_access"},
		"AZ-52 another principal's ARN": {"role/app", "role/spy"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			s, code := w.received(t)
			record := w.tables.sessions[hash(s.SessionID)]
			record.Text = []byte(strings.Replace(string(record.Text), edit[0], edit[1], 1))
			if string(record.Text) == string(w.tables.sessions[hash(s.SessionID)].Text) {
				t.Fatal("nothing was altered")
			}
			w.tables.sessions[hash(s.SessionID)] = record
			p := owner
			if edit[1] == "AROASPY" {
				p = other
			}
			err := w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: p, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
			expect(t, err, problem.SessionExpired, "cannot be decrypted")
			if len(w.core.adopted) > 0 || !strings.Contains(w.line(), "session_corrupt") {
				t.Error("it was adopted, or nothing says what happened")
			}
		})
	}
	t.Run("AZ-52 the answer to another session", func(t *testing.T) {
		w := newWorld()
		one, code := w.received(t)
		two, _ := w.received(t)
		swap := w.tables.sessions[hash(two.SessionID)]
		swap.ID = hash(one.SessionID)
		w.tables.sessions[swap.ID] = swap
		expect(t, w.complete(one.SessionID, code), problem.SessionExpired, "cannot be decrypted")
	})
	t.Run("FI-36 a keyset that cannot be had is no damage", func(t *testing.T) {
		w := newWorld()
		s, code := w.received(t)
		before := w.tables.text()
		flow := consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.tables, Pending: w.tables, Grants: w.core, Sealer: noSealer{}, Now: func() time.Time { return noon }})
		err := flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: owner, SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(code)})
		expect(t, err, problem.StoreUnavailable, "keyset")
		if w.tables.text() != before || strings.Contains(w.line(), "session_corrupt") {
			t.Error("it was taken for damage")
		}
		_, err = flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base})
		expect(t, err, problem.StoreUnavailable, "keyset")
		if err := errors.Unwrap(err); err == nil {
			t.Error("the log is not told why")
		}
		waiting := w.start(t)
		csrf := csrfOf(t, w, waiting.SessionID)
		door := consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.tables, Sealer: noSealer{}, Now: func() time.Time { return noon }})
		_, err = door.Show(w.ctx, waiting.SessionID)
		expect(t, err, problem.StoreUnavailable, "keyset")
		_, err = door.Continue(w.ctx, consent.ContinueRequest{SessionID: waiting.SessionID, CSRF: csrf})
		expect(t, err, problem.StoreUnavailable, "keyset")
	})
}
