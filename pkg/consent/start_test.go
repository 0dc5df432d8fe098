package consent_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func TestStart(t *testing.T) {
	f := newFixture()
	s := f.start(t)
	t.Run("OC-06 OC-07 the authorization request for a manual completion", func(t *testing.T) {
		q := parse(t, s.AuthorizationURL).Query()
		state, challenge := q.Get("state"), q.Get("code_challenge")
		q.Del("state")
		q.Del("code_challenge")
		want := "client_id=client-of-crm&code_challenge_method=S256&prompt=consent&redirect_uri=https%3A%2F%2Fapi.example.com%2Fv1%2Fcallback%2Fcrm" +
			"&response_type=code&scope=read+offline_access&tenant=7"
		if diff := cmp.Diff(want, q.Encode()); diff != "" || !strings.HasPrefix(s.AuthorizationURL, "https://as.example.com/authorize?") {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if len(challenge) != 43 {
			t.Errorf("a challenge of %d characters is no SHA-256", len(challenge))
		}
		if key, random, _ := strings.Cut(state, "."); key != hash(s.SessionID) || len(random) < 26 {
			t.Error("the state is not the session's key with 128 random bits or more")
		}
	})
	t.Run("AZ-20 the session id has at least 128 random bits", func(t *testing.T) {
		if len(s.SessionID) < 26 || s.ConsentURL != base+"/consent/"+s.SessionID || s.ExpiresIn != 10*time.Minute {
			t.Errorf("started %+v", s)
		}
	})
	t.Run("AZ-20 two starts share nothing", func(t *testing.T) {
		again := f.start(t)
		one, two := parse(t, s.AuthorizationURL).Query(), parse(t, again.AuthorizationURL).Query()
		if again.SessionID == s.SessionID || one.Get("state") == two.Get("state") || one.Get("code_challenge") == two.Get("code_challenge") {
			t.Error("a random value is used twice")
		}
	})
	t.Run("AZ-20 the store deletes it when it is over", func(t *testing.T) {
		at := f.store.sessions[hash(s.SessionID)].DeleteAfter
		if at.Before(noon.Add(10*time.Minute)) || at.After(noon.Add(2*time.Hour)) {
			t.Errorf("sweep at %v", at)
		}
	})
}

func TestStartVariants(t *testing.T) {
	t.Run("OC-06 without PKCE only where it is declared, with a warning", func(t *testing.T) {
		f := newFixture()
		if f.start(t); strings.Contains(f.line(), "pkce_off") {
			t.Error("warned although PKCE is on")
		}
		f.change(func(c *connection.Connection) { c.PKCE = false })
		s := f.start(t)
		if q := parse(t, s.AuthorizationURL).Query(); q.Has("code_challenge") || q.Has("code_challenge_method") {
			t.Error("a challenge is sent")
		}
		if !strings.Contains(f.line(), "pkce_off") {
			t.Error("no warning in the audit line")
		}
	})
	t.Run("OC-09 the redirect URI is the connection's own", func(t *testing.T) {
		f := newFixture()
		s, err := f.back.Start(f.ctx, consent.StartRequest{Connection: "erp", Principal: owner, BaseURL: base})
		if got := parse(t, s.AuthorizationURL).Query().Get("redirect_uri"); err != nil || got != base+"/callback/erp" {
			t.Errorf("redirect URI %s, %v", got, err)
		}
	})
	t.Run("OC-02 a declared redirect URI goes out as it is", func(t *testing.T) {
		f := newFixture()
		const declared = "https://Apps.example.com/Cb%2fx?a=b"
		f.change(func(c *connection.Connection) { c.RedirectURI = declared })
		if got := parse(t, f.start(t).AuthorizationURL).Query().Get("redirect_uri"); got != declared {
			t.Errorf("redirect URI %s", got)
		}
	})
}

func TestStartRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fixture, *consent.StartRequest)
		code   problem.Code
	}{
		{"BI-22 a client_credentials connection", func(f *fixture, _ *consent.StartRequest) {
			f.change(func(c *connection.Connection) { c.GrantType = connection.ClientCredentials })
		}, problem.InvalidRequest},
		{"BI-22 an unknown connection", func(_ *fixture, r *consent.StartRequest) { r.Connection = "nothing" }, problem.ConnectionNotFound},
		{"AZ-05 no identity", func(_ *fixture, r *consent.StartRequest) { r.Principal = consent.Principal{} }, problem.AccessDenied},
		{"AZ-05 an ARN without an id", func(_ *fixture, r *consent.StartRequest) { r.Principal.UniqueID = "" }, problem.AccessDenied},
		{"AZ-05 a session without a role", func(_ *fixture, r *consent.StartRequest) { r.Principal.UniqueID = ":one" }, problem.AccessDenied},
		{"AZ-31 a caller that the declaration does not allow", func(f *fixture, _ *consent.StartRequest) {
			f.change(func(c *connection.Connection) {
				c.Callers = connection.Callers{{Principal: "arn:aws:iam::111122223333:role/else"}}
			})
		}, problem.AccessDenied},
		{"AZ-42 an endpoint that already has a reserved parameter", func(f *fixture, _ *consent.StartRequest) {
			f.change(func(c *connection.Connection) { c.AuthorizationURL += "&state=mine" })
		}, problem.ConnectionMisconfigured},
		{"FI-27 a table that is down", func(f *fixture, _ *consent.StartRequest) { f.store.down = tokenstore.ErrUnavailable }, problem.StoreUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			r := consent.StartRequest{Connection: crm, Principal: owner, BaseURL: base}
			tt.change(f, &r)
			s, err := f.back.Start(f.ctx, r)
			expect(t, err, tt.code, "")
			if len(f.store.sessions) > 0 || s != (consent.Started{}) {
				t.Error("a session was started")
			}
		})
	}
}

