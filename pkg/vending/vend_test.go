package vending_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func wantCode(t *testing.T, err error, code problem.Code) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("error = %v, want %s", err, code)
	}
	return p
}

func TestWhereATokenComesFrom(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	steps := []struct {
		name   string
		after  time.Duration
		core   *vending.Core
		source vending.Source
		token  string
		reads  int // of the table, by this step; a refresh also reads the item of an outage
	}{
		{"cold: the provider", 0, core, vending.FromProvider, "token_1", 2},
		{"memory while younger than 10 s", 9 * time.Second, core, vending.FromMemory, "token_1", 0},
		{"the table after that", time.Second, core, vending.FromTable, "token_1", 1},
		{"memory again", time.Second, core, vending.FromMemory, "token_1", 0},
		{"another process: the table", 0, f.process(), vending.FromTable, "token_1", 1},
		{"the provider once it is unusable", time.Hour - time.Minute, core, vending.FromProvider, "token_2", 2},
	}
	for _, s := range steps {
		f.clock.advance(s.after)
		before := f.store.count("get")
		v := f.vend(s.core, crm())
		if got := v.AccessToken.Reveal(); v.Source != s.source || got != s.token {
			t.Errorf("%s: got %s from %s, want %s from %s", s.name, got, v.Source, s.token, s.source)
		}
		if reads := f.store.count("get") - before; reads != s.reads {
			t.Errorf("%s: %d table reads, want %d", s.name, reads, s.reads)
		}
	}
}

func TestMinTTL(t *testing.T) {
	t.Run("CR-01 more than half is refused on a warm connection", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		r := crm()
		r.MinTTL = 31 * time.Minute
		p := wantCode(t, second(core.Vend(t.Context(), r)), problem.InvalidRequest)
		if want := "min_ttl may be at most 1800 s here: half of the token's lifetime"; p.Detail != want {
			t.Errorf("detail = %q, want %q", p.Detail, want)
		}
	})
	t.Run("CR-01 checked against the new token on a cold connection, which is kept", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		r := crm()
		r.MinTTL = 31 * time.Minute
		wantCode(t, second(core.Vend(t.Context(), r)), problem.InvalidRequest)
		if v := f.vend(core, crm()); v.AccessToken.Reveal() != "token_1" || f.server.calls() != 1 {
			t.Errorf("got %s after %d calls, want the token that was minted", v.AccessToken.Reveal(), f.server.calls())
		}
	})
	t.Run("CR-01 forces a refresh when too little is left", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.clock.advance(40 * time.Minute)
		r := crm()
		r.MinTTL = 25 * time.Minute
		if v := f.vend(core, r); v.AccessToken.Reveal() != "token_2" {
			t.Errorf("got %s, want token_2", v.AccessToken.Reveal())
		}
	})
}

func TestScopeVariants(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token",
		"scope":"all","allowed_scopes":["read","write"]}`)
	core := f.process()
	own := f.vend(core, crm())
	read, write := crm(), crm()
	read.Scope, write.Scope = "read", "read write"
	t.Run("CR-37 each scope has a token of its own", func(t *testing.T) {
		got := []string{own.Scope, f.vend(core, read).Scope, f.vend(core, write).Scope, f.vend(core, read).Scope}
		if fmt.Sprint(got) != "[all read read write read]" || f.server.calls() != 3 {
			t.Errorf("scopes %v after %d calls, want 3 calls", got, f.server.calls())
		}
	})
	t.Run("a scope that is not allowed is refused without a call", func(t *testing.T) {
		r := crm()
		r.Scope = "admin"
		wantCode(t, second(core.Vend(t.Context(), r)), problem.InvalidScope)
		if f.server.calls() != 3 {
			t.Errorf("%d calls, want 3", f.server.calls())
		}
	})
	t.Run("forgetting a connection forgets its variants", func(t *testing.T) {
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		for _, r := range []vending.Request{crm(), read, write} {
			f.vend(f.process(), r)
		}
		if f.server.calls() != 6 {
			t.Errorf("%d calls, want 6: every variant minted again", f.server.calls())
		}
	})
}

func TestCallers(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token",
		"callers":[{"principal":"arn:aws:iam::111122223333:role/app"}]}`)
	core := f.process()
	unauthorized := crm()
	unauthorized.Caller = "arn:aws:iam::111122223333:role/other"
	wantCode(t, second(core.Vend(t.Context(), unauthorized)), problem.AccessDenied)
	if f.server.calls() != 0 {
		t.Fatalf("an unauthorized caller caused %d calls", f.server.calls())
	}
	f.vend(core, crm())
	loads := f.secrets.loads
	for name, c := range map[string]*vending.Core{"from memory": core, "from the table": f.process()} {
		t.Run("BI-02 a cached token is protected by its callers: "+name, func(t *testing.T) {
			wantCode(t, second(c.Vend(t.Context(), unauthorized)), problem.AccessDenied)
		})
	}
	session := crm()
	session.Caller = "arn:aws:sts::111122223333:assumed-role/app/anything"
	f.vend(core, session)
	if f.secrets.loads != loads {
		t.Errorf("the warm path read the secret %d times", f.secrets.loads-loads)
	}
}

