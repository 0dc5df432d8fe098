package vending_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// policy is what a server does with a used refresh token.
type policy int

const (
	keeping   policy = iota // it stays valid, and is not sent again
	repeating               // it stays valid, and is sent again
	forgiving               // it is replaced, and valid until its successor is used
	briefly                 // it is replaced, and valid for ten more seconds
	rotating                // it is replaced, and invalid
	detecting               // the same, and its reuse revokes the family
	policies
)

var policyNames = [policies]string{"static", "static, repeated", "grace until the next use", "grace of 10 s", "rotating", "rotating, reuse detected"}

// grace is the time that briefly allows.
const grace = 10 * time.Second

// rotations are the declarations of the policies.
var rotations = [policies]string{`{"rotation":"kept"}`, `{"rotation":"kept"}`, `{"rotation":"until_used"}`, `{"rotation":"grace","grace":10}`,
	`{"rotation":"strict"}`, `{"rotation":"strict"}`}

// harmless: a refresh token that was sent without a response is still valid.
func (p policy) harmless() bool { return p <= forgiving }

// family is the token family of one consent at the server.
type family struct {
	subject string
	// user is who consented; named: an id_token says so.
	user  string
	named bool
	ended string // why; empty while it is valid
	// released: its user revoked it, or another consent replaced it.
	released bool
	// disconnected: its item was disconnected.
	disconnected bool
	// wronglyRefused: the server once answered invalid_grant although it was valid.
	wronglyRefused bool
	// lost is why it is unusable although it was not revoked.
	lost string
}

// refreshTokenState is one refresh token as the server and the oracle know it.
type refreshTokenState struct {
	text     string
	family   *family
	parent   *refreshTokenState
	replaced time.Time // zero while it is the newest
	outlived bool      // a successor was used
	// holder got it, for op, at an instant; access is the access token with it.
	holder *processUnderTest
	op     *operation
	at     time.Time
	access string
	// storedAt is when it was first stored; lossCause is why it may not be.
	storedAt   time.Time
	storedTurn int
	lossCause  string
	// leasedAt is when its holder took the lease; late: its request was delayed until its holder had no lease any more.
	leasedAt time.Time
	late     bool
	// delayedDuplicate: a delayed request sent it once more.
	delayedDuplicate bool
	// unsent: the server kept it to itself.
	unsent bool
	// open are the attempts to use it, by lease, without a known outcome.
	open map[string]bool
}

// accessToken is one access token as the server knows it.
type accessToken struct {
	refreshTokenState *refreshTokenState
	until             time.Time
}

// familyServer is an authorization server of refresh tokens.
type familyServer struct {
	w        *grantEnv
	policy   policy
	lifetime time.Duration
	fault    trouble

	serial  int
	handles map[string]*refreshTokenState // by text
	prints  map[string]*refreshTokenState // by fingerprint
	tokens  map[string]accessToken
	codes   map[string]consenting
}

// trouble is how the server fails.
type trouble int

const (
	none    trouble = iota
	broken          // 503 to everything
	garbled         // answers without an access token, and a refresh token in them
	lying           // it answers invalid_grant for a valid one, once
	sparing         // answers a code without a refresh token
	troubles
)

func newFamilyServer(w *grantEnv, p policy, lifetime time.Duration) *familyServer {
	return &familyServer{w: w, policy: p, lifetime: lifetime, handles: map[string]*refreshTokenState{},
		prints: map[string]*refreshTokenState{}, tokens: map[string]accessToken{}, codes: map[string]consenting{}}
}

// code is the code of a new consent.
func (s *familyServer) code(subject string) string {
	s.serial++
	code := fmt.Sprintf("code-%d", s.serial)
	s.codes[code] = consenting{subject: subject, user: pick(s.w.rand, subject+"jane", subject+"joe"), named: s.w.rand.IntN(3) > 0}
	return code
}

// consenting is a consent whose code was not exchanged yet.
type consenting struct {
	subject, user string
	named         bool
}