func TestPending(t *testing.T) {
	start := func(f *fixture, p consent.Principal, subject connection.Subject) (consent.Started, error) {
		return f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Subject: subject, Principal: p, BaseURL: base})
	}
	three := func(t *testing.T) (*fixture, []consent.Started) {
		f := newFixture()
		return f, []consent.Started{f.start(t), f.start(t), f.start(t)}
	}
	// full is a principal with as many pending sessions as it may have.
	full := func(t *testing.T, p consent.Principal) *fixture {
		f := newFixture()
		for i := range 500 {
			if _, err := start(f, p, connection.Subject(fmt.Sprint("s", i))); err != nil {
				t.Fatalf("start %d: %v", i, err)
			}
		}
		return f
	}
	t.Run("AZ-31 a fourth for the same connection and subject ends the oldest", func(t *testing.T) {
		f, all := three(t)
		b := f.redirect(t, all[0].SessionID)
		again := f.start(t)
		_, err := f.callback(b, response(b.state))
		expect(t, err, problem.SessionExpired, "")
		expect(t, f.completeManually(base+"/callback/crm?"+response(manualState(all[0])).Encode()), problem.SessionExpired, "has ended")
		for _, s := range append(all[1:], again) {
			b := f.redirect(t, s.SessionID)
			result, err := f.callback(b, response(b.state))
			expect(t, err, "", "")
			expect(t, f.complete(s.SessionID, result.ConfirmationCode.Reveal()), "", "")
		}
	})
	t.Run("AZ-31 what a start could not end the next one does", func(t *testing.T) {
		f, all := three(t)
		f.store.sessionsDown = tokenstore.ErrUnavailable
		for range 3 {
			_, err := start(f, owner, "")
			expect(t, err, problem.StoreUnavailable, "")
		}
		f.store.sessionsDown = nil
		all = append(all, f.start(t))
		for i, s := range all {
			_, err := f.front.Show(f.ctx, s.SessionID)
			code := problem.Code("")
			if i == 0 {
				code = problem.SessionExpired
			}
			expect(t, err, code, "")
		}
	})
	t.Run("AZ-31 sessions that are ended count no more", func(t *testing.T) {
		f, _ := three(t)
		for range 5 {
			f.start(t)
		}
		for _, document := range f.store.notes {
			if n := strings.Count(string(document.Text), `"session"`); n != 3 {
				t.Errorf("%d sessions are counted, want 3", n)
			}
		}
	})
	t.Run("AZ-31 one whose response has come is not ended", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		for range 4 {
			f.start(t)
		}
		expect(t, f.complete(s.SessionID, code), "", "")
	})
	t.Run("AZ-31 other subjects, connections and principals are not affected", func(t *testing.T) {
		f, all := three(t)
		for i := range 4 {
			_, err := start(f, owner, "ann")
			expect(t, err, "", "")
			_, err = start(f, other, "")
			expect(t, err, "", "")
			_, err = f.back.Start(f.ctx, consent.StartRequest{Connection: "erp", Principal: owner, BaseURL: base})
			expect(t, err, "", "")
			f.now = noon.Add(time.Duration(i) * time.Second)
		}
		f.redirect(t, all[0].SessionID)
	})
	t.Run("AZ-06 AZ-31 another session name is the same principal", func(t *testing.T) {
		f, all := three(t)
		_, err := start(f, consent.Principal{ARN: owner.ARN, UniqueID: "AROAOWNER:two"}, "")
		expect(t, err, "", "")
		_, err = f.front.Show(f.ctx, all[0].SessionID)
		expect(t, err, problem.SessionExpired, "")
	})
	t.Run("AZ-31 the 501st has to wait until the first expires", func(t *testing.T) {
		f := full(t, owner)
		f.now = noon.Add(4 * time.Minute)
		_, err := start(f, owner, "ann")
		expect(t, err, problem.RateLimited, "500 pending consent sessions")
		if p := problem.Of(err); p.RetryAfter != 6*time.Minute {
			t.Errorf("retry after %v", p.RetryAfter)
		}
		_, err = start(f, other, "ann")
		expect(t, err, "", "")
		f.now = noon.Add(10 * time.Minute)
		_, err = start(f, owner, "ann")
		expect(t, err, "", "")
	})
	t.Run("AZ-06 AZ-31 federated users of one account are separate", func(t *testing.T) {
		f := full(t, consent.Principal{ARN: owner.ARN, UniqueID: "111122223333:ann"})
		_, err := start(f, consent.Principal{ARN: owner.ARN, UniqueID: "111122223333:ann"}, "")
		expect(t, err, problem.RateLimited, "")
		_, err = start(f, consent.Principal{ARN: owner.ARN, UniqueID: "111122223333:bob"}, "")
		expect(t, err, "", "")
	})
	t.Run("AZ-31 a completed session makes room", func(t *testing.T) {
		f := newFixture()
		s, code := f.received(t)
		first := f.start(t)
		expect(t, f.complete(s.SessionID, code), "", "")
		f.start(t)
		f.start(t)
		f.redirect(t, first.SessionID)
	})
	t.Run("AZ-31 a failed start is not counted", func(t *testing.T) {
		f := newFixture()
		f.store.sessionsDown = tokenstore.ErrUnavailable
		for range 4 {
			_, err := start(f, owner, "")
			expect(t, err, problem.StoreUnavailable, "")
		}
		f.store.sessionsDown = nil
		first := f.start(t)
		f.start(t)
		f.start(t)
		f.redirect(t, first.SessionID)
	})
	t.Run("AZ-31 entries of the former release count for the principal alone", func(t *testing.T) {
		f, all := three(t)
		for name, n := range f.store.notes {
			text := strings.NewReplacer(hash(all[0].SessionID), hash(all[0].SessionID)[:16])
			n.Text = []byte(regexp.MustCompile(`"of":"[^"]*",`).ReplaceAllString(text.Replace(string(n.Text)), ""))
			f.store.notes[name] = n
		}
		for range 3 {
			f.start(t)
		}
		f.redirect(t, all[0].SessionID)
	})
	t.Run("AZ-31 entries of a clock far ahead are ignored", func(t *testing.T) {
		f := full(t, owner)
		f.now = noon.Add(-time.Hour)
		_, err := start(f, owner, "ann")
		expect(t, err, "", "")
	})
	t.Run("AZ-31 an unavailable document refuses, a corrupt one does not", func(t *testing.T) {
		f := newFixture()
		f.start(t)
		for name, n := range f.store.notes {
			n.Text = []byte("{")
			f.store.notes[name] = n
		}
		_, err := start(f, owner, "")
		expect(t, err, "", "")
		if !strings.Contains(f.line(), "consent_roster_corrupt") {
			t.Error("there is no warning")
		}
		f.store.down = tokenstore.ErrUnavailable
		_, err = start(f, owner, "")
		expect(t, err, problem.StoreUnavailable, "list of pending")
	})
}
