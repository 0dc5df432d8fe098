package lease_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestSatisfiedBy(t *testing.T) {
	conn := connection.Connection{ConfigHash: "c1", SecretIncarnation: "i1"}
	good := token.Token{ID: "1", MintedAt: now, ExpiresAt: now.Add(time.Hour), EarlyRefresh: true, ConfigHash: "c1", SecretIncarnation: "i1"}
	with := func(change func(*token.Token)) token.Token {
		other := good
		change(&other)
		return other
	}
	for _, c := range []struct {
		name  string
		want  lease.Want
		token token.Token
		ok    bool
	}{
		{"a good token", lease.Want{}, good, true},
		{"no token", lease.Want{}, token.Token{ConfigHash: "c1", SecretIncarnation: "i1"}, false},
		{"an expired one", lease.Want{}, with(func(t *token.Token) { t.ExpiresAt = now }), false},
		{"the one to be replaced", lease.Want{Not: [2]string{"1"}}, good, false},
		{"CR-23 the rejected one", lease.Want{Not: [2]string{"", "1"}}, good, false},
		{"CR-01 more than half its lifetime is not waited for", lease.Want{MinTTL: 2 * time.Hour}, good, true},
		{"CR-01 too little left", lease.Want{MinTTL: 20 * time.Minute}, with(func(t *token.Token) { t.ExpiresAt = now.Add(10 * time.Minute); t.MintedAt = now.Add(-time.Hour) }), false},
		{"INV-1 of another declaration", lease.Want{}, with(func(t *token.Token) { t.ConfigHash = "c2" }), false},
		{"CR-38 of a recreated secret", lease.Want{}, with(func(t *token.Token) { t.SecretIncarnation = "i2" }), false},
	} {
		if got := c.want.SatisfiedBy(c.token, declaration.Of(conn), now); got != c.ok {
			t.Errorf("%s: %v, want %v", c.name, got, c.ok)
		}
	}
}

func TestMayRetry(t *testing.T) {
	ended := tokenstore.Item{Failure: tokenstore.Failure{Count: 1, Code: string(problem.AuthorizationRequired)}}
	deferred := tokenstore.Item{Token: tokenstore.SealedToken{ID: "1", ExpiresAt: now}, Failure: tokenstore.Failure{Count: 1, NextAttemptAt: now}}
	other := tokenstore.Item{Failure: tokenstore.Failure{Count: 1, Code: string(problem.ProviderUnavailable), NextAttemptAt: now}}
	for _, c := range []struct {
		name  string
		grant connection.GrantType
		item  tokenstore.Item
		retry bool
		want  bool
	}{
		{"a grant that has ended", connection.AuthorizationCode, ended, true, true},
		{"a refresh deferred until the token expires", connection.AuthorizationCode, deferred, true, true},
		{"another failure", connection.AuthorizationCode, other, true, false},
		{"without a rejection", connection.AuthorizationCode, ended, false, false},
		{"client_credentials, whose next attempt falls on the token's end", connection.ClientCredentials, deferred, true, false},
	} {
		refresh := lease.Refresh{Conn: declared.Unrecorded(connection.Connection{GrantType: c.grant}), RetryDeadGrant: c.retry}
		if got := refresh.MayRetry(c.item); got != c.want {
			t.Errorf("CR-28 %s: %v, want %v", c.name, got, c.want)
		}
	}
}
