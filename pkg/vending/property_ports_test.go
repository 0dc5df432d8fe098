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
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// connections are those of the world; almost all happens to the first.
var connections = []string{"crm", "erp"}

// tablePort is the table as one process reaches it.
type tablePort struct{ w *world }

func (p *tablePort) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	what := "read"
	if consistent {
		what = "read consistently"
	}
	item, err := tableCall(ctx, p.w, what, key, func(v verdict) (tokenstore.Item, error) {
		if v == outdated && !consistent {
			return p.w.past.oldest(key), nil
		}
		return p.w.table.Get(ctx, key, consistent)
	})
	if err == nil {
		operationOf(ctx).read = item.Token.ID
	}
	return item, err
}

func (p *tablePort) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	item, err := tableCall(ctx, p.w, "acquire", a.Key, func(verdict) (tokenstore.Item, error) {
		before := p.w.oracle.stands(a.Key)
		item, err := p.w.table.Acquire(unending(ctx), a)
		p.w.oracle.acquired(operationOf(ctx), a, before, err)
		return item, err
	})
	if op := operationOf(ctx); err != nil && op.hold != nil && op.hold.owner == a.Owner {
		op.hold = nil // it is held, and its holder does not know
	}
	return item, err
}

func (p *tablePort) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	return tableCall(ctx, p.w, "commit", c.Key, func(verdict) (tokenstore.Item, error) {
		before := p.w.oracle.stands(c.Key)
		item, err := p.w.table.Commit(unending(ctx), c)
		p.w.oracle.committed(c, before, err)
		return item, err
	})
}

func (p *tablePort) Fail(ctx context.Context, f tokenstore.Fail) error {
	return p.write(ctx, "fail", f.Key, func() error {
		p.w.oracle.failed(f)
		return p.w.table.Fail(unending(ctx), f)
	})
}

func (p *tablePort) Release(ctx context.Context, r tokenstore.Release) error {
	return p.write(ctx, "release", r.Key, func() error {
		p.w.oracle.released(r.Owner)
		return p.w.table.Release(unending(ctx), r)
	})
}

func (p *tablePort) Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error) {
	return tableCall(ctx, p.w, "reject", r.Key, func(verdict) (tokenstore.Item, error) {
		p.w.oracle.moved++
		return p.w.table.Reject(unending(ctx), r)
	})
}

func (p *tablePort) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	return tableCall(ctx, p.w, "drop", d.Key, func(verdict) (tokenstore.Item, error) {
		p.w.oracle.dropped(d.Key)
		return p.w.table.Drop(unending(ctx), d)
	})
}

func (p *tablePort) Adopt(ctx context.Context, a tokenstore.Adopt) (tokenstore.Item, error) {
	return tableCall(ctx, p.w, "adopt", a.Key, func(verdict) (tokenstore.Item, error) {
		return p.w.table.Adopt(unending(ctx), a)
	})
}

func (p *tablePort) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	return p.w.table.Subjects(ctx, connection, limit, after)
}

func (p *tablePort) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	return p.write(ctx, "mark used", key, func() error { return p.w.table.MarkUsed(unending(ctx), key, version) })
}

func (p *tablePort) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	return p.write(ctx, "add variant", key, func() error { return p.w.table.AddVariant(unending(ctx), key, variant) })
}

func (p *tablePort) SetForced(ctx context.Context, key tokenstore.Key, was, forced []time.Time) error {
	return p.write(ctx, "set forced", key, func() error { return p.w.table.SetForced(unending(ctx), key, was, forced) })
}

func (p *tablePort) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	return p.write(ctx, "remove variant", key, func() error { return p.w.table.RemoveVariant(unending(ctx), key, variant) })
}

func (p *tablePort) write(ctx context.Context, what string, key tokenstore.Key, carryOut func() error) error {
	_, err := tableCall(ctx, p.w, what, key, func(verdict) (struct{}, error) { return struct{}{}, carryOut() })
	return err
}

