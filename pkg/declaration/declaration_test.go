package declaration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const valid = `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`

// source has a cached copy and a current version of one secret.
type source struct {
	cached, current string
	err             error
}

func (s source) Load(_ context.Context, name string, _ clientsecret.Stage, fresh bool) (clientsecret.Secret, error) {
	text := s.cached
	if fresh {
		text = s.current
	}
	return clientsecret.Secret{Name: name, ARN: "arn:test:" + name, VersionID: "v1", Text: redact.New(text), Origin: "secret " + name}, s.err
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		source source
		fresh  bool
		want   problem.Code
	}{
		{"a valid copy", source{cached: valid, current: `{}`}, false, ""},
		{"the current version instead of a valid copy", source{cached: valid, current: `{}`}, true, problem.ConnectionMisconfigured},
		{"CR-22 an invalid copy is read again", source{cached: `{}`, current: valid}, false, ""},
		{"an invalid version", source{cached: `{}`, current: `{}`}, false, problem.ConnectionMisconfigured},
		{"no such secret", source{err: clientsecret.ErrNotFound}, false, problem.ConnectionNotFound},
		{"FI-34 a secret that cannot be decoded", source{err: clientsecret.ErrUnreadable}, false, problem.ConnectionMisconfigured},
		{"FI-34 a source that does not answer", source{err: errors.New("throttled")}, false, problem.StoreUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := declaration.Loader{Secrets: c.source}.Load(t.Context(), "crm", c.fresh)
			if c.want == "" && (err != nil || conn.ClientID != "app") || c.want != "" && !problem.Is(err, c.want) {
				t.Errorf("got client %q, %v, want %q", conn.ClientID, err, c.want)
			}
		})
	}
}

func TestGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		source source
		of     connection.Name
		want   bool
	}{
		{"a valid declaration", source{current: valid}, "crm", false},
		{"CR-38 no such secret", source{err: clientsecret.ErrNotFound}, "crm", true},
		{"FI-35 a secret without a text", source{err: clientsecret.ErrNoText}, "crm", true},
		{"BI-60 not JSON", source{current: `{`}, "crm", true},
		{"BI-52 an invalid declaration", source{current: `{}`}, "crm", true},
		{"BI-41 no such member", source{current: `{"connections":{}}`}, "crm.eu", true},
		{"FI-34 access denied", source{err: clientsecret.ErrUnreadable}, "crm", false},
		{"FI-34 throttled", source{err: clientsecret.ErrUnavailable}, "crm", false},
		{"FI-34 out of time", source{err: context.DeadlineExceeded}, "crm", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := declaration.Loader{Secrets: c.source}.Load(t.Context(), c.of, true)
			if declaration.Gone(err) != c.want {
				t.Errorf("gone: %v, want %v (%v)", !c.want, c.want, err)
			}
		})
	}
}

func TestDeclared(t *testing.T) {
	for _, c := range []struct {
		name    string
		source  source
		entries int
		valid   bool
		want    problem.Code
	}{
		{"a valid declaration", source{current: valid}, 1, true, ""},
		{"CR-38 a secret that does not exist declares nothing", source{err: clientsecret.ErrNotFound}, 0, false, ""},
		{"FI-35 a secret without a text declares one invalid connection", source{err: clientsecret.ErrNoText}, 1, false, ""},
		{"BI-60 nor is one without JSON valid", source{current: "x"}, 1, false, ""},
		{"FI-34 access denied says nothing", source{err: clientsecret.ErrUnreadable}, 0, false, problem.ConnectionMisconfigured},
		{"FI-34 throttled says nothing", source{err: clientsecret.ErrUnavailable}, 0, false, problem.StoreUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, entries, err := declaration.Loader{Secrets: c.source}.Declared(t.Context(), "crm")
			if len(entries) != c.entries || (c.want == "") != (err == nil) || c.want != "" && !problem.Is(err, c.want) {
				t.Fatalf("%d entries, %v, want %d, %q", len(entries), err, c.entries, c.want)
			}
			if c.entries == 1 && (entries[0].Name != "crm" || (entries[0].Err == nil) != c.valid) {
				t.Errorf("%q, %v", entries[0].Name, entries[0].Err)
			}
		})
	}
}

func TestFailureDependsOn(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	conn := connection.Connection{GrantType: connection.AuthorizationCode, SecretVersion: "v1", ConfigHash: "c1", SecretIncarnation: "i1"}
	item := tokenstore.Item{Grant: tokenstore.SealedGrant{Fingerprint: "f1"}}
	item.Failure = tokenstore.Failure{Count: 1, NextAttemptAt: now.Add(time.Minute), Cause: declaration.FailureCause(item, conn)}
	for _, c := range []struct {
		name   string
		change func(*tokenstore.Item, *connection.Connection)
		want   bool
	}{
		{"nothing has changed", func(*tokenstore.Item, *connection.Connection) {}, true},
		{"CR-19 the secret's version", func(_ *tokenstore.Item, c *connection.Connection) { c.SecretVersion = "v2" }, false},
		{"CR-19 the declaration", func(_ *tokenstore.Item, c *connection.Connection) { c.ConfigHash = "c2" }, false},
		{"CR-38 the secret was recreated", func(_ *tokenstore.Item, c *connection.Connection) { c.SecretIncarnation = "i2" }, false},
		{"FI-24 the refresh token", func(i *tokenstore.Item, _ *connection.Connection) { i.Grant.Fingerprint = "f2" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			item, conn := item, conn
			c.change(&item, &conn)
			if got := declaration.InBackoff(item, conn, now); got != c.want {
				t.Errorf("in backoff: %v, want %v", got, c.want)
			}
			if declaration.InBackoff(item, conn, now.Add(time.Minute)) {
				t.Error("CR-18 in backoff when the next attempt is due")
			}
		})
	}
	own := connection.Connection{GrantType: connection.ClientCredentials}
	if declaration.FailureCause(item, own) != declaration.FailureCause(tokenstore.Item{}, own) {
		t.Error("a grant that is left over counts for client_credentials")
	}
}
