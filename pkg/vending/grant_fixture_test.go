package vending_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// rotation is what a server does with the refresh token it receives.
type rotation int

const (
	keeps       rotation = iota // it stays in force and is not repeated
	repeats                     // it stays in force and is sent again
	rotates                     // each refresh issues another; the one before is invalid
	rotatesSoft                 // the same, but the one before works until its successor is used
)

// consentServer is an authorization server with refresh tokens: it numbers them,
// knows which is valid, and revokes the family when a used one comes.
type consentServer struct {
	now      func() time.Time
	rotation rotation
	lifetime time.Duration
	// refreshLife, when set, is stated with each new refresh token.
	refreshLife time.Duration
	// during runs while a request is in progress; after, when the server has done
	// what was asked for and before its response arrives: an error replaces the response.
	during func(oauth.Request)
	// grants, when set, is the scope that a response to this request states.
	grants func(oauth.Request) string
	after  func(oauth.Request) *oauth.Error

	mu       sync.Mutex
	requests []oauth.Request
	// validTokens are the valid refresh tokens; inGrace are those whose successor has
	// not been used yet, by that successor.
	validTokens map[string]bool
	inGrace     map[string]string
	issued      int
	dead        bool
	// unavailable: every request is answered with 503.
	unavailable bool
	revoked     []string
	// user is named in the id_token of a code's answer; empty names none.
	user string
	// noRefreshToken: a code is answered with an access token only.
	noRefreshToken bool
	// endless: access tokens have no end.
	endless bool
	// onePerUser: the server keeps one grant per user and client, so revoking one
	// refresh token ends all of that user. owner is whose each is; a user who is not
	// named in an id_token is one user nevertheless.
	onePerUser bool
	owner      map[string]string
	// revoking runs while a revocation is in progress.
	revoking func()
	// refuseRevocation, when set, is the response to a revocation.
	refuseRevocation error
	reused           int
}

func (s *consentServer) Token(_ context.Context, r oauth.Request) (oauth.Token, error) {
	s.mu.Lock()
	during, after := s.during, s.after
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	at := s.now().Round(0)
	if during != nil {
		during(r)
	}
	t, refusal := s.answer(r, at)
	if after != nil {
		if err := after(r); err != nil {
			return oauth.Token{}, err
		}
	}
	if refusal != nil {
		return oauth.Token{}, refusal
	}
	return t, nil
}

func (s *consentServer) answer(r oauth.Request, at time.Time) (oauth.Token, *oauth.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := oauth.Token{TokenType: "Bearer", Scope: r.Scope, RequestedAt: at, ExpiresAt: at.Add(s.lifetime), Trace: oauth.Trace{Calls: 1, Status: 200}}
	if s.grants != nil {
		t.Scope = s.grants(r)
	}
	if s.endless {
		t.ExpiresAt = time.Time{}
	}
	switch {
	case s.unavailable:
		return t, unavailable
	case r.GrantType == "authorization_code":
		s.dead = false
		if t.Subject = s.user; !s.noRefreshToken {
			t.RefreshToken = s.nextRefreshToken()
		}
	case r.GrantType == "refresh_token":
		presented := r.RefreshToken.Reveal()
		if s.dead || !s.validTokens[presented] {
			s.reused++
			s.dead = s.dead || s.rotation == rotates // a family whose dead member comes back is stolen
			return t, invalidGrant()
		}
		delete(s.validTokens, s.inGrace[presented])
		switch s.rotation {
		case repeats:
			t.RefreshToken = redact.New(presented)
		case rotates:
			delete(s.validTokens, presented)
			t.RefreshToken = s.nextRefreshToken()
		case rotatesSoft:
			t.RefreshToken = s.nextRefreshToken()
			s.inGrace[t.RefreshToken.Reveal()] = presented
		}
	default:
		return t, &oauth.Error{Kind: oauth.Rejected, Code: "unsupported_grant_type", Trace: oauth.Trace{Calls: 1, Status: 400}}
	}
	if s.refreshLife > 0 && t.RefreshToken.Reveal() != "" {
		t.RefreshTokenExpiresAt = at.Add(s.refreshLife)
	}
	t.AccessToken = redact.New(fmt.Sprintf("access_%d", len(s.requests)))
	return t, nil
}

