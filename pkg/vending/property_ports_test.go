package vending_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// connections are those of the environment; almost all happens to the first.
var connections = []string{"crm", "erp"}

// secretHistory keeps every version of the connections' secrets.
type secretHistory struct {
	w        *env
	versions map[string][]*version // by connection, oldest first
	byID     map[string]*version
	serial   int
}

// version is one version of one secret.
type version struct {
	clientsecret.Secret
	number     int // counts up over all versions
	secret     string
	edition    int // of everything but the client
	deleted    bool
	replacedAt time.Time
	// replacedTurn is when, by turns; zero while it is current.
	replacedTurn int
}

func newSecretHistory(w *env) *secretHistory {
	return &secretHistory{w: w, versions: map[string][]*version{}, byID: map[string]*version{}}
}

// put declares a connection for the first time, or again after a deletion.
func (v *secretHistory) put(name string, early bool) {
	v.serial++
	v.add(name, version{number: v.serial, edition: v.serial, secret: fmt.Sprintf("s%d", v.serial)},
		fmt.Sprintf("arn:test:%s:%d", name, v.serial), early)
}

// edit adds a version of a secret: with another client secret, or another change.
func (v *secretHistory) edit(name string, rotate, early bool) {
	v.serial++
	last := v.last(name)
	next := version{number: v.serial, edition: last.edition, secret: last.secret}
	if rotate {
		next.secret = fmt.Sprintf("s%d", v.serial)
	} else {
		next.edition = v.serial
	}
	v.add(name, next, last.ARN, early)
}

