package vending_test

import (
	"crypto/rand"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// jitter is a random source whose fractions are all the same, and whose lease
// owners are not.
type jitter float64

func (j jitter) Read(b []byte) (int, error) {
	if len(b) != 8 {
		return rand.Read(b)
	}
	binary.BigEndian.PutUint64(b, uint64(float64(j)*(1<<53))<<11)
	return len(b), nil
}

// hangs makes the provider leave each request without a response until the client
// gives up.
func (f *fleet) hangs() {
	f.inRealTime(8 * time.Second)
	f.server.failing(&oauth.Error{Kind: oauth.Timeout, Reason: oauth.ReasonTimeout, Trace: oauth.Trace{Calls: 1}})
}

// TestWaitingWhereTheLastAttemptFailed: one caller asks the provider again, and the
// others do not queue behind it.
func TestWaitingWhereTheLastAttemptFailed(t *testing.T) {
	ask := func(t *testing.T, core *vending.Core) (*problem.Error, time.Duration) {
		began := time.Now()
		err := second(core.Vend(t.Context(), crm()))
		if err == nil {
			return nil, time.Since(began)
		}
		return problem.Of(err), time.Since(began)
	}
	// probing is a fleet whose provider failed once and is being asked again, for
	// that long, since a moment ago. Then it fails or not.
	probing := func(t *testing.T, latency time.Duration, result *oauth.Error) *fleet {
		f := newFleet(t)
		f.inRealTime(latency)
		f.server.failing(unavailable)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		time.Sleep(3 * time.Second)
		f.server.failing(result)
		go func() { _, _ = f.process().Vend(t.Context(), crm()) }()
		synctest.Wait()
		return f
	}
	for _, c := range []struct {
		name    string
		latency time.Duration
		after   time.Duration
		waits   time.Duration
		code    problem.Code
	}{
		{"CR-18 until the lease is two seconds old", 8 * time.Second, 500 * time.Millisecond, 1500 * time.Millisecond, problem.ProviderUnavailable},
		{"CR-18 not at all when it is older", 8 * time.Second, 3 * time.Second, 0, problem.ProviderUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := probing(t, c.latency, unavailable)
				defer time.Sleep(time.Minute) // the holder ends
				time.Sleep(c.after)
				p, waited := ask(t, f.process())
				if p == nil || p.Code != c.code || waited != c.waits || p.RetryAfter < 2*time.Second || p.Provider == nil || p.Provider.Status != 503 {
					t.Errorf("got %+v after %v, want %s after %v", p, waited, c.code, c.waits)
				}
			})
		})
	}
	t.Run("CR-09 an attempt that succeeds in time is the answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := probing(t, time.Second, nil)
			defer time.Sleep(time.Minute)
			if p, waited := ask(t, f.process()); p != nil || waited > 2*time.Second {
				t.Errorf("got %+v after %v", p, waited)
			}
		})
	})
	t.Run("CR-19 a failure of another declaration does not shorten the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := probing(t, 5*time.Second, unavailable)
			defer time.Sleep(time.Minute)
			f.server.failing(nil)
			f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://idp.example.com/token"}`)
			if p, waited := ask(t, f.process()); p != nil || waited < 5*time.Second {
				t.Errorf("got %+v after %v", p, waited)
			}
		})
	})
	t.Run("CR-18 nor behind a caller of the same process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.hangs()
			core := f.process()
			wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderTimeout)
			time.Sleep(3 * time.Second)
			go func() { _, _ = core.Vend(t.Context(), crm()) }()
			synctest.Wait()
			defer time.Sleep(time.Minute)
			for _, want := range []time.Duration{2 * time.Second, 0} {
				if p, waited := ask(t, core); p == nil || p.Code != problem.ProviderTimeout || waited != want || p.RetryAfter < 2*time.Second {
					t.Errorf("got %+v after %v, want it after %v", p, waited, want)
				}
			}
		})
	})
	t.Run("CR-09 a caller of the same process waits eight seconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.inRealTime(9 * time.Second)
			core := f.process()
			go func() { _, _ = core.Vend(t.Context(), crm()) }()
			synctest.Wait()
			defer time.Sleep(time.Minute)
			if p, waited := ask(t, core); p == nil || p.Code != problem.RefreshInProgress || waited != 8*time.Second {
				t.Errorf("got %+v after %v", p, waited)
			}
		})
	})
	t.Run("CR-18 a caller that reported the token dead does not queue either", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.inRealTime(0)
			v := f.vend(f.process(), crm())
			time.Sleep(time.Minute)
			f.hangs()
			dead := crm()
			dead.RejectedTokenID = v.ID
			wantCode(t, second(f.process().Vend(t.Context(), dead)), problem.ProviderTimeout)
			time.Sleep(3 * time.Second)
			go func() { _, _ = f.process().Vend(t.Context(), dead) }()
			synctest.Wait()
			defer time.Sleep(time.Minute)
			began := time.Now()
			wantCode(t, second(f.process().Vend(t.Context(), dead)), problem.ProviderTimeout)
			if waited := time.Since(began); waited != 2*time.Second {
				t.Errorf("it waited %v, want 2 s", waited)
			}
		})
	})
	t.Run("CR-19 a new consent waits as long as ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDelegation(t, keeps)
			d.inRealTime()
			d.consent(d.process(), user())
			time.Sleep(2 * time.Hour)
			d.idp.unavailable = true
			wantCode(t, second(d.process().Vend(t.Context(), user())), problem.ProviderUnavailable)
			time.Sleep(3 * time.Second)
			d.idp.unavailable = false
			d.idp.during = func(oauth.Request) { d.idp.during = nil; time.Sleep(5 * time.Second) }
			go func() { _, _ = d.process().Vend(t.Context(), user()) }()
			synctest.Wait()
			defer time.Sleep(time.Minute)
			d.consent(d.process(), user())
		})
	})
}