func (s *consentServer) nextRefreshToken() redact.Secret {
	s.issued++
	token := fmt.Sprintf("refresh_%d", s.issued)
	s.owner[token] = s.user
	return s.knows(token)
}

// knows makes a refresh token valid.
func (s *consentServer) knows(token string) redact.Secret {
	if s.validTokens == nil {
		s.validTokens, s.inGrace = map[string]bool{}, map[string]string{}
	}
	s.validTokens[token] = true
	return redact.New(token)
}

func (s *consentServer) Revoke(_ context.Context, r oauth.Revocation) error {
	if s.revoking != nil {
		s.revoking()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, r.Token.Reveal())
	for token := range s.validTokens {
		if s.onePerUser && s.owner[token] == s.owner[r.Token.Reveal()] {
			delete(s.validTokens, token)
		}
	}
	return s.refuseRevocation
}

func (s *consentServer) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func (s *consentServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

func invalidGrant() *oauth.Error {
	return &oauth.Error{Kind: oauth.Rejected, Reason: "error", Code: "invalid_grant", Trace: oauth.Trace{Calls: 1, Status: 400}}
}

// unanswered is a request without a response.
func unanswered() *oauth.Error {
	return &oauth.Error{Kind: oauth.Timeout, Reason: "timeout", Ambiguous: true, Trace: oauth.Trace{Calls: 1}}
}

// delegation is a fleet whose connection "user" is delegated.
type delegation struct {
	*fleet
	idp *consentServer
}

const userConnection = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"%s",
	"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize",
	"revocation_url":"https://idp.example.com/revoke","scope":"files offline_access"}`

func newDelegation(t *testing.T, r rotation) *delegation {
	f := newFleet(t)
	d := &delegation{fleet: f, idp: &consentServer{now: f.clock.Now, rotation: r, lifetime: time.Hour, user: "jane", owner: map[string]string{}}}
	f.declare("user", fmt.Sprintf(userConnection, "hush"))
	return d
}

func (d *delegation) process() *vending.Core {
	return vending.New(vending.Config{
		Store: d.store, Secrets: d.secrets, Minter: d.idp, Revoker: d.idp, Sealer: d.sealer, Now: d.now, Wait: d.wait, Rand: d.random,
	})
}

func user() vending.Request { return vending.Request{Connection: "user", Caller: principal} }

func of(subject string) vending.Request {
	r := user()
	r.Subject = connection.Subject(subject)
	return r
}

// consent stores a new grant for r.
func (d *delegation) consent(core *vending.Core, r vending.Request) {
	d.t.Helper()
	if err := d.tryConsent(core, r, nil); err != nil {
		d.t.Fatalf("consent: %v", err)
	}
}

func (d *delegation) tryConsent(core *vending.Core, r vending.Request, consume func(context.Context) error) error {
	conn, err := core.Delegated(d.t.Context(), r)
	if err != nil {
		return err
	}
	a := authorizationOf(conn)
	a.Subject, a.Consume = r.Subject, consume
	return core.Authorize(d.t.Context(), a)
}

// authorizationOf is a consent of the default subject of conn.
func authorizationOf(conn connection.Connection) vending.Authorization {
	return vending.Authorization{Connection: conn, Code: redact.New("code"),
		Verifier: redact.New("verifier"), RedirectURI: "https://example.com/callback/user", Scope: conn.Scope}
}

// consented is a delegation whose default subject has consented, with a process.
func consented(t *testing.T, r rotation) (*delegation, *vending.Core) {
	d := newDelegation(t, r)
	core := d.process()
	d.consent(core, user())
	return d, core
}

// grantOf is the stored item of r.
func (d *delegation) grantOf(r vending.Request) tokenstore.Item {
	d.t.Helper()
	item, err := d.store.Get(d.t.Context(), tokenstore.Key{Connection: string(r.Connection), Subject: string(r.Subject)}, true)
	if err != nil {
		d.t.Fatal(err)
	}
	return item
}

func (s *flakyStore) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	if err := s.reach("adopt"); err != nil {
		return tokenstore.Item{}, err
	}
	return s.Store.StoreGrant(ctx, a)
}

// warned reports whether the audit entry has the warning.
func warned(e *audit.Entry, invalidGrantReport string) bool {
	var line strings.Builder
	audit.NewWriter(audit.Config{Output: &line}).Write(e)
	return strings.Contains(line.String(), invalidGrantReport)
}