func (v *secretHistory) add(name string, next version, arn string, early bool) {
	text := fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":%q,"token_url":"https://idp.example.com/token",
		"scope":"all","allowed_scopes":["read"],"early_refresh":%v,"token_params":{"edition":"%d"}}`,
		name, next.secret, early, next.edition)
	next.Secret = clientsecret.Secret{Name: name, ARN: arn, VersionID: fmt.Sprintf("%s-v%d", name, next.number), CreatedAt: v.w.begin.Add(time.Duration(next.number) * time.Millisecond),
		Text: redact.New(text), Origin: "secret " + name}
	v.replace(name)
	v.versions[name] = append(v.versions[name], &next)
	v.byID[next.VersionID] = &next
}

func (v *secretHistory) remove(name string) {
	v.replace(name)
	v.last(name).deleted = true
}

func (v *secretHistory) replace(name string) {
	if last := v.last(name); last != nil && last.replacedAt.IsZero() {
		last.replacedAt, last.replacedTurn = v.w.time(), v.w.turn
	}
}

// last is the latest version of a secret; nil when there never was one.
func (v *secretHistory) last(name string) *version {
	versions := v.versions[name]
	if len(versions) == 0 {
		return nil
	}
	return versions[len(versions)-1]
}

// read is the source's result.
func (v *secretHistory) read(name string, scheduler clientsecret.Stage) (clientsecret.Secret, error) {
	last := v.last(name)
	if last == nil || last.deleted {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	if scheduler == clientsecret.Current {
		return last.Secret, nil
	}
	versions := v.versions[name]
	if len(versions) < 2 || versions[len(versions)-2].ARN != last.ARN {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return versions[len(versions)-2].Secret, nil
}

// number is the number of the version that a request was made with.
func (v *secretHistory) number(r oauth.Request) int {
	for _, version := range v.versions[r.ClientID] {
		if version.secret == r.ClientSecret.Reveal() && strconv.Itoa(version.edition) == r.Params.Get("edition") {
			return version.number
		}
	}
	return 0
}

// sourcePort is the source of secrets, as a process's cache reaches it.
type sourcePort struct{ w *env }

func (p *sourcePort) Load(ctx context.Context, name string, scheduler clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	return call(ctx, p.w.scheduler, fmt.Sprintf("load %s %s", name, scheduler), func(outcome) (clientsecret.Secret, error) {
		return p.w.secretHistory.read(name, scheduler)
	}, clientsecret.ErrUnavailable)
}

// secretPort is the cache in front of it, and records what the core reads.
type secretPort struct {
	w     *env
	cache *clientsecret.Cache
}

func (p *secretPort) Load(ctx context.Context, name string, scheduler clientsecret.Stage, fresh bool) (clientsecret.Secret, error) {
	s, err := p.cache.Load(ctx, name, scheduler, fresh)
	if err == nil && scheduler == clientsecret.Current {
		operationOf(ctx).loaded = p.w.secretHistory.byID[s.VersionID].number
	}
	return s, err
}

// provider is the authorization server of every connection.
type provider struct {
	w        *env
	lifetime time.Duration
	fault    *oauth.Error
	accepted map[string]bool // client secrets
	issued   map[string]*issue
	calls    int
}

// issue is one token as the provider knows it. until is its expiry, by true time.
type issue struct {
	id, connection, scope, secret, edition string
	at, until                              time.Time
	turn                                   int
	stored, withoutLease                   bool
}

func newProvider(w *env, lifetime time.Duration) *provider {
	return &provider{w: w, lifetime: lifetime, accepted: map[string]bool{}, issued: map[string]*issue{}}
}

// faults are how the provider can fail. The first is no failure.
var faults = []*oauth.Error{
	nil,
	{Kind: oauth.Unavailable, Reason: "status", Trace: oauth.Trace{Calls: 1, Status: 503}},
	{Kind: oauth.Unavailable, Reason: "status", RetryAfter: time.Minute, Trace: oauth.Trace{Calls: 1, Status: 429}},
	{Kind: oauth.Malformed, Reason: "json", Trace: oauth.Trace{Calls: 1, Status: 200}},
	{Kind: oauth.Timeout, Reason: "timeout", Trace: oauth.Trace{Calls: 1}},
	{Kind: oauth.Rejected, Code: "unauthorized_client", Trace: oauth.Trace{Calls: 1, Status: 400}},
}

// errAnswerLost is what a client sees of a response that does not arrive.
var errAnswerLost error = &oauth.Error{Kind: oauth.Timeout, Reason: "timeout"}

// answer is the provider's response to a request.
func (p *provider) answer(r oauth.Request, requestedAt time.Time) (oauth.Token, error) {
	p.calls++
	switch secret := r.ClientSecret.Reveal(); {
	case p.fault != nil:
		return oauth.Token{}, p.fault
	case len(p.accepted) > 0 && !p.accepted[secret]:
		return oauth.Token{}, &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
	}
	text := fmt.Sprintf("token_%d", p.calls)
	sum := sha256.Sum256([]byte(text))
	id := hex.EncodeToString(sum[:8])
	now := p.w.time()
	p.issued[id] = &issue{id: id, connection: r.ClientID, scope: r.Scope, secret: r.ClientSecret.Reveal(),
		edition: r.Params.Get("edition"), at: now, turn: p.w.turn, until: now.Add(p.lifetime)}
	return oauth.Token{AccessToken: redact.New(text), TokenType: "Bearer", Scope: r.Scope,
		RequestedAt: requestedAt, ExpiresAt: requestedAt.Add(p.lifetime), Trace: oauth.Trace{Calls: 1, Status: 200}}, nil
}

// believes makes the provider accept the latest secret, the previous one, or both.
func (p *provider) believes(current, previous bool) {
	p.accepted = map[string]bool{}
	for name := range maps.Keys(p.w.secretHistory.versions) {
		secrets := p.secrets(name)
		if current {
			p.accepted[secrets[0]] = true
		}
		if previous {
			p.accepted[secrets[min(1, len(secrets)-1)]] = true
		}
	}
}

// secrets are a connection's client secrets, each once, latest first.
func (p *provider) secrets(name string) []string {
	var secrets []string
	for _, v := range p.w.secretHistory.versions[name] {
		secrets = append(secrets, v.secret)
	}
	slices.Reverse(secrets)
	return slices.Compact(secrets)
}

// providerPort is the provider as a process reaches it.
type providerPort struct {
	w     *env
	clock func() time.Time
}

func (p *providerPort) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	requestedAt := p.clock()
	asked := false
	t, err := call(ctx, p.w.scheduler, "ask the provider", func(v outcome) (oauth.Token, error) {
		if asked {
			p.w.oracle.faults++ // the client's own retry
		}
		if !asked {
			p.w.oracle.asked(operationOf(ctx), r, requestedAt)
		}
		asked = true
		t, err := p.w.idp.answer(r, requestedAt)
		p.w.oracle.answered(operationOf(ctx), t, err)
		return t, err
	}, errAnswerLost)
	if errors.Is(err, errAnswerLost) && asked {
		p.w.oracle.faults++
	}
	return t, err
}

func (p *providerPort) Revoke(ctx context.Context, _ oauth.Revocation) error {
	_, err := call(ctx, p.w.scheduler, "revoke", func(outcome) (struct{}, error) { return struct{}{}, nil }, error(faults[1]))
	return err
}
