package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// user is the delegated connection of most of these scenarios; expired is the age
// of its access token.
const (
	user    = "user"
	expired = 2 * time.Hour
)

// The ways servers treat refresh tokens.
var (
	static   = sandbox.RefreshPolicy{}
	graceful = sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways, Grace: 5 * time.Minute}
	rotating = sandbox.RefreshPolicy{Rotation: sandbox.RotateAlways}
	strict   = sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect}
)

// kind is a policy with its name.
type kind struct {
	name   string
	policy sandbox.RefreshPolicy
	// once: a refresh token cannot be used again after its answer was lost.
	once bool
}

var kinds = []kind{
	{"static", static, false}, {"rotating with a grace", graceful, false},
	{"rotating", rotating, true}, {"rotating with reuse detection", strict, true},
}

// point is a point of a refresh at which its holder is killed.
type point struct {
	where string
	step  fleet.Step
	phase fleet.Phase
	// received: the answer has arrived and is not stored.
	received bool
}

var points = []point{
	{"before its lease is written", fleet.Acquire, fleet.Arrived, false},
	{"under the lease, before the provider call", fleet.Acquire, fleet.Done, false},
	{"when the provider is called", fleet.Token, fleet.Arrived, false},
	{"after the provider answered", fleet.Token, fleet.Done, true},
	{"before the commit is applied", fleet.Commit, fleet.Arrived, true},
	{"after the commit is applied", fleet.Commit, fleet.Done, false},
}

// grants are the scenarios of refresh tokens.
func grants() []Scenario {
	var all []Scenario
	for _, k := range []kind{kinds[0], kinds[3]} {
		for _, at := range points {
			id := map[bool]string{false: "FI-05", true: "FI-06"}[k.once]
			all = append(all, Scenario{ID: id, Title: k.name + " refresh token: the holder is killed " + at.where,
				run: func(ctx context.Context, e *env) error { return e.killRefresher(ctx, k, at) }})
		}
	}
	return append(all,
		Scenario{ID: "FI-08", Title: "rotating: the holder is frozen before it stores the newer refresh token", run: frozenRefresher},
		Scenario{ID: "FI-18", Title: "refresh: the answer is reset after it was carried out", run: resetAnswer},
		Scenario{ID: "FI-24", Title: "the user revokes the consent, and consents again", run: withdrawn},
		Scenario{ID: "FI-25", Title: "invalid_grant for a valid grant", run: wrongInvalidGrant},
		Scenario{ID: "FI-27", Title: "delegated: the table is down", run: grantTableDown},
		Scenario{ID: "FI-31", Title: "the table fails after the provider answered", FullOnly: true, run: grantNotStored},
		Scenario{ID: "FI-36", Title: "delegated: the keyset lacks the key", run: grantKeyMissing},
		Scenario{ID: "FI-49", Title: "disconnected while a refresh is in flight", run: disconnectedInFlight},
		Scenario{ID: "FI-01", Title: "16 cold environments race on an expired delegated token", run: grantRace},
		Scenario{ID: "FI-51", Title: "kills at random steps of a refresh", run: randomKills},
	)
}

// killed kills the holder at a point of a refresh and returns its caller's answer.
func (e *env) killed(ctx context.Context, name string, at point, holder *fleet.Process) (fleet.Answer, error) {
	dead := make(chan struct{})
	e.Gate.Once(at.step, at.phase, func(fleet.Call) fleet.Decision {
		holder.Kill()
		close(dead)
		return fleet.Cut
	})
	a := e.ask(ctx, holder, fleet.TokenOf(name))
	e.Gate.Set(at.step, at.phase, nil)
	if a.Err == nil {
		return a, fmt.Errorf("the holder was not killed %s: %s", at.where, a.Outcome())
	}
	<-dead
	return a, e.expireHeldLease(ctx, name)
}

// killRefresher kills a process that uses a refresh token. Others are served after
// the lease. Where the only valid refresh token was lost with its holder, the stored
// one is tried once more, and never again.
func (e *env) killRefresher(ctx context.Context, k kind, at point) error {
	if err := e.Delegate(ctx, user, k.policy, expired); err != nil {
		return err
	}
	e.resetCounts()
	if _, err := e.killed(ctx, user, at, e.vend(0)); err != nil {
		return err
	}
	if k.once && at.received {
		e.expectGrantEnded(ctx)
		return e.expectNoReuse(user)
	}
	e.served(ctx, e.vend(1), user, leaseTTL+grace)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
	e.expectCalls(1, 2)
	return e.expectNoReuse(user)
}

