package rules_test

import (
	"context"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

func issued(lifetime time.Duration) token.Token {
	return token.Token{ID: "1", MintedAt: now, ExpiresAt: now.Add(lifetime), EarlyRefresh: true}
}

func TestSlotsAreEmpty(t *testing.T) {
	key, grant := tokenstore.Key{Connection: "crm"}, tokenstore.SealedGrant{Fingerprint: "f", RefreshedAt: now}
	early := connection.Connection{EarlyRefresh: true}
	revokes := connection.Connection{EarlyRefresh: true, NewTokenRevokesOld: true}
	ended := tokenstore.Item{Key: key, Grant: grant, Failure: tokenstore.Failure{Count: 1, NextAttemptAt: rules.Never}}
	for _, c := range []struct {
		name  string
		slot  string
		empty bool
	}{
		{"CR-27 a token", rules.RenewSlot(key, early, issued(time.Hour)), false},
		{"CR-27 a token that the provider does not replace early", rules.RenewSlot(key, connection.Connection{}, issued(time.Hour)), true},
		{"CR-27 a token that its successor revokes", rules.RenewSlot(key, revokes, issued(time.Hour)), true},
		{"CR-27 a grant whose token has no slot", rules.GrantSlot(key, revokes, issued(time.Hour), grant), false},
		{"CR-27 a grant without a token", rules.KeepAliveSlot(key, grant), false},
		{"CR-27 no grant and no token", rules.KeepAliveSlot(key, tokenstore.SealedGrant{}), true},
		{"CR-28 a grant that has ended", rules.RegularSlot(ended, issued(time.Hour)), true},
		{"CR-27 an item back from a retry", rules.RegularSlot(tokenstore.Item{Key: key}, issued(time.Hour)), false},
	} {
		if (c.slot == "") != c.empty {
			t.Errorf("%s: slot %q, want empty: %v", c.name, c.slot, c.empty)
		}
	}
}

func TestSlotAfterFailure(t *testing.T) {
	key := tokenstore.Key{Connection: "crm"}
	failure := tokenstore.Failure{NextAttemptAt: now.Add(time.Minute)}
	retry := rules.RetrySlot(key, failure.NextAttemptAt)
	for _, c := range []struct {
		name string
		item tokenstore.Item
		life time.Duration
		want string
	}{
		{"a token that lasts until the next attempt", tokenstore.Item{Key: key, RenewSlot: "own"}, time.Hour, retry},
		{"a token that does not", tokenstore.Item{Key: key, RenewSlot: "own"}, 30 * time.Second, "own"},
		{"a token without a slot", tokenstore.Item{Key: key}, time.Hour, ""},
		{"a grant, whatever its token", tokenstore.Item{Key: key, Grant: tokenstore.SealedGrant{Fingerprint: "f"}}, 0, retry},
	} {
		if got := rules.SlotAfterFailure(c.item, issued(c.life), failure); got != c.want {
			t.Errorf("CR-28 %s: slot %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNeedsRenewal(t *testing.T) {
	grant := tokenstore.SealedGrant{Fingerprint: "f", RefreshedAt: now}
	soon, late := now.Add(10*time.Minute), now.Add(30*time.Hour)
	for _, c := range []struct {
		name string
		item tokenstore.Item
		next time.Time
		want bool
	}{
		{"CR-02 a used token that lasts", tokenstore.Item{Used: true}, soon, false},
		{"CR-02 a used token that does not", tokenstore.Item{Used: true}, now.Add(time.Hour), true},
		{"CR-02 a used token without a next visit", tokenstore.Item{Used: true}, time.Time{}, true},
		{"CR-02 an unused token", tokenstore.Item{}, time.Time{}, false},
		{"CR-27 an unused grant that can wait", tokenstore.Item{Grant: grant}, soon, false},
		{"CR-27 an unused grant that cannot", tokenstore.Item{Grant: grant}, late, true},
	} {
		if got := rules.NeedsRenewal(c.item, issued(time.Hour), now, c.next); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestUnauthorizedCallerLearnsNothing(t *testing.T) {
	conn := connection.Connection{Name: "crm", GrantType: connection.ClientCredentials, Scope: "read",
		Callers: connection.Callers{{Principal: "arn:aws:iam::111122223333:role/app"}}}
	unauthorized := rules.Access{Caller: "arn:aws:iam::111122223333:role/other", Subject: "bob", Scope: "write"}
	for name, err := range map[string]error{"a token": unauthorized.Permit(conn), "a consent": unauthorized.PermitConsent(conn)} {
		if !problem.Is(err, problem.AccessDenied) {
			t.Errorf("BI-02 %s: got %v, want access_denied before any other error", name, err)
		}
	}
}

func TestThrottle(t *testing.T) {
	throttle := rules.Throttle{Every: time.Minute}
	crm, erp := tokenstore.Key{Connection: "crm"}, tokenstore.Key{Connection: "erp"}
	for _, c := range []struct {
		name string
		key  tokenstore.Key
		at   time.Duration
		want time.Duration
	}{
		{"the first", crm, 0, 0},
		{"too early", crm, 20 * time.Second, 40 * time.Second},
		{"another key", erp, 20 * time.Second, 0},
		{"in time", crm, time.Minute, 0},
		{"the clock was set back", crm, -time.Hour, 0},
	} {
		if got := throttle.Try(c.key, now.Add(c.at)); got != c.want {
			t.Errorf("%s: wait %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRandom(t *testing.T) {
	first, err := rules.Random{}.Owner()
	second, secondErr := rules.Random{}.Owner()
	if err != nil || secondErr != nil || len(first) != 32 || first == second {
		t.Errorf("CR-05 owners %q and %q, %v, %v", first, second, err, secondErr)
	}
	broken := rules.Random{Source: iotest.ErrReader(errors.New("no randomness"))}
	if _, err := broken.Owner(); err == nil {
		t.Error("CR-05 an owner without randomness")
	}
	if got := broken.Jitter(time.Second); got != time.Second {
		t.Errorf("jitter without randomness: %v, want none", got)
	}
	for range 1000 {
		if got := (rules.Random{}).Jitter(time.Second); got < 750*time.Millisecond || got > 1250*time.Millisecond {
			t.Fatalf("jitter %v is beyond 25 %%", got)
		}
	}
}

func TestRemaining(t *testing.T) {
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if got := rules.Remaining(past); got != 0 {
		t.Errorf("CR-06 after the deadline: %v, want none", got)
	}
	if got := rules.Remaining(context.Background()); got < time.Minute {
		t.Errorf("CR-06 without a deadline: %v", got)
	}
}
