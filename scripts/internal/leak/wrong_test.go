package leak_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestHanging has providers that do not answer, with a short budget.
func TestHanging(t *testing.T) {
	e := newEnv(t, hooks{budget: 20 * time.Millisecond})
	printed := e.sinks.capture(t)
	for _, fault := range []sandbox.Fault{{Hang: true}, {Hang: true, Processed: true}, {Hang: true, Body: `{"access_token":"` + basicSecret}} {
		e.script("basic", fault)
		if got := e.token("GET", "basic", "", ""); got.status != http.StatusGatewayTimeout {
			t.Errorf("answer %d %v, want provider_timeout", got.status, got.body["error"])
		}
		e.status("basic")
		e.pass(time.Minute)
	}
	e.items()
	printed()
	report(t, e)
}

// TestPanics: the value of a panic is printed nowhere.
func TestPanics(t *testing.T) {
	secret := redact.New(basicSecret)
	tests := map[string]hooks{
		"INV-5 the core": {tokens: func(_ *env, core gateway.Tokens) gateway.Tokens {
			return leakyTokens{core, func(vending.Vended) error { panic(secret.Reveal()) }}
		}},
		"INV-5 the client": {provider: func(_ *env, m assembly.Provider) assembly.Provider {
			return leakyProvider{m, func(_ context.Context, r oauth.Request, _ oauth.Token) { panic(r.ClientSecret.Reveal()) }}
		}},
		"INV-5 the store": {store: func(_ *env, s assembly.Store) assembly.Store {
			return leakyStore{s, func(*tokenstore.Commit) { panic(fmt.Errorf("row %s", secret.Reveal())) }}
		}},
	}
	for name, with := range tests {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, with)
			printed := e.sinks.capture(t)
			got := e.token("GET", "basic", "", "")
			if got.status != http.StatusInternalServerError || got.body["error"] != "internal_error" {
				t.Errorf("answer %d %v, want internal_error", got.status, got.body["error"])
			}
			printed()
			report(t, e)
		})
	}
}

// TestLeaksAreFound makes the service leak in typical ways, and requires that the
// search finds each: a search that never finds anything proves nothing.
func TestLeaksAreFound(t *testing.T) {
	minting := func(leak func(e *env, ctx context.Context, r oauth.Request, minted oauth.Token)) hooks {
		return hooks{provider: func(e *env, m assembly.Provider) assembly.Provider {
			return leakyProvider{m, func(ctx context.Context, r oauth.Request, minted oauth.Token) { leak(e, ctx, r, minted) }}
		}}
	}
	tests := []struct {
		name, finding string
		with          hooks
	}{
		{"AZ-54 a debugging line on stdout", "stdout and stderr: client secret in plain text",
			minting(func(_ *env, _ context.Context, r oauth.Request, _ oauth.Token) {
				fmt.Println(r.ClientSecret.Reveal())
			})},
		{"AZ-54 bytes on stderr", "stdout and stderr: access token in a list of bytes",
			minting(func(_ *env, _ context.Context, _ oauth.Request, minted oauth.Token) {
				fmt.Fprint(os.Stderr, []byte(minted.AccessToken.Reveal()))
			})},
		{"AZ-54 the standard logger", "stdout and stderr: client secret in hex",
			minting(func(_ *env, _ context.Context, r oauth.Request, _ oauth.Token) {
				log.Print(hex.EncodeToString([]byte(r.ClientSecret.Reveal())))
			})},
		{"AZ-54 a header in the audit line", "log: Basic header in plain text",
			minting(func(e *env, _ context.Context, r oauth.Request, _ oauth.Token) {
				pair := r.ClientID + ":" + r.ClientSecret.Reveal()
				fmt.Fprintln(e.sinks.into("log"), "Basic", base64.StdEncoding.EncodeToString([]byte(pair)))
				e.sinks.guard("Basic header", base64.StdEncoding.EncodeToString([]byte(pair)))
			})},
		{"AZ-54 a token in a URL", "requests to providers: access token in plain text",
			minting(func(e *env, ctx context.Context, _ oauth.Request, minted oauth.Token) {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.provider+"/userinfo?access_token="+minted.AccessToken.Reveal(), nil)
				if answer, err := http.DefaultClient.Do(r); err == nil {
					_ = answer.Body.Close()
				}
			})},
		{"AZ-54 a token in an error", "responses: access token in plain text",
			hooks{tokens: func(_ *env, core gateway.Tokens) gateway.Tokens {
				return leakyTokens{core, func(v vending.Vended) error {
					return problem.New(problem.InvalidRequest, "cannot serve "+v.AccessToken.Reveal()[:20])
				}}
			}}},
		{"AZ-54 a token stored as it is", "items: access token in plain text", storing()},
		{"AZ-54 a cause in the audit line", "log: access token in plain text",
			hooks{tokens: func(_ *env, core gateway.Tokens) gateway.Tokens {
				return leakyTokens{core, func(v vending.Vended) error { return fmt.Errorf("served %s", v.AccessToken.Reveal()) }}
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnv(t, tt.with)
			printed := e.sinks.capture(t)
			e.token("GET", "basic", "", "")
			e.items()
			printed()
			found := e.sinks.search(t)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, tt.finding) }) {
				t.Errorf("found %q, want %q", found, tt.finding)
			}
		})
	}
}

// storing stores each token next to its sealed form.
func storing() hooks {
	var minted string
	return hooks{
		provider: func(_ *env, m assembly.Provider) assembly.Provider {
			return leakyProvider{m, func(_ context.Context, _ oauth.Request, t oauth.Token) { minted = t.AccessToken.Reveal() }}
		},
		store: func(_ *env, s assembly.Store) assembly.Store {
			return leakyStore{s, func(c *tokenstore.Commit) { c.SecretIncarnation = minted }}
		},
	}
}

// leakyProvider does with each token what it must not.
type leakyProvider struct {
	assembly.Provider
	do func(context.Context, oauth.Request, oauth.Token)
}

func (m leakyProvider) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	minted, err := m.Provider.Token(ctx, r)
	m.do(ctx, r, minted)
	return minted, err
}

// leakyTokens replaces the core's answer.
type leakyTokens struct {
	gateway.Tokens
	answer func(vending.Vended) error
}

func (w leakyTokens) Vend(ctx context.Context, r vending.Request) (vending.Vended, error) {
	v, err := w.Tokens.Vend(ctx, r)
	if err != nil {
		return v, err
	}
	return v, w.answer(v)
}

// leakyStore does with each commit what it must not.
type leakyStore struct {
	assembly.Store
	do func(*tokenstore.Commit)
}

func (s leakyStore) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	s.do(&c)
	return s.Store.Commit(ctx, c)
}
