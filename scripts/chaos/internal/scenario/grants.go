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
				run: func(ctx context.Context, e *env) { e.killRefresher(ctx, k, at) }})
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

// delegate makes the delegated connection of a scenario, and forgets the requests
// that it took.
func (e *env) delegate(ctx context.Context, policy sandbox.RefreshPolicy, age time.Duration) {
	e.must(e.Delegate(ctx, user, policy, age))
	e.resetCounts()
}

// killed kills the holder at a point of a refresh, and ends its lease.
func (e *env) killed(ctx context.Context, name string, at point, holder *fleet.Process) {
	dead := make(chan struct{})
	e.Gate.Once(at.step, at.phase, func(fleet.Call) fleet.Decision {
		holder.Kill()
		close(dead)
		return fleet.Cut
	})
	a := e.ask(ctx, holder, fleet.TokenOf(name))
	e.Gate.Set(at.step, at.phase, nil)
	if a.Err == nil {
		e.must(fmt.Errorf("the holder was not killed %s: %s", at.where, a.Outcome()))
	}
	<-dead
	e.expireLease(ctx, name)
}

// killRefresher kills a process that uses a refresh token. Others are served after
// the lease. Where the only valid refresh token was lost with its holder, the stored
// one is tried once more, and never again.
func (e *env) killRefresher(ctx context.Context, k kind, at point) {
	e.delegate(ctx, k.policy, expired)
	e.killed(ctx, user, at, e.vend(0))
	if k.once && at.received {
		e.expectGrantEnded(ctx)
	} else {
		e.served(ctx, e.vend(1), user, leaseTTL+grace)
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
		e.expectCalls(1, 2)
	}
	e.expectNoReuse(user)
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
func (e *env) expectNoReuse(name string) {
	c, err := e.Provider.Counters(name)
	e.must(err)
	e.expect(c.Refresh.Reused == 0, "INV-3: %d refresh tokens were presented although a newer one was stored", c.Refresh.Reused)
}

// frozenRefresher freezes a holder until another process has its lease, and thaws
// it while that one waits for the newer refresh token. The lease is ended early: a
// holder that thaws after its time to store keeps the token in memory and stores it
// at its next invocation (FI-31).
func frozenRefresher(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	holder := e.Brief(fleet.Vend, 90, 2*time.Minute)
	first, release := e.heldAtCommit(ctx, holder, user)
	defer release()
	e.must(holder.Freeze())
	e.expireLeaseNow(ctx, user)
	second := e.asking(ctx, e.vend(1), fleet.TokenOf(user))
	e.must(e.Gate.Await(ctx, fleet.Token, fleet.Done, 2))
	release() // the only valid refresh token is stored while the other waits for it
	e.must(e.Gate.Await(ctx, fleet.Commit, fleet.Done, 1))
	e.must(holder.Thaw())
	e.expectOutcome(<-second, "200")
	e.expectOutcome(<-first, "200", "503 refresh_in_progress")
	e.expectOutcome(e.ask(ctx, e.vend(2), fleet.TokenOf(user)), "200")
	e.expectNoReuse(user)
}

// resetAnswer loses the answer to a refresh while the access token is valid. The
// token is served until it expires, and the refresh token is not used before that.
func resetAnswer(ctx context.Context, e *env) {
	e.delegate(ctx, strict, 55*time.Minute)
	e.fault(user, sandbox.Fault{Reset: true, Processed: true, Count: 1})
	for i := range 4 {
		e.expectOutcome(e.ask(ctx, e.vend(i), fleet.TokenOf(user)), "200", "200 stale")
	}
	e.expectCalls(1, 1)
	e.expectNoReuse(user)
}

func withdrawn(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	_, err := e.Provider.EndGrants(user, "")
	e.must(err)
	for i := range 3 {
		e.expectOutcome(e.ask(ctx, e.vend(i), fleet.TokenOf(user)), "409 authorization_required")
	}
	e.expectCalls(1, 1)
	e.must(e.Consent(ctx, user, 0))
	began := time.Now()
	e.expectOutcome(e.ask(ctx, e.vend(4), fleet.TokenOf(user)), "200")
	e.expect(time.Since(began) < time.Second, "FI-24: a new consent took %s to work", time.Since(began))
}

func wrongInvalidGrant(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	e.fault(user, sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`, Count: 1})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "409 authorization_required")
	forget := fleet.TokenOf(user)
	forget.Method = "DELETE"
	e.expectOutcome(e.ask(ctx, e.vend(0), forget), "204")
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
	e.expectCalls(2, 2)
}

func grantTableDown(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	e.TableLine.Cut()
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(user)) {
		e.expectOutcome(a, "503 store_unavailable")
	}
	e.expectCalls(0, 0)
	e.TableLine.Restore()
	e.expectOutcome(e.ask(ctx, e.vend(5), fleet.TokenOf(user)), "200")
}

// grantNotStored has the table fail after the provider's answer, for longer than
// the holder retries. The holder keeps the refresh token in memory and stores it at
// its next request.
func grantNotStored(ctx context.Context, e *env) {
	e.delegate(ctx, strict, expired)
	e.Gate.Once(fleet.Token, fleet.Done, func(fleet.Call) fleet.Decision {
		e.breakTable(fault.Always(fault.Broken))
		return fleet.Decision{}
	})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	e.breakTable(nil)
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "200")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(user)), "200")
	e.expectCalls(1, 1)
	e.expectNoReuse(user)
}

func grantKeyMissing(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	before := e.grantOf(ctx, user)
	e.must(e.AddKey("k2"))
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	e.expectCalls(0, 0)
	e.expect(slices.Equal(before, e.grantOf(ctx, user)), "FI-36: the grant was overwritten")
}

// grantOf is the sealed grant of a connection as it is stored.
func (e *env) grantOf(ctx context.Context, name string) []byte {
	if sealed, ok := e.item(ctx, name)["grant"].(*types.AttributeValueMemberB); ok {
		return sealed.Value
	}
	return nil
}

func disconnectedInFlight(ctx context.Context, e *env) {
	e.delegate(ctx, rotating, expired)
	first, release := e.heldAtCommit(ctx, e.vend(0), user)
	defer release()
	disconnect := fleet.Ask{Method: "DELETE", Path: "/connections/" + user + "/authorization"}
	e.expectOutcome(e.ask(ctx, e.Process(fleet.Connections, 0), disconnect), "204")
	release()
	e.expectOutcome(<-first, "409 authorization_required", "503 refresh_in_progress")
	e.expectOutcome(e.ask(ctx, e.vend(1), fleet.TokenOf(user)), "409 authorization_required")
	e.expect(e.grantOf(ctx, user) == nil, "FI-49: the disconnected grant is back")
}

func grantRace(ctx context.Context, e *env) {
	e.delegate(ctx, strict, expired)
	answers := e.askAll(ctx, e.Vends(16), fleet.TokenOf(user))
	for _, a := range answers {
		e.expectOutcome(a, "200")
		e.expect(a.TokenID == answers[0].TokenID, "callers got different tokens")
	}
	e.expectCalls(1, 1)
	e.expectNoReuse(user)
}

// The number of random kills.
const (
	fewKills  = 24
	manyKills = 400
)

// randomKills kills holders at random points, at servers of a random kind, and
// counts the lost refresh tokens.
func randomKills(ctx context.Context, e *env) {
	n, seed := fewKills, uint64(51)
	if e.config.Full {
		n = manyKills
	}
	r, lost := rand.New(rand.NewPCG(seed, 0)), map[string]int{}
	e.timeStoring()
	for i := range n {
		k, at := kinds[r.IntN(len(kinds))], points[r.IntN(len(points))]
		name := fmt.Sprintf("user-%03d", i)
		e.must(e.Delegate(ctx, name, k.policy, expired))
		e.killed(ctx, name, at, e.vend(0))
		e.expireLeaseNow(ctx, name)
		e.timeStoring()
		a := e.ask(ctx, e.vend(1), fleet.TokenOf(name))
		if a.Code == "authorization_required" {
			lost[k.name]++
			e.expect(k.once && at.received, "INV-4: %s: lost by a kill %s", k.name, at.where)
		} else {
			e.expectOutcome(a, "200")
		}
		e.expectNoReuse(name)
	}
	e.fact("%d kills (seed %d); refresh tokens lost: %d static, %d with a grace, %d rotating, %d with reuse detection; reuse after a newer one was stored: 0",
		n, seed, lost[kinds[0].name], lost[kinds[1].name], lost[kinds[2].name], lost[kinds[3].name])
	e.fact("from the provider's answer to stored: %s", e.storing.String())
}
