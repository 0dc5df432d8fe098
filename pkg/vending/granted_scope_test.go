package vending_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const (
	reader = "arn:aws:iam::111122223333:role/reader"
	admin  = "arn:aws:iam::111122223333:role/admin"
)

// scopedCallers lets reader have the scope read, and admin read and admin.
const scopedCallers = `,"callers":[{"principal":"` + reader + `","scopes":["read"]},{"principal":"` + admin + `","scopes":["read","admin"]}]}`

func as(caller string, r vending.Request) vending.Request {
	r.Caller = caller
	return r
}

// refusedScope expects a 403 that names these tokens at its end.
func refusedScope(t *testing.T, err error, tokens string) {
	t.Helper()
	if p := wantCode(t, err, problem.AccessDenied); !strings.HasSuffix(p.Detail, ": "+tokens) {
		t.Errorf("the detail %q does not end with %q", p.Detail, tokens)
	}
}

// granting is a connection with scopedCallers, whose server grants a scope.
func granting(t *testing.T, more, granted string) (*fleet, *vending.Core) {
	f := newFleet(t)
	f.declare("crm", valid[:len(valid)-1]+more+scopedCallers)
	f.server.grants = granted
	return f, f.process()
}

const requestsRead = `,"scope":"read"`

func TestGrantedScopeThatIsWider(t *testing.T) {
	t.Run("OC-60 a caller limited to read gets no token with admin, from provider, memory or table", func(t *testing.T) {
		f, core := granting(t, requestsRead, "read admin")
		refusedScope(t, second(core.Vend(t.Context(), as(reader, crm()))), "admin")
		refusedScope(t, second(core.Vend(t.Context(), as(reader, crm()))), "admin")
		refusedScope(t, second(f.process().Vend(t.Context(), as(reader, crm()))), "admin")
		if v := f.vend(core, as(admin, crm())); v.Scope != "read admin" {
			t.Errorf("scope %q", v.Scope)
		}
		if f.server.calls() != 1 {
			t.Errorf("%d calls, want 1: a refusal asks for nothing", f.server.calls())
		}
	})
	t.Run("OC-60 nor while the table is down, nor late in the token's life", func(t *testing.T) {
		f, core := granting(t, requestsRead, "read admin")
		f.store.setDown(true)
		refusedScope(t, second(core.Vend(t.Context(), as(reader, crm()))), "admin")
		f.store.setDown(false)
		f.vend(core, as(admin, crm()))
		f.clock.advance(55 * time.Minute)
		refusedScope(t, second(f.process().Vend(t.Context(), as(reader, crm()))), "admin")
	})
	t.Run("OC-60 nor may it force a refresh", func(t *testing.T) {
		f, core := granting(t, requestsRead, "read admin")
		r := as(reader, crm())
		r.RejectedTokenID = f.vend(core, as(admin, crm())).ID
		f.clock.advance(time.Minute)
		refusedScope(t, second(core.Vend(t.Context(), r)), "admin")
		if n := len(f.item("crm").ForcedRefreshes); n != 0 {
			t.Errorf("%d forced refreshes counted", n)
		}
	})
	t.Run("OC-60 a refresh that widens the scope", func(t *testing.T) {
		f, core := granting(t, requestsRead, "read")
		f.vend(core, as(reader, crm()))
		f.server.grants = "read admin"
		f.clock.advance(55 * time.Minute)
		refusedScope(t, second(core.Vend(t.Context(), as(reader, crm()))), "admin")
	})
	t.Run("OC-60 a scope that the caller chose", func(t *testing.T) {
		f, core := granting(t, `,"scope":"admin","allowed_scopes":["read","admin"]`, "read admin")
		r := as(reader, crm())
		r.Scope = "read"
		refusedScope(t, second(core.Vend(t.Context(), r)), "admin")
		r.Caller = admin
		f.vend(core, r)
	})
}

func TestGrantedScopeThatIsAllowed(t *testing.T) {
	for name, granted := range map[string]string{
		"OC-60 the same scope": "read", "OC-60 superfluous spaces": " read  read ", "OC-60 none": "",
	} {
		t.Run(name, func(t *testing.T) {
			f, core := granting(t, requestsRead, granted)
			f.vend(core, as(reader, crm()))
		})
	}
	t.Run("OC-60 callers without scopes, and no callers", func(t *testing.T) {
		for _, callers := range []string{`}`, `,"callers":[{"principal":"` + reader + `"}]}`} {
			f := newFleet(t)
			f.declare("crm", valid[:len(valid)-1]+requestsRead+callers)
			f.server.grants = "read admin"
			f.vend(f.process(), as(reader, crm()))
		}
	})
}