func TestUnknownAndBrokenConnections(t *testing.T) {
	f := newFleet(t)
	f.declare("broken", `{"provider":"oauth2","clientid":"app"}`)
	f.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"a","client_secret":"b"}`)
	core := f.process()
	for name, code := range map[string]problem.Code{
		"missing": problem.ConnectionNotFound, "crm.member": problem.ConnectionNotFound,
		"broken": problem.ConnectionMisconfigured, "user": problem.AuthorizationRequired,
	} {
		r := vending.Request{Connection: connectionName(t, name), Caller: principal}
		wantCode(t, second(core.Vend(t.Context(), r)), code)
	}
	t.Run("a client_credentials connection has no subjects", func(t *testing.T) {
		r := crm()
		r.Subject = "joe"
		wantCode(t, second(core.Vend(t.Context(), r)), problem.InvalidRequest)
	})
	t.Run("FI-34 an invalid secret is misconfigured, an unreachable one unavailable", func(t *testing.T) {
		f.secrets.fail = fmt.Errorf("%w: AccessDeniedException", clientsecret.ErrUnreadable)
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ConnectionMisconfigured)
		f.secrets.fail = fmt.Errorf("%w: ThrottlingException", clientsecret.ErrUnavailable)
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.StoreUnavailable)
		if f.server.calls() != 0 {
			t.Errorf("%d calls to the provider without a secret", f.server.calls())
		}
	})
}

func TestOneProcessSharesOneRefresh(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	var wg sync.WaitGroup
	start := make(chan struct{})
	tokens := make([]string, 1000)
	for i := range tokens {
		wg.Go(func() {
			<-start
			v, err := core.Vend(context.Background(), crm())
			if err == nil {
				tokens[i] = v.AccessToken.Reveal()
			}
		})
	}
	close(start)
	wg.Wait()
	for i, token := range tokens {
		if token != "token_1" {
			t.Fatalf("CR-03 caller %d got %q, want token_1", i, token)
		}
	}
	if f.server.calls() != 1 {
		t.Errorf("CR-03 %d provider calls, want 1", f.server.calls())
	}
}

func TestStaleIfError(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	f.vend(core, crm())
	f.server.failing(unavailable)
	f.clock.advance(59*time.Minute + 30*time.Second) // unusable by the rule, and not expired
	for range 3 {
		v := f.vend(core, crm())
		if v.AccessToken.Reveal() != "token_1" || !v.Stale {
			t.Fatalf("CR-24 got %s, stale %v; want token_1, stale", v.AccessToken.Reveal(), v.Stale)
		}
	}
	if f.server.calls() != 2 {
		t.Errorf("CR-18 %d calls, want 2: the failure is remembered", f.server.calls())
	}
	f.clock.advance(31 * time.Second)
	p := wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
	if p.RetryAfter <= 0 || p.Provider == nil || p.Provider.Status != 503 {
		t.Errorf("CR-24 after expiry: %+v, want the provider's status and a pause", p)
	}
}

func TestOneCallerRefreshesALateTokenWhileOthersAreServed(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	f.vend(core, crm())
	f.clock.advance(52 * time.Minute) // past 85 % of the lifetime
	var during vending.Vended
	f.server.during = func() {
		f.server.during = nil
		during = f.vend(core, crm())
	}
	first := f.vend(f.process(), crm())
	if first.AccessToken.Reveal() != "token_2" || during.AccessToken.Reveal() != "token_1" || during.Stale {
		t.Errorf("FI-41 refresher got %s, other caller %s (stale %v); want token_2 and token_1",
			first.AccessToken.Reveal(), during.AccessToken.Reveal(), during.Stale)
	}
	if f.server.calls() != 2 {
		t.Errorf("FI-41 %d calls, want 2", f.server.calls())
	}
}

func TestEarlyRefreshFalseWaitsForExpiry(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token","early_refresh":false}`)
	core := f.process()
	f.vend(core, crm())
	f.clock.advance(time.Hour - time.Second)
	r := crm()
	r.MinTTL = 20 * time.Minute
	if v := f.vend(core, r); v.AccessToken.Reveal() != "token_1" || f.server.calls() != 1 {
		t.Errorf("got %s after %d calls, want token_1: asking sooner is useless", v.AccessToken.Reveal(), f.server.calls())
	}
}

func TestSealedAtRest(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	v := f.vend(core, crm())
	item := f.item("crm")
	t.Run("INV-5 the stored item contains no token", func(t *testing.T) {
		if raw := fmt.Sprintf("%+v %s", item, item.Token.Sealed); contains(raw, v.AccessToken.Reveal()) {
			t.Error("the stored item shows the access token")
		}
	})
	t.Run("BI-73 a sealed token of another connection is a miss", func(t *testing.T) {
		f.declare("other", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`)
		_, err := f.store.Commit(t.Context(), tokenstore.Commit{
			Key: tokenstore.Key{Connection: "other"}, SecretIncarnation: item.SecretIncarnation, Token: item.Token, Now: f.clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, entry := audited(t)
		got, err := core.Vend(ctx, vending.Request{Connection: "other", Caller: principal})
		if err != nil || got.AccessToken.Reveal() != "token_2" {
			t.Fatalf("got %v, %v; want a token of its own", got.AccessToken.Reveal(), err)
		}
		_ = entry
	})
}

func second[T any](_ T, err error) error { return err }
