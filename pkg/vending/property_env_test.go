package vending_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// env is a scheduler whose processes refresh client_credentials tokens.
type env struct {
	*table
	secretHistory *secretHistory // secrets, by version
	idp           *provider      // the provider
	oracle        *oracle        // checks everything that happens
	// answers are what callers got: a token's text, or an error code.
	answers map[*operation]string
	seed    uint64
	// lateRefresh: the provider refuses a new token before the old one ends.
	lateRefresh bool
}

// keepsToken reports whether a token of a replaced version is served to its end: the
// provider issues no other one, and the connection was not deleted since.
func (w *env) keepsToken(v *version) bool {
	return w.lateRefresh && v.ARN == w.secretHistory.last(v.Name).ARN
}

func newEnv(s setting, broken func(*env) vending.Store) *env {
	w := &env{table: newTable(newScheduler()), seed: s.seed, lateRefresh: !s.early, answers: map[*operation]string{}}
	w.secretHistory = newSecretHistory(w)
	w.idp = newProvider(w, s.lifetime)
	w.oracle = newOracle(w)
	w.observer = w.oracle
	w.newCore = w.core
	if broken != nil {
		w.store = broken(w)
	}
	for _, name := range connections {
		w.secretHistory.put(name, s.early)
	}
	for _, offset := range s.offsets {
		w.boot(offset)
	}
	return w
}

func (w *env) core(p *processUnderTest) *vending.Core {
	clock := func() time.Time { return w.clock(p) }
	w.seed++
	return vending.New(vending.Config{
		Store:   &tablePort{w.table},
		Secrets: &secretPort{w: w, cache: clientsecret.NewCache(clientsecret.CacheConfig{Source: &sourcePort{w: w}, Now: clock})},
		Minter:  &providerPort{w: w, clock: clock}, Revoker: &providerPort{w: w, clock: clock},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`), nil
		}}),
		Now: clock, Wait: w.pause, Rand: rand.NewChaCha8([32]byte{byte(w.seed), byte(w.seed >> 8), byte(w.seed >> 16)}),
	})
}
