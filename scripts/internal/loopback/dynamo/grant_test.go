package dynamo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

// TestSweeperTakesNoRefreshToken does to an item with a grant whatever can be
// done to one, as of years ago, and sweeps after each step (CR-16).
func TestSweeperTakesNoRefreshToken(t *testing.T) {
	for _, key := range []tokenstore.Key{{Connection: "crm"}, {Connection: "crm", Subject: "joe"}} {
		t.Run("CR-16 FI-33 subject "+key.Subject, func(t *testing.T) {
			g := newSwept(t, key)
			for _, step := range g.steps() {
				if err := step.do(); err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				g.Sweep(time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC))
				item, err := g.store.Get(t.Context(), key, true)
				if err != nil || item.Grant.Fingerprint == "" || len(item.Grant.Sealed) == 0 {
					t.Fatalf("after %s the sweeper took the refresh token: %+v, %v", step.name, item, err)
				}
			}
		})
	}
}

func TestSweeperTakesWhatHasNoRefreshToken(t *testing.T) {
	g := newSwept(t, tokenstore.Key{Connection: "crm"})
	if err := errors.Join(g.take("a", false), g.commit("a", 0, "")); err != nil {
		t.Fatal(err)
	}
	if swept := g.Sweep(now); swept != 1 {
		t.Errorf("CR-16: %d items swept, want the token that ended years ago", swept)
	}
	if err := errors.Join(g.adopt(0), g.drop(true)); err != nil {
		t.Fatal(err)
	}
	if swept := g.Sweep(now); swept != 1 {
		t.Errorf("CR-16: %d items swept, want that of the grant that was dropped", swept)
	}
}

// past is when everything here happens: every ttl set then has come.
var past = now.AddDate(-5, 0, 0)

// swept is one item of a table that is swept.
type swept struct {
	engine
	t     *testing.T
	store storetest.Store
	key   tokenstore.Key
}

func newSwept(t *testing.T, key tokenstore.Key) *swept {
	e := start(t)
	c := e.tokens(t)
	_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName:               aws.String("tokens"),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)},
	})
	if err != nil {
		t.Fatalf("UpdateTimeToLive: %v", err)
	}
	return &swept{engine: e, t: t, key: key, store: awsdynamodb.New(awsdynamodb.Config{Client: c, Table: "tokens"})}
}

func (g *swept) take(owner string, spend bool) error {
	_, err := g.store.Acquire(g.t.Context(), tokenstore.Acquire{Key: g.key, Owner: owner, Now: past, TTL: time.Second, UsesRefreshToken: spend})
	return err
}

func grantNamed(id string) tokenstore.SealedGrant {
	return tokenstore.SealedGrant{Fingerprint: id, Sealed: []byte("sealed " + id), ExpiresAt: past}
}

func (g *swept) commit(owner string, version int64, consumed string) error {
	_, err := g.store.Commit(g.t.Context(), tokenstore.Commit{
		Key: g.key, Owner: owner, Version: version, Now: past, Consumed: consumed, Grant: grantNamed(consumed + "+"),
		Token: tokenstore.SealedToken{ID: "token", Sealed: []byte("sealed"), MintedAt: past, ExpiresAt: past.Add(time.Minute)},
	})
	return err
}

func (g *swept) adopt(version int64) error {
	_, err := g.store.StoreGrant(g.t.Context(), tokenstore.StoreGrant{Key: g.key, Owner: "adopter", Version: version, Grant: grantNamed("rt"), Now: past})
	return err
}

func (g *swept) drop(grant bool) error {
	_, err := g.store.Drop(g.t.Context(), tokenstore.Drop{Key: g.key, Grant: grant, Now: past})
	return err
}

func (g *swept) fail(owner string, unsettled bool) error {
	failure := tokenstore.Failure{Count: 1, FailedAt: past, NextAttemptAt: past}
	return g.store.Fail(g.t.Context(), tokenstore.Fail{Key: g.key, Owner: owner, Failure: failure, OutcomeUnknown: unsettled, Now: past})
}

type sweptStep struct {
	name string
	do   func() error
}

// steps begin with a token that is not of a grant, so that a ttl stands.
func (g *swept) steps() []sweptStep {
	ctx := g.t.Context()
	return []sweptStep{
		{"consent", func() error { return errors.Join(g.take("a", false), g.commit("a", 0, ""), g.adopt(1)) }},
		{"lease", func() error { return g.take("b", false) }},
		{"failure", func() error { return g.fail("b", false) }},
		{"lease to spend", func() error { return g.take("c", true) }},
		{"failure with an unknown outcome", func() error { return g.fail("c", true) }},
		{"lease after it", func() error { return g.take("d", true) }},
		{"refresh", func() error { return g.commit("d", 2, "rt") }},
		{"refresh of a moved version", func() error { return g.commit("d", 1, "rt+") }},
		{"token without a refresh token", func() error { return errors.Join(g.take("e", false), g.commit("e", 3, "")) }},
		{"rejection", func() error {
			_, err := g.store.Reject(ctx, tokenstore.Reject{Key: g.key, Version: 4, TokenID: "token", ForcedRefreshes: []time.Time{past}})
			return err
		}},
		{"forced", func() error {
			return g.store.SetForcedRefreshes(ctx, g.key, []time.Time{past}, []time.Time{past, past})
		}},
		{"variant", func() error { return g.store.AddVariant(ctx, g.key, "v1") }},
		{"variant taken back", func() error { return g.store.RemoveVariant(ctx, g.key, "v1") }},
		{"drop", func() error { return g.drop(false) }},
		{"release", func() error {
			return errors.Join(g.take("f", false), g.store.Release(ctx, tokenstore.Release{Key: g.key, Owner: "f"}))
		}},
		{"slot", func() error { return g.store.Reslot(ctx, g.key, "a", "b") }},
		{"new consent", func() error { return g.adopt(6) }},
	}
}
