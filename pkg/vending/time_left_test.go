package vending_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// inRealTime uses the clock of a synctest bubble.
func (d *delegation) inRealTime() { d.now, d.wait, d.idp.now = time.Now, nil, time.Now }

// TestTimeIsLeftForTheAnswer: each step that cannot be taken back needs the time
// for the provider and for the table, judged when the step comes. The deadline
// leaves enough at the start of each request, and the table's answer uses it up.
func TestTimeIsLeftForTheAnswer(t *testing.T) {
	const enough = 20 * time.Second
	authorize := func(ctx context.Context, core *vending.Core, consume func(context.Context) error) error {
		conn, err := core.Delegated(ctx, user())
		if err != nil {
			return err
		}
		return core.Authorize(ctx, vending.Authorization{Connection: conn, Code: redact.New("code"), Consume: consume})
	}
	for _, c := range []struct {
		name string
		// slow is the call to the table that takes long.
		slow string
		do   func(ctx context.Context, core *vending.Core) error
	}{
		{"FI-09 a refresh token is not sent", "acquire", func(ctx context.Context, core *vending.Core) error {
			return second(core.Vend(ctx, user()))
		}},
		{"CR-06 an imported refresh token is not sent", "acquire", func(ctx context.Context, core *vending.Core) error {
			return core.Import(ctx, vending.Import{Request: user(), RefreshToken: redact.New("imported")})
		}},
		{"CR-06 a consent session is not consumed", "acquire", func(ctx context.Context, core *vending.Core) error {
			return authorize(ctx, core, func(context.Context) error { t.Error("it was consumed"); return nil })
		}},
		{"CR-06 a code is not sent after a session that was consumed slowly", "", func(ctx context.Context, core *vending.Core) error {
			return authorize(ctx, core, func(context.Context) error { time.Sleep(6 * time.Second); return nil })
		}},
		{"CR-06 a grant is not revoked", "get consistent", func(ctx context.Context, core *vending.Core) error {
			return core.Disconnect(ctx, user())
		}},
		{"CR-06 an access token is not revoked", "get consistent", func(ctx context.Context, core *vending.Core) error {
			return core.Forget(ctx, user(), true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDelegation(t, rotates)
				d.inRealTime()
				d.consent(d.process(), user())
				if c.slow == "acquire" {
					time.Sleep(2 * time.Hour) // the token expires
				}
				before, calls := d.grantOf(user()), d.idp.calls()
				d.store.before = func(operation string) {
					if operation == c.slow {
						time.Sleep(6 * time.Second)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), enough)
				defer cancel()
				wantCode(t, c.do(ctx, d.process()), problem.RefreshInProgress)
				d.store.before = nil
				after := d.grantOf(user())
				if d.idp.calls() != calls || len(d.idp.revoked) > 0 || after.Grant.Fingerprint != before.Grant.Fingerprint ||
					after.Token.ID != before.Token.ID || after.RefreshAttempt.Before != "" {
					t.Errorf("%d calls, revoked %v, item %+v", d.idp.calls()-calls, d.idp.revoked, after)
				}
				if v, err := d.process().Vend(t.Context(), user()); err != nil {
					t.Errorf("afterwards: %v, %v", v.ID, err)
				}
			})
		})
	}
}

func TestTimeIsLeftForClientCredentials(t *testing.T) {
	for _, c := range []struct {
		name       string
		slow, left time.Duration
		code       problem.Code
		calls      int
	}{
		{"FI-09 not enough of the invocation", 3 * time.Second, 17 * time.Second, problem.RefreshInProgress, 0},
		{"CR-06 enough of both", 3 * time.Second, 19 * time.Second, "", 1},
		{"CR-06 too little of the lease, twice", 5 * time.Second, time.Minute, problem.RefreshInProgress, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.inRealTime(time.Second)
				f.store.before = func(operation string) {
					if operation == "acquire" {
						time.Sleep(c.slow)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				err := second(f.process().Vend(ctx, crm()))
				if c.code == "" && err != nil || c.code != "" && !problem.Is(err, c.code) {
					t.Errorf("got %v, want %q", err, c.code)
				}
				if owner := f.item("crm").Lease.Owner; f.server.calls() != c.calls || owner != "" {
					t.Errorf("%d provider calls, want %d; lease %q", f.server.calls(), c.calls, owner)
				}
			})
		})
	}
}
