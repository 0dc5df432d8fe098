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

	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// TestHanging is for providers that do not answer: the budget is short, so that
// nobody waits for long.
func TestHanging(t *testing.T) {
	h := newHouse(t, hooks{budget: 20 * time.Millisecond})
	printed := h.sinks.capture(t)
	for _, fault := range []sandbox.Fault{{Hang: true}, {Hang: true, Processed: true}, {Hang: true, Body: `{"access_token":"` + basicSecret}} {
		h.script("basic", fault)
		if got := h.token("GET", "basic", "", ""); got.status != http.StatusGatewayTimeout {
			t.Errorf("answer %d %v, want provider_timeout", got.status, got.body["error"])
		}
		h.status("basic")
		h.pass(time.Minute)
	}
	h.items()
	printed()
	report(t, h)
}

// TestPanics: whatever is panicked with, it is printed nowhere.
func TestPanics(t *testing.T) {
	secret := redact.New(basicSecret)
	tests := map[string]hooks{
		"INV-5 the core": {tokens: func(_ *house, core gateway.Tokens) gateway.Tokens {
			return wrongTokens{core, func(vending.Vended) error { panic(secret.Reveal()) }}
		}},
		"INV-5 the client": {minter: func(_ *house, m vending.Minter) vending.Minter {
			return wrongMinter{m, func(_ context.Context, r oauth.Request, _ oauth.Token) { panic(r.ClientSecret.Reveal()) }}
		}},
		"INV-5 the store": {store: func(_ *house, s vending.Store) vending.Store {
			return wrongStore{s, func(*tokenstore.Commit) { panic(fmt.Errorf("row %s", secret.Reveal())) }}
		}},
	}
	for name, with := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, with)
			printed := h.sinks.capture(t)
			got := h.token("GET", "basic", "", "")
			if got.status != http.StatusInternalServerError || got.body["error"] != "internal_error" {
				t.Errorf("answer %d %v, want internal_error", got.status, got.body["error"])
			}
			printed()
			report(t, h)
		})
	}
}

// TestLeaksAreFound breaks the service in the ways in which services leak, and
// wants each to be found: a search that finds nothing anywhere proves nothing.
func TestLeaksAreFound(t *testing.T) {
	minting := func(leak func(h *house, ctx context.Context, r oauth.Request, minted oauth.Token)) hooks {
		return hooks{minter: func(h *house, m vending.Minter) vending.Minter {
			return wrongMinter{m, func(ctx context.Context, r oauth.Request, minted oauth.Token) { leak(h, ctx, r, minted) }}
		}}
	}
	tests := []struct {
		name, finding string
		with          hooks
	}{
		{"AZ-54 a debugging line on stdout", "stdout and stderr: client secret in plain text",
			minting(func(_ *house, _ context.Context, r oauth.Request, _ oauth.Token) {
				fmt.Println(r.ClientSecret.Reveal())
			})},
		{"AZ-54 bytes on stderr", "stdout and stderr: access token in a list of bytes",
			minting(func(_ *house, _ context.Context, _ oauth.Request, minted oauth.Token) {
				fmt.Fprint(os.Stderr, []byte(minted.AccessToken.Reveal()))
			})},
		{"AZ-54 the standard logger", "stdout and stderr: client secret in hex",
			minting(func(_ *house, _ context.Context, r oauth.Request, _ oauth.Token) {
				log.Print(hex.EncodeToString([]byte(r.ClientSecret.Reveal())))
			})},
		{"AZ-54 a header in the audit line", "log: Basic header in plain text",
			minting(func(h *house, _ context.Context, r oauth.Request, _ oauth.Token) {
				pair := r.ClientID + ":" + r.ClientSecret.Reveal()
				fmt.Fprintln(h.sinks.into("log"), "Basic", base64.StdEncoding.EncodeToString([]byte(pair)))
				h.sinks.guard("Basic header", base64.StdEncoding.EncodeToString([]byte(pair)))
			})},
		{"AZ-54 a token in a URL", "requests to providers: access token in plain text",
			minting(func(h *house, ctx context.Context, _ oauth.Request, minted oauth.Token) {
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.provider+"/userinfo?access_token="+minted.AccessToken.Reveal(), nil)
				if answer, err := http.DefaultClient.Do(r); err == nil {
					_ = answer.Body.Close()
				}
			})},
		{"AZ-54 a token in an error", "responses: access token in plain text",
			hooks{tokens: func(_ *house, core gateway.Tokens) gateway.Tokens {
				return wrongTokens{core, func(v vending.Vended) error {
					return problem.New(problem.InvalidRequest, "cannot serve "+v.AccessToken.Reveal()[:20])
				}}
			}}},
		{"AZ-54 a token stored as it is", "items: access token in plain text", storing()},
		{"AZ-54 a cause in the audit line", "log: access token in plain text",
			hooks{tokens: func(_ *house, core gateway.Tokens) gateway.Tokens {
				return wrongTokens{core, func(v vending.Vended) error { return fmt.Errorf("served %s", v.AccessToken.Reveal()) }}
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, tt.with)
			printed := h.sinks.capture(t)
			h.token("GET", "basic", "", "")
			h.items()
			printed()
			found := h.sinks.search(t)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, tt.finding) }) {
				t.Errorf("found %q, want %q", found, tt.finding)
			}
		})
	}
}

// storing keeps each token beside its sealed form.
func storing() hooks {
	var minted string
	return hooks{
		minter: func(_ *house, m vending.Minter) vending.Minter {
			return wrongMinter{m, func(_ context.Context, _ oauth.Request, t oauth.Token) { minted = t.AccessToken.Reveal() }}
		},
		store: func(_ *house, s vending.Store) vending.Store {
			return wrongStore{s, func(c *tokenstore.Commit) { c.SecretIncarnation = minted }}
		},
	}
}

// wrongMinter does something it must not with each token.
type wrongMinter struct {
	vending.Minter
	do func(context.Context, oauth.Request, oauth.Token)
}

func (m wrongMinter) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	minted, err := m.Minter.Token(ctx, r)
	m.do(ctx, r, minted)
	return minted, err
}

// wrongTokens answers otherwise than the core.
type wrongTokens struct {
	gateway.Tokens
	answer func(vending.Vended) error
}

func (w wrongTokens) Vend(ctx context.Context, r vending.Request) (vending.Vended, error) {
	v, err := w.Tokens.Vend(ctx, r)
	if err != nil {
		return v, err
	}
	return v, w.answer(v)
}

// wrongStore does something it must not with each commit.
type wrongStore struct {
	vending.Store
	do func(*tokenstore.Commit)
}

func (s wrongStore) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	s.do(&c)
	return s.Store.Commit(ctx, c)
}