// expectGrantEnded waits until callers get authorization_required, and expects no
// further request to the provider (FI-24).
func (e *env) expectGrantEnded(ctx context.Context) {
	deadline := time.Now().Add(leaseTTL + grace)
	a := e.ask(ctx, e.vend(1), fleet.TokenOf(user))
	for a.Code == "refresh_in_progress" && time.Now().Before(deadline) {
		e.pause(ctx, time.Second)
		a = e.ask(ctx, e.vend(1), fleet.TokenOf(user))
	}
	e.expectOutcome(a, "409 authorization_required")
	calls := e.Gate.Calls(fleet.Token)
	e.expectOutcome(e.ask(ctx, e.vend(2), fleet.TokenOf(user)), "409 authorization_required")
	e.expect(e.Gate.Calls(fleet.Token) == calls, "FI-24: the provider was asked again")
}

// expectNoReuse is INV-3.
func (e *env) expectNoReuse(name string) error {
	c, err := e.Provider.Counters(name)
	e.expect(c.Refresh.Reused == 0, "INV-3: %d refresh tokens were presented although a newer one was stored", c.Refresh.Reused)
	return err
}

// frozenRefresher freezes a holder until another process has its lease, and thaws
// it while that one waits for the newer refresh token. The lease is ended early: a
// holder that thaws after its time to store keeps the token in memory and stores it
// at its next invocation (FI-31).
func frozenRefresher(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	e.resetCounts()
	holder := e.Brief(fleet.Vend, 90, 2*time.Minute)
	met, release := e.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	first := e.asking(ctx, holder, fleet.TokenOf(user))
	select {
	case <-met:
	case a := <-first:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	if err := holder.Freeze(); err != nil {
		return err
	}
	if err := e.expireLeaseNow(ctx, user); err != nil {
		return err
	}
	second := e.asking(ctx, e.vend(1), fleet.TokenOf(user))
	if err := e.Gate.Await(ctx, fleet.Token, fleet.Done, 2); err != nil {
		return err
	}
	release() // the only valid refresh token is stored while the other waits for it
	if err := e.Gate.Await(ctx, fleet.Commit, fleet.Done, 1); err != nil {
		return err
	}
	if err := holder.Thaw(); err != nil {
		return err
	}
	e.expectOutcome(<-second, "200")
	e.expectOutcome(<-first, "200", "503 refresh_in_progress")
	e.expectOutcome(e.ask(ctx, e.vend(2), fleet.TokenOf(user)), "200")
	return e.expectNoReuse(user)
}

// resetAnswer loses the answer to a refresh while the access token is valid. The
// token is served until it expires, and the refresh token is not used before that.
func resetAnswer(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, strict, 55*time.Minute); err != nil {
		return err
	}
	if err := e.Provider.Fault(user, sandbox.Fault{Reset: true, Processed: true, Count: 1}); err != nil {
		return err
	}
	e.resetCounts()
	for i := range 4 {
		e.expectOutcome(e.ask(ctx, e.vend(i), fleet.TokenOf(user)), "200", "200 stale")
	}
	e.expectCalls(1, 1)
	return e.expectNoReuse(user)
}

func withdrawn(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	if _, err := e.Provider.EndGrants(user, ""); err != nil {
		return err
	}
	e.resetCounts()
	for i := range 3 {
		e.expectOutcome(e.ask(ctx, e.vend(i), fleet.TokenOf(user)), "409 authorization_required")
	}
	e.expectCalls(1, 1)
	if err := e.Consent(ctx, user, 0); err != nil {
		return err
	}
	began := time.Now()
	e.expectOutcome(e.ask(ctx, e.vend(4), fleet.TokenOf(user)), "200")
	e.expect(time.Since(began) < time.Second, "FI-24: a new consent took %s to work", time.Since(began))
	return nil
}