// issuedElsewhere is a refresh token that was issued to another program.
func (s *familyServer) issuedElsewhere(subject string) string {
	h := s.issue(nil, &family{subject: subject, user: subject + "jane"})
	h.lossCause = "never received"
	return h.text
}

func (s *familyServer) issue(parent *refreshTokenState, f *family) *refreshTokenState {
	s.serial++
	h := &refreshTokenState{text: fmt.Sprintf("refresh-token-%d", s.serial), family: f, parent: parent, at: s.w.time(), open: map[string]bool{}}
	s.handles[h.text], s.prints[printOf(h.text)] = h, h
	return h
}

func printOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// works reports whether a refresh token is valid.
func (s *familyServer) works(h *refreshTokenState) bool {
	switch {
	case h == nil || h.family.ended != "":
		return false
	case h.replaced.IsZero():
		return true
	case s.policy == forgiving:
		return !h.outlived
	}
	return s.policy == briefly && s.w.time().Before(h.replaced.Add(grace))
}

// answer carries out a request; its result may never arrive.
func (s *familyServer) answer(op *operation, r oauth.Request, at time.Time) (*refreshTokenState, oauth.Token, *oauth.Error) {
	s.w.tick()
	if s.fault == broken {
		return nil, oauth.Token{}, unavailable
	}
	var h *refreshTokenState
	if r.GrantType == "authorization_code" {
		given, fresh := s.codes[r.Code.Reveal()]
		if delete(s.codes, r.Code.Reveal()); !fresh {
			return nil, oauth.Token{}, invalidGrant()
		}
		h = s.issue(nil, &family{subject: given.subject, user: given.user, named: given.named})
	} else {
		presented := s.handles[r.RefreshToken.Reveal()]
		if refusal := s.check(presented); refusal != nil {
			return nil, oauth.Token{}, refusal
		}
		h = s.successor(presented)
	}
	h.holder, h.op = op.process, op
	return h, s.token(h, r, at), s.makeUnusable(h, r)
}

// check refuses a refresh token that is not valid.
func (s *familyServer) check(h *refreshTokenState) *oauth.Error {
	if s.works(h) && s.fault == lying {
		s.fault, h.family.wronglyRefused = none, true
		return invalidGrant()
	}
	if s.works(h) {
		return nil
	}
	if h != nil && s.policy == detecting && h.family.ended == "" {
		h.family.ended = "reuse was detected"
	}
	return invalidGrant()
}

// successor is the refresh token in the response to h.
func (s *familyServer) successor(h *refreshTokenState) *refreshTokenState {
	for p := h.parent; p != nil; p = p.parent {
		p.outlived = true
	}
	if s.policy <= repeating {
		return h
	}
	if h.replaced.IsZero() {
		h.replaced = s.w.time()
	}
	return s.issue(h, h.family)
}

func (s *familyServer) token(h *refreshTokenState, r oauth.Request, at time.Time) oauth.Token {
	s.serial++
	t := oauth.Token{AccessToken: redact.New(fmt.Sprintf("access-token-%d", s.serial)), TokenType: "Bearer", Scope: r.Scope,
		RequestedAt: at, ExpiresAt: at.Add(s.lifetime), Trace: oauth.Trace{Calls: 1, Status: 200}}
	if s.policy != keeping || r.GrantType == "authorization_code" {
		t.RefreshToken = redact.New(h.text)
	}
	if r.GrantType == "authorization_code" && s.fault == sparing {
		t.RefreshToken, h.unsent, h.lossCause = redact.Secret{}, true, "never sent"
		t.ExpiresAt = at.Add(pick(s.w.rand, s.lifetime, s.lifetime, day))
	}
	if r.GrantType == "authorization_code" && h.family.named {
		t.Subject = h.family.user
		if s.w.misnames {
			t.Subject = h.text
		}
	}
	h.access = t.ID()
	s.tokens[t.ID()] = accessToken{refreshTokenState: h, until: s.w.time().Add(t.ExpiresAt.Sub(at))}
	return t
}