// tableCall is a call to the table, with the item looked at before and after.
func tableCall[T any](ctx context.Context, w *world, what string, key tokenstore.Key, carryOut func(verdict) (T, error)) (T, error) {
	result, err := call(ctx, w, what+" "+keyText(key), func(v verdict) (T, error) {
		before := w.oracle.stands(key)
		result, err := carryOut(v)
		w.past.remember(key)
		w.oracle.changed(what, before, w.oracle.stands(key))
		return result, err
	}, tokenstore.ErrUnavailable)
	if errors.Is(err, tokenstore.ErrUnavailable) {
		op := operationOf(ctx)
		op.storeFailed, op.failedAt = true, w.clock(op.process)
		w.oracle.faults++
	}
	return result, err
}

// unending lets a write land although its sender has long given up on it.
func unending(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func operationOf(ctx context.Context) *operation { return ctx.Value(operationKey{}).(*operation) }

func keyText(key tokenstore.Key) string {
	if key.Variant == "" {
		return key.Connection
	}
	return key.Connection + "/" + key.Variant[:4]
}

// replicas are the states that an eventually consistent read may still see.
type replicas struct {
	w    *world
	past map[tokenstore.Key][]snapshot
}

// snapshot is an item as it stood until an instant.
type snapshot struct {
	item  tokenstore.Item
	until time.Time
}

// replicaLag bounds how old an eventually consistent answer is.
const replicaLag = 3 * time.Second

func newReplicas(w *world) *replicas { return &replicas{w: w, past: map[tokenstore.Key][]snapshot{}} }

// remember notes the item as it stands after a call.
func (r *replicas) remember(key tokenstore.Key) {
	now, list := r.w.time(), r.past[key]
	if n := len(list); n > 0 {
		list[n-1].until = now
	} else {
		list = append(list, snapshot{item: tokenstore.Item{Key: key}, until: now})
	}
	r.past[key] = append(list, snapshot{item: r.w.oracle.stands(key)})
}

// keys are those that were ever called about, in a stable order.
func (r *replicas) keys() []tokenstore.Key {
	return slices.SortedFunc(maps.Keys(r.past), func(a, b tokenstore.Key) int { return strings.Compare(keyText(a), keyText(b)) })
}

// oldest is the oldest state that a replica may have.
func (r *replicas) oldest(key tokenstore.Key) tokenstore.Item {
	horizon := r.w.time().Add(-replicaLag)
	for _, s := range r.past[key] {
		if s.until.IsZero() || s.until.After(horizon) {
			return s.item
		}
	}
	return tokenstore.Item{Key: key}
}

// vault holds the connections' secrets, every version of them.
type vault struct {
	w        *world
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

func newVault(w *world) *vault {
	return &vault{w: w, versions: map[string][]*version{}, byID: map[string]*version{}}
}

// put declares a connection for the first time, or anew after a deletion.
func (v *vault) put(name string, early bool) {
	v.serial++
	v.add(name, version{number: v.serial, edition: v.serial, secret: fmt.Sprintf("s%d", v.serial)},
		fmt.Sprintf("arn:test:%s:%d", name, v.serial), early)
}

// edit makes a new version of a secret: with another client secret, or with
// something else changed.
func (v *vault) edit(name string, rotate, early bool) {
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

func (v *vault) add(name string, next version, arn string, early bool) {
	text := fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":%q,"token_url":"https://idp.example.com/token",
		"scope":"all","allowed_scopes":["read"],"early_refresh":%v,"token_params":{"edition":"%d"}}`,
		name, next.secret, early, next.edition)
	next.Secret = clientsecret.Secret{Name: name, ARN: arn, VersionID: fmt.Sprintf("%s-v%d", name, next.number),
		Text: redact.New(text), Origin: "secret " + name}
	v.replace(name)
	v.versions[name] = append(v.versions[name], &next)
	v.byID[next.VersionID] = &next
}

func (v *vault) remove(name string) {
	v.replace(name)
	v.last(name).deleted = true
}

func (v *vault) replace(name string) {
	if last := v.last(name); last != nil && last.replacedAt.IsZero() {
		last.replacedAt, last.replacedTurn = v.w.time(), v.w.turn
	}
}

// last is the latest version of a secret; nil when there never was one.
func (v *vault) last(name string) *version {
	versions := v.versions[name]
	if len(versions) == 0 {
		return nil
	}
	return versions[len(versions)-1]
}

// read is what the source answers.
func (v *vault) read(name string, stage clientsecret.Stage) (clientsecret.Secret, error) {
	last := v.last(name)
	if last == nil || last.deleted {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	if stage == clientsecret.Current {
		return last.Secret, nil
	}
	versions := v.versions[name]
	if len(versions) < 2 || versions[len(versions)-2].ARN != last.ARN {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return versions[len(versions)-2].Secret, nil
}

// number is that of the version with which a request was made.
func (v *vault) number(r oauth.Request) int {
	for _, version := range v.versions[r.ClientID] {
		if version.secret == r.ClientSecret.Reveal() && strconv.Itoa(version.edition) == r.Params.Get("edition") {
			return version.number
		}
	}
	return 0
}

// vaultPort is the source of secrets, as a process's cache reaches it.
type vaultPort struct{ w *world }

func (p *vaultPort) Load(ctx context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	return call(ctx, p.w, fmt.Sprintf("load %s %s", name, stage), func(verdict) (clientsecret.Secret, error) {
		return p.w.vault.read(name, stage)
	}, clientsecret.ErrUnavailable)
}

// secretPort is the cache in front of it, with the core's view of it noted.
type secretPort struct {
	w     *world
	cache *clientsecret.Cache
}

func (p *secretPort) Load(ctx context.Context, name string, stage clientsecret.Stage, fresh bool) (clientsecret.Secret, error) {
	s, err := p.cache.Load(ctx, name, stage, fresh)
	if err == nil && stage == clientsecret.Current {
		operationOf(ctx).loaded = p.w.vault.byID[s.VersionID].number
	}
	return s, err
}

// provider is the authorization server of every connection.
type provider struct {
	w        *world
	lifetime time.Duration
	fault    *oauth.Error
	accepted map[string]bool // client secrets
	issued   map[string]*issue
	calls    int
}

// issue is one token as the provider knows it. until is when it dies, by true time.
type issue struct {
	id, connection, scope, secret, edition string
	at, until                              time.Time
	turn                                   int
	stored, alone                          bool
}

func newProvider(w *world, lifetime time.Duration) *provider {
	return &provider{w: w, lifetime: lifetime, accepted: map[string]bool{}, issued: map[string]*issue{}}
}

// faults are how the provider can fail. The first is that it does not.
var faults = []*oauth.Error{
	nil,
	{Kind: oauth.Unavailable, Reason: "status", Trace: oauth.Trace{Calls: 1, Status: 503}},
	{Kind: oauth.Unavailable, Reason: "status", RetryAfter: time.Minute, Trace: oauth.Trace{Calls: 1, Status: 429}},
	{Kind: oauth.Malformed, Reason: "json", Trace: oauth.Trace{Calls: 1, Status: 200}},
	{Kind: oauth.Timeout, Reason: "timeout", Trace: oauth.Trace{Calls: 1}},
	{Kind: oauth.Rejected, Code: "unauthorized_client", Trace: oauth.Trace{Calls: 1, Status: 400}},
}

// errAnswerLost is what a client sees of an answer that does not arrive.
var errAnswerLost error = &oauth.Error{Kind: oauth.Timeout, Reason: "timeout"}

// answer is what the provider makes of a request.
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

// believes makes the provider accept the latest secret, the one before, or both.
func (p *provider) believes(current, previous bool) {
	p.accepted = map[string]bool{}
	for name := range maps.Keys(p.w.vault.versions) {
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
	for _, v := range p.w.vault.versions[name] {
		secrets = append(secrets, v.secret)
	}
	slices.Reverse(secrets)
	return slices.Compact(secrets)
}

// providerPort is the provider as a process reaches it.
type providerPort struct {
	w     *world
	clock func() time.Time
}

func (p *providerPort) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	requestedAt := p.clock()
	asked := false
	t, err := call(ctx, p.w, "ask the provider", func(v verdict) (oauth.Token, error) {
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
	if err == errAnswerLost && asked {
		p.w.oracle.faults++
	}
	return t, err
}

func (p *providerPort) Revoke(ctx context.Context, _ oauth.Revocation) error {
	_, err := call(ctx, p.w, "revoke", func(verdict) (struct{}, error) { return struct{}{}, nil }, error(faults[1]))
	return err
}
