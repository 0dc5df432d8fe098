package vending_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// grantEnv is a scheduler whose processes refresh with users' grants.
type grantEnv struct {
	*table
	grantSetting
	rand        *rand.Rand
	secrets     *secretSource
	idp         *familyServer
	grantOracle *grantOracle
	// editedAt is when the secret last changed.
	editedAt time.Time
	// repeats breaks the provider's client: it sends a request without a response again.
	repeats bool
	// misnames breaks the provider's id_tokens: each names a user of its own.
	misnames bool
}

// grantSetting is fixed for a whole script.
type grantSetting struct {
	policy   policy
	lifetime time.Duration
	seed     uint64
	// onePerUser: the server keeps one grant per user and client.
	onePerUser bool
	// declared: the connection declares what the server does with a used refresh token.
	declared bool
}

// subjects of the connection; almost all happens to the default one.
var subjects = []string{"", "ann"}

// newGrantEnv derives everything from the seed.
func newGrantEnv(seed uint64, p policy, broken func(*grantEnv) vending.Store) *grantEnv {
	r := rand.New(rand.NewPCG(seed, uint64(p)))
	w := &grantEnv{
		table: newTable(newScheduler()), rand: r, secrets: &secretSource{versions: map[string][]clientsecret.Secret{}},
		grantSetting: grantSetting{policy: p, seed: seed, onePerUser: r.IntN(2) > 0,
			lifetime: pick(r, 2*time.Minute, 10*time.Minute, 10*time.Minute, time.Hour)},
	}
	w.limit = pick(r, 0, 28*time.Second)
	w.declared = r.IntN(2) > 0
	w.idp = newFamilyServer(w, p, w.lifetime)
	w.grantOracle = newGrantOracle(w)
	w.observer, w.oldest = w.grantOracle, 10*believableFor
	w.newCore = w.core
	if broken != nil {
		w.store = broken(w)
	}
	w.edit()
	for range 3 {
		w.boot(time.Duration(r.IntN(2*int(maxSkew/time.Second)+1))*time.Second - maxSkew)
	}
	return w
}

// tick advances the clock by a millisecond, so that no two responses have one instant.
func (w *grantEnv) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// edit gives the connection another client secret.
func (w *grantEnv) edit() {
	text := fmt.Sprintf(userConnection, "hush")
	if w.declared {
		text = strings.Replace(text, `"oauth2"`, `{"refresh_token":`+rotations[w.policy]+`}`, 1)
	}
	w.secrets.put("user", text)
	w.editedAt = w.time()
	w.note("the secret has another version")
}

func (w *grantEnv) core(p *processUnderTest) *vending.Core {
	clock := func() time.Time { return w.clock(p) }
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(w.rand.Uint32())
	}
	return vending.New(vending.Config{
		Store:   &tablePort{w.table},
		Secrets: clientsecret.NewCache(clientsecret.CacheConfig{Source: w.secrets, Now: clock}),
		Minter:  &familyPort{w: w, process: p}, Revoker: &familyPort{w: w, process: p},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
		}}),
		Now: clock, Wait: w.pause, Rand: rand.NewChaCha8(seed),
	})
}

func keyOf(subject string) tokenstore.Key {
	return tokenstore.Key{Connection: "user", Subject: subject}
}

// begins starts a request to a process, unless it is frozen or has two of the
// subject in progress.
func (w *grantEnv) begins(p *processUnderTest, subject, text string, work func(context.Context, *operation) (check func())) *operation {
	op := &operation{process: p, key: subject, request: of(subject), text: text + " " + subject}
	if p.frozen || w.busy(p, subject) >= 2 {
		return nil
	}
	w.start(op, func(ctx context.Context) func() { return work(ctx, op) })
	return op
}

func (w *grantEnv) vend(p *processUnderTest, subject, rejecting string) *operation {
	text := "vends"
	if rejecting != "" {
		text = "rejects"
	}
	return w.begins(p, subject, text, func(ctx context.Context, op *operation) func() {
		op.request.RejectedTokenID = rejecting
		v, err := p.core.Vend(ctx, op.request)
		return func() { w.grantOracle.served(op, v, err) }
	})
}

func (w *grantEnv) reject(p *processUnderTest, subject string) {
	if id := w.stored(keyOf(subject)).Token.ID; id != "" {
		w.vend(p, subject, id)
	}
}

func (w *grantEnv) renew(p *processUnderTest, subject string) {
	w.begins(p, subject, "renews", func(ctx context.Context, op *operation) func() {
		plan, err := p.core.Inspect(ctx, keyOf(subject), time.Time{})
		if plan.Due() {
			_, err = plan.Run(ctx)
		}
		return func() { w.grantOracle.answered(op, err) }
	})
}