func TestDetailOfARefusedScope(t *testing.T) {
	t.Run("OC-60 rules do not add up: the detail names what no one rule allows", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", valid[:len(valid)-1]+requestsRead+`,"callers":[{"principal":"`+reader+`","scopes":["read"]},{"principal":"`+reader+`","scopes":["write"]}]}`)
		f.server.grants = "read write"
		refusedScope(t, second(f.process().Vend(t.Context(), as(reader, crm()))), "read write")
	})
	t.Run("OC-60 a long scope is shortened in the detail", func(t *testing.T) {
		_, core := granting(t, requestsRead, "read "+strings.Repeat("x", 4000))
		p := wantCode(t, second(core.Vend(t.Context(), as(reader, crm()))), problem.AccessDenied)
		if len(p.Detail) > 512 || !strings.HasSuffix(p.Detail, "x…") {
			t.Errorf("a detail of %d bytes", len(p.Detail))
		}
	})
}

func TestGrantedScopeThatIsNotCompared(t *testing.T) {
	t.Run("OC-60 not compared where /.default is requested", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", valid[:len(valid)-1]+`,"scope":"api://crm/.default","callers":[{"principal":"`+reader+`","scopes":["api://crm/.default"]}]}`)
		f.server.grants = "api://crm/read api://crm/write"
		core := f.process()
		for _, from := range []string{"provider", "memory"} {
			ctx, entry := audited(t)
			if _, err := core.Vend(ctx, as(reader, crm())); err != nil || !warned(entry, "scope_not_compared") {
				t.Errorf("from %s: %v, warned: %v", from, err, warned(entry, "scope_not_compared"))
			}
		}
		wantCode(t, second(core.Vend(t.Context(), as(admin, crm()))), problem.AccessDenied)
	})
	t.Run("OC-60 no warning where the names agree", func(t *testing.T) {
		_, core := granting(t, requestsRead, "read")
		ctx, entry := audited(t)
		if _, err := core.Vend(ctx, as(reader, crm())); err != nil || warned(entry, "scope_not_compared") {
			t.Errorf("%v, warned: %v", err, warned(entry, "scope_not_compared"))
		}
	})
}

const (
	scopedFiles = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"hush",
		"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize","scope":"read"`
	code    = "authorization_code"
	refresh = "refresh_token"
)

// scopedGrant is a delegation with scopedCallers. stated has the scope that the
// server states in its response to each grant type.
func scopedGrant(t *testing.T, stated map[string]string) (*delegation, *vending.Core) {
	d := newDelegation(t, rotates)
	d.declare("user", scopedFiles+scopedCallers)
	d.idp.grants = func(r oauth.Request) string { return stated[r.GrantType] }
	return d, d.process()
}

func TestGrantedScopeOfAGrant(t *testing.T) {
	for _, tc := range []struct {
		name    string
		stated  map[string]string
		allowed []bool // after the consent, after one refresh, after two
	}{
		{"OC-60 the consent widens, refreshes state nothing", map[string]string{code: "read admin"}, []bool{false, false, false}},
		{"OC-60 a refresh widens", map[string]string{code: "read", refresh: "read admin"}, []bool{true, false, false}},
		{"OC-60 a refresh narrows", map[string]string{code: "read admin", refresh: "read"}, []bool{false, true, true}},
		{"OC-60 nothing is stated", nil, []bool{true, true, true}},
	} {
		for _, subject := range []string{"", "ann"} {
			t.Run(tc.name+", subject "+subject, func(t *testing.T) {
				d, core := scopedGrant(t, tc.stated)
				d.consent(core, as(admin, of(subject)))
				for i, allowed := range tc.allowed {
					for _, process := range []*vending.Core{core, d.process()} {
						_, err := process.Vend(context.Background(), as(reader, of(subject)))
						if allowed && err != nil {
							t.Errorf("step %d: %v", i, err)
						} else if !allowed {
							refusedScope(t, err, "admin")
						}
					}
					d.clock.advance(61 * time.Minute)
				}
			})
		}
	}
}

func TestGrantedScopeThatWasStatedBefore(t *testing.T) {
	t.Run("OC-60 a refresh that states nothing has the scope that one before stated", func(t *testing.T) {
		stated := map[string]string{code: "read", refresh: "read admin"}
		d, core := scopedGrant(t, stated)
		d.consent(core, as(admin, user()))
		d.clock.advance(61 * time.Minute)
		d.vend(core, as(admin, user()))
		delete(stated, refresh)
		d.clock.advance(61 * time.Minute)
		refusedScope(t, second(d.process().Vend(t.Context(), as(reader, user()))), "admin")
		if v := d.vend(core, as(admin, user())); v.Scope != "read admin" {
			t.Errorf("scope %q", v.Scope)
		}
	})
	t.Run("OC-60 an import of the stored grant keeps the scope that its proof stated", func(t *testing.T) {
		stated := map[string]string{code: "read", refresh: "read admin"}
		d, core := scopedGrant(t, stated)
		d.idp.rotation = keeps
		d.consent(core, as(admin, user()))
		noError(t, core.Import(t.Context(), vending.Import{Request: as(admin, user()), RefreshToken: redact.New("refresh_1")}))
		delete(stated, refresh)
		d.clock.advance(61 * time.Minute)
		refusedScope(t, second(d.process().Vend(t.Context(), as(reader, user()))), "admin")
	})
}
