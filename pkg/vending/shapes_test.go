package vending_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// bearer is the declaration of a jwt_bearer connection whose assertion has a subject.
func bearer(t *testing.T, subject string) string {
	return `{"provider":{"token_url":"https://idp.example.com/token","grant_types":["jwt_bearer"]},"grant_type":"jwt_bearer","client_id":"app",
		"client_auth":"none","private_key":"` + privateKey(t) + `","assertion":{"subject":` + subject + `}}`
}

func ask(subject string) vending.Request {
	return vending.Request{Connection: "crm", Subject: connection.Subject(subject), Caller: principal}
}

// privateKey is a new key in PEM, as JSON has it.
func privateKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return strings.ReplaceAll(string(text), "\n", `\n`)
}

// TestSubjectsOfAssertions: each subject of jwt_bearer is a user, without a consent.
func TestSubjectsOfAssertions(t *testing.T) {
	const template, mapped, fixed = `"{subject}@example.com"`, `{"jane-doe":"jane.doe@example.com"}`, `"robot@example.com"`
	tests := []struct {
		name, declared, subject, user string
		refused                       problem.Code
	}{
		{"OC-11 a template", template, "jane", "jane@example.com", ""},
		{"OC-11 a template without a subject", template, "", "", problem.InvalidRequest},
		{"OC-11 a map", mapped, "jane-doe", "jane.doe@example.com", ""},
		{"OC-11 a subject that the map does not have", mapped, "joe", "", problem.AccessDenied},
		{"OC-11 a map without a subject", mapped, "", "", problem.InvalidRequest},
		{"OC-11 one for all", fixed, "", "robot@example.com", ""},
		{"OC-11 one for all with a subject", fixed, "jane", "", problem.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t)
			f.declare("crm", bearer(t, tt.declared))
			core := f.process()
			if tt.refused != "" {
				wantCode(t, second(core.Vend(t.Context(), ask(tt.subject))), tt.refused)
				item, err := f.store.Get(t.Context(), tokenstore.Key{Connection: "crm", Subject: tt.subject}, true)
				if err != nil || f.server.calls() != 0 || item.Version != 0 || item.Lease.Seq != 0 {
					t.Errorf("%d calls, item %+v, %v: a refused request leaves nothing", f.server.calls(), item, err)
				}
				return
			}
			for range 2 {
				f.vend(core, ask(tt.subject))
			}
			if got := f.server.requests; len(got) != 1 || got[0].GrantType != "jwt_bearer" || got[0].Grant.Subject != tt.user {
				t.Errorf("requests %+v, want one for %s", got, tt.user)
			}
		})
	}
	t.Run("OC-11 INV-1 each subject has its own token", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", bearer(t, template))
		core := f.process()
		jane, joe := f.vend(core, ask("jane")), f.vend(core, ask("joe"))
		if jane.ID == joe.ID {
			t.Error("two subjects share a token")
		}
	})
	t.Run("OC-11 CR-23 issued while the table is down", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", bearer(t, template))
		f.store.setDown(true)
		if v := f.vend(f.process(), ask("jane")); v.AccessToken.IsZero() {
			t.Error("no token")
		}
	})
}

// TestRefreshShape: a refresh has its own address and parameters, and an exchange
// repeats the scope where the provider wants it.
func TestRefreshShape(t *testing.T) {
	d := newDelegation(t, rotates)
	d.declare("user", `{"provider":{"token_url":"https://idp.example.com/token","refresh_url":"https://idp.example.com/refresh",
		"authorization_url":"https://idp.example.com/authorize","request":{"repeat_scope":true},
		"token_params":{"x":"exchange"},"refresh_params":{"x":"refresh"}},"scope":"a b","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`)
	core := d.process()
	d.consent(core, user())
	d.clock.advance(expired)
	d.vend(core, user())
	var got [][3]string
	for _, r := range d.idp.requests {
		got = append(got, [3]string{r.TokenURL, r.Params.Get("x"), r.Scope})
	}
	want := [][3]string{{"https://idp.example.com/token", "exchange", "a b"}, {"https://idp.example.com/refresh", "refresh", "a b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("OC-73 OC-03 requests (-want +got):\n%s", diff)
	}
}

// TestDeclaredEndOfAGrant: a provider's own word for invalid_grant ends the grant.
func TestDeclaredEndOfAGrant(t *testing.T) {
	d, core := consented(t, keeps)
	d.idp.after = func(oauth.Request) *oauth.Error {
		return &oauth.Error{Kind: oauth.Rejected, Reason: "error", Code: "bad_refresh_token", GrantEnded: true, Trace: oauth.Trace{Status: 200}}
	}
	d.clock.advance(expired)
	p := wantCode(t, second(core.Vend(t.Context(), user())), problem.AuthorizationRequired)
	if p.Provider == nil || p.Provider.Error != "bad_refresh_token" {
		t.Errorf("OC-45 %+v", p)
	}
}

// TestLeaseOfASlowProvider: token_timeout lengthens the lease with the request.
func TestLeaseOfASlowProvider(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", valid[:len(valid)-1]+`,"token_timeout":15}`)
	var left time.Duration
	f.server.during = func() { left = f.item("crm").Lease.Until.Sub(f.clock.Now()) }
	f.vend(f.process(), crm())
	if left != 24*time.Second || f.server.requests[0].Timeout != 15*time.Second {
		t.Errorf("OC-22 CR-06 lease of %v, request of %v; want 24 s and 15 s", left, f.server.requests[0].Timeout)
	}
	t.Run("OC-22 not begun without the time", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", valid[:len(valid)-1]+`,"token_timeout":15}`)
		ctx, cancel := context.WithTimeout(t.Context(), 16*time.Second)
		defer cancel()
		wantCode(t, second(f.process().Vend(ctx, crm())), problem.RefreshInProgress)
		if f.server.calls() != 0 {
			t.Errorf("%d calls", f.server.calls())
		}
	})
}