func (w *grantEnv) forget(p *processUnderTest, subject string) {
	w.begins(p, subject, "forgets", func(ctx context.Context, op *operation) func() {
		err := p.core.Forget(ctx, of(subject), false)
		return func() { w.grantOracle.answered(op, err) }
	})
}

func (w *grantEnv) reconcile(p *processUnderTest) {
	w.begins(p, "", "reconciles", func(ctx context.Context, op *operation) func() {
		_, err := p.core.Reconcile(ctx, vending.Changed{Secret: "user", Former: []string{"user"}})
		return func() { w.grantOracle.answered(op, err) }
	})
}

func (w *grantEnv) disconnect(p *processUnderTest, subject string) {
	w.begins(p, subject, disconnects, func(ctx context.Context, op *operation) func() {
		err := p.core.Disconnect(ctx, of(subject))
		return func() { w.grantOracle.answered(op, err) }
	})
}

// The requests that are checked by other rules than a vend.
const disconnects, imports = "disconnects", "imports"

func (w *grantEnv) consent(p *processUnderTest, subject string) *operation {
	code := w.idp.code(subject)
	return w.begins(p, subject, "consents", func(ctx context.Context, op *operation) func() {
		conn, err := p.core.Delegated(ctx, of(subject))
		if err == nil {
			err = p.core.Authorize(ctx, vending.Authorization{Connection: conn, Subject: connection.Subject(subject), Code: redact.New(code),
				Verifier: redact.New("verifier"), RedirectURI: "https://example.com/callback/user", Scope: conn.Scope})
		}
		return func() { w.grantOracle.consented(op, err) }
	})
}

// importsToken imports a refresh token that was issued elsewhere, or the stored one
// again.
func (w *grantEnv) importsToken(p *processUnderTest, subject string) {
	token := w.idp.issuedElsewhere(subject)
	if h := w.idp.prints[w.stored(keyOf(subject)).Grant.Fingerprint]; h != nil && w.rand.IntN(3) == 0 && w.busy(p, subject) == 0 {
		token = h.text
	}
	w.begins(p, subject, imports+" "+token, func(ctx context.Context, op *operation) func() {
		err := p.core.Import(ctx, vending.Import{Request: of(subject), RefreshToken: redact.New(token)})
		return func() { w.grantOracle.consented(op, err) }
	})
}

// userRevokes has a user revoke a consent at the provider.
func (w *grantEnv) userRevokes(subject string) {
	if h := w.idp.prints[w.stored(keyOf(subject)).Grant.Fingerprint]; h != nil && h.family.ended == "" {
		h.family.ended, h.family.released = "its user withdrew it", true
		w.note("the user %s revokes the consent", subject)
	}
}

// converge is INV-7: when nothing fails any more, every process gets a token within
// one lease of the next attempt, or authorization_required; also after the frozen
// ones have come back.
func (w *grantEnv) converge() {
	w.idp.fault = none
	w.note("every fault ends")
	w.drain()
	w.advance(w.longestWait())
	w.boot(0)
	w.vendAll(w.fleet[len(w.fleet)-1:])
	for _, p := range w.fleet {
		p.frozen = false
	}
	w.drain()
	w.advance(w.longestWait())
	w.vendAll(w.fleet)
	w.grantOracle.close()
}

func (w *grantEnv) drain() {
	for gates := w.runnable(); len(gates) > 0 && w.found == ""; gates = w.runnable() {
		w.finish(gates[0].op)
	}
}

// longestWait is how long a new request may have to wait. A grant that has ended
// is not retried at all.
func (w *grantEnv) longestWait() time.Duration {
	until := w.time()
	for _, subject := range subjects {
		if f := w.stored(keyOf(subject)).Failure; f.NextAttemptAt.Year() < 9999 {
			until = later(until, f.NextAttemptAt)
		}
	}
	return until.Sub(w.time()) + leaseTTL + 2*maxSkew
}

// vendAll vends in each of the processes.
func (w *grantEnv) vendAll(processes []*processUnderTest) {
	for _, p := range processes {
		for _, subject := range subjects {
			if w.found != "" {
				return
			}
			op := w.begins(p, subject, "vends at last", func(ctx context.Context, op *operation) func() {
				v, err := p.core.Vend(ctx, op.request)
				return func() { w.grantOracle.servedInTheEnd(op, v, err) }
			})
			if op != nil {
				w.finish(op)
			}
		}
	}
}