func wrongInvalidGrant(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	if err := e.Provider.Fault(user, sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`, Count: 1}); err != nil {
		return err
	}
	e.resetCounts()
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "409 authorization_required")
	forget := fleet.TokenOf(user)
	forget.Method = "DELETE"
	e.expectOutcome(e.ask(ctx, e.vend(0), forget), "204")
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
	e.expectCalls(2, 2)
	return nil
}

func grantTableDown(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	e.resetCounts()
	e.TableLine.Cut()
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(user)) {
		e.expectOutcome(a, "503 store_unavailable")
	}
	e.expectCalls(0, 0)
	e.TableLine.Restore()
	e.expectOutcome(e.ask(ctx, e.vend(5), fleet.TokenOf(user)), "200")
	return nil
}

// grantNotStored has the table fail after the provider's answer, for longer than
// the holder retries. The holder keeps the refresh token in memory and stores it at
// its next request.
func grantNotStored(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, strict, expired); err != nil {
		return err
	}
	e.resetCounts()
	e.Gate.Once(fleet.Token, fleet.Done, func(fleet.Call) fleet.Decision {
		e.breakTable(fault.Always(fault.Broken))
		return fleet.Decision{}
	})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	e.breakTable(nil)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(user)), "200")
	e.expectCalls(1, 1)
	return e.expectNoReuse(user)
}

func grantKeyMissing(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	before, err := e.grantOf(ctx, user)
	if err != nil {
		return err
	}
	if err := e.AddKey("k2"); err != nil {
		return err
	}
	e.resetCounts()
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	e.expectCalls(0, 0)
	after, err := e.grantOf(ctx, user)
	e.expect(slices.Equal(before, after), "FI-36: the grant was overwritten")
	return err
}

// grantOf is the sealed grant of a connection as it is stored.
func (e *env) grantOf(ctx context.Context, name string) ([]byte, error) {
	item, err := e.Item(ctx, name)
	if sealed, ok := item["grant"].(*types.AttributeValueMemberB); ok {
		return sealed.Value, err
	}
	return nil, err
}

func disconnectedInFlight(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	e.resetCounts()
	met, release := e.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	first := e.asking(ctx, e.vend(0), fleet.TokenOf(user))
	select {
	case <-met:
	case a := <-first:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	disconnect := fleet.Ask{Method: "DELETE", Path: "/connections/" + user + "/authorization"}
	e.expectOutcome(e.ask(ctx, e.Process(fleet.Connections, 0), disconnect), "204")
	release()
	e.expectOutcome(<-first, "409 authorization_required", "503 refresh_in_progress")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(user)), "409 authorization_required")
	grant, err := e.grantOf(ctx, user)
	e.expect(grant == nil, "FI-49: the disconnected grant is back")
	return err
}

func grantRace(ctx context.Context, e *env) error {
	if err := e.Delegate(ctx, user, strict, expired); err != nil {
		return err
	}
	e.resetCounts()
	answers := e.askAll(ctx, e.Vends(16), fleet.TokenOf(user))
	for _, a := range answers {
		e.expectOutcome(a, "200")
		e.expect(a.TokenID == answers[0].TokenID, "callers got different tokens")
	}
	e.expectCalls(1, 1)
	return e.expectNoReuse(user)
}

// The number of random kills.
const (
	fewKills  = 24
	manyKills = 400
)

// randomKills kills holders at random points, at servers of a random kind, and
// counts the lost refresh tokens.
func randomKills(ctx context.Context, e *env) error {
	n, seed := fewKills, uint64(51)
	if e.config.Full {
		n = manyKills
	}
	r, lost := rand.New(rand.NewPCG(seed, 0)), map[string]int{}
	e.timeStoring()
	for i := range n {
		k, at := kinds[r.IntN(len(kinds))], points[r.IntN(len(points))]
		name := fmt.Sprintf("user-%03d", i)
		if err := e.Delegate(ctx, name, k.policy, expired); err != nil {
			return err
		}
		if _, err := e.killed(ctx, name, at, e.vend(0)); err != nil {
			return err
		}
		if err := e.expireLeaseNow(ctx, name); err != nil {
			return err
		}
		e.timeStoring()
		a := e.ask(ctx, e.vend(1), fleet.TokenOf(name))
		if a.Code == "authorization_required" {
			lost[k.name]++
			e.expect(k.once && at.received, "INV-4: %s: lost by a kill %s", k.name, at.where)
		} else {
			e.expectOutcome(a, "200")
		}
		if err := e.expectNoReuse(name); err != nil {
			return err
		}
	}
	e.fact("%d kills (seed %d); refresh tokens lost: %d static, %d with a grace, %d rotating, %d with reuse detection; reuse after a newer one was stored: 0",
		n, seed, lost[kinds[0].name], lost[kinds[1].name], lost[kinds[2].name], lost[kinds[3].name])
	e.fact("from the provider's answer to stored: %s", e.storing.String())
	return nil
}

// expireLeaseNow ends a lease at full length too: the scenario has hundreds.
func (e *env) expireLeaseNow(ctx context.Context, name string) error {
	item, err := e.Item(ctx, name)
	if err != nil || item["lease_owner"] == nil {
		return err
	}
	return e.Change(ctx, name, values{"lease_until": fleet.Millis(time.Now().Add(-time.Second))})
}