// makeUnusable leaves only the refresh token usable in the response.
func (s *familyServer) makeUnusable(h *refreshTokenState, r oauth.Request) *oauth.Error {
	if s.fault != garbled {
		return nil
	}
	e := &oauth.Error{Kind: oauth.Malformed, Reason: "access_token", Trace: oauth.Trace{Calls: 1, Status: 200}}
	if s.policy != keeping || r.GrantType == "authorization_code" {
		e.RefreshToken = redact.New(h.text)
	}
	return e
}

// familyPort is the server as one process reaches it.
type familyPort struct {
	w       *grantEnv
	process *processUnderTest
}

func (p *familyPort) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	t, err := p.request(ctx, r)
	if refusal := (*oauth.Error)(nil); p.w.repeats && errors.As(err, &refusal) && refusal.Ambiguous {
		return p.request(ctx, r)
	}
	return t, err
}

func (p *familyPort) request(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	w, op := p.w, operationOf(ctx)
	if ctx.Err() != nil {
		return oauth.Token{}, notSent()
	}
	at := w.clock(p.process)
	w.grantOracle.decided(op, r)
	v := w.stop(ctx, "ask the provider", 0)
	switch {
	case v == refused || ctx.Err() != nil:
		return oauth.Token{}, notSent()
	case v == outdated:
		return oauth.Token{}, unanswered() // it went astray, and who sent it cannot know
	}
	w.grantOracle.arrived(op, r)
	h, t, refusal := w.idp.answer(op, r, at)
	if h != nil {
		h.late, h.leasedAt = w.grantOracle.isLate(op), w.grantOracle.holds[op].at
	}
	w.note("%s #%d   the provider: %s", p.process.name, op.id, described(h, refusal))
	if v == halfway {
		v = w.stop(ctx, "ask the provider answer", 0)
	}
	if v == lost || v == refused || ctx.Err() != nil {
		w.grantOracle.lostToken(h)
		return oauth.Token{}, unanswered()
	}
	w.grantOracle.outcomeReported(op, r)
	if h != nil && refusal != nil && h.lossCause == "" && (strings.HasPrefix(op.text, imports) || r.GrantType == "authorization_code") {
		h.lossCause = "consent or import failed" // who brought it is told so
	}
	if refusal != nil {
		return oauth.Token{}, refusal
	}
	return t, nil
}

func notSent() *oauth.Error { return &oauth.Error{Kind: oauth.Unavailable, Reason: "dial"} }

func described(h *refreshTokenState, refusal *oauth.Error) string {
	switch {
	case h != nil:
		return h.text
	case refusal.Code != "":
		return refusal.Code
	}
	return string(refusal.Kind)
}

// Revoke revokes the family of a refresh token (RFC 7009 §2.1), also of a replaced
// one; at a server with one grant per user and client, all families of the user.
func (p *familyPort) Revoke(ctx context.Context, r oauth.Revocation) error {
	op, h := operationOf(ctx), p.w.idp.handles[r.Token.Reveal()]
	p.w.grantOracle.revokes(op, h)
	v := p.w.stop(ctx, "revoke", 0)
	if h.lossCause == "" {
		h.lossCause = "let go"
	}
	if v == refused || ctx.Err() != nil {
		return unavailable
	}
	for f := range p.w.idp.endedWith(h.family) {
		f.ended, f.released = "it was revoked", true
	}
	if v == lost {
		return unanswered()
	}
	return nil
}

// endedWith are the families that end when f is revoked, of those that are valid.
func (s *familyServer) endedWith(f *family) map[*family]bool {
	ended := map[*family]bool{}
	for _, h := range s.handles {
		if h.family.ended == "" && (h.family == f || s.w.onePerUser && h.family.user == f.user) {
			ended[h.family] = true
		}
	}
	return ended
}
