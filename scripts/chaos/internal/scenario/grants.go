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

// user is the delegated connection that most of these scenarios are about, and
// expired the age of its access token.
const (
	user    = "user"
	expired = 2 * time.Hour
)

// The ways in which servers treat refresh tokens.
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
	// once: a refresh token whose answer was lost is of no use any more.
	once bool
}

var kinds = []kind{
	{"static", static, false}, {"rotating with a grace", graceful, false},
	{"rotating", rotating, true}, {"rotating with reuse detection", strict, true},
}

// point is a place in a refresh where its holder can be stopped.
type point struct {
	where string
	step  fleet.Step
	phase fleet.Phase
	// received: the answer has come and is not stored.
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

// grants are the cases of refresh tokens.
func grants() []Scenario {
	var all []Scenario
	for _, k := range []kind{kinds[0], kinds[3]} {
		for _, at := range points {
			id := map[bool]string{false: "FI-05", true: "FI-06"}[k.once]
			all = append(all, Scenario{ID: id, Title: k.name + " refresh token: the holder is killed " + at.where,
				run: func(ctx context.Context, s *stage) error { return s.killSpender(ctx, k, at) }})
		}
	}
	return append(all,
		Scenario{ID: "FI-08", Title: "rotating: the holder is frozen with the newer refresh token", run: frozenSpender},
		Scenario{ID: "FI-18", Title: "refresh: the answer is reset after it was carried out", run: resetAnswer},
		Scenario{ID: "FI-24", Title: "the user has withdrawn consent, and consents again", run: withdrawn},
		Scenario{ID: "FI-25", Title: "invalid_grant of a grant that lives", run: deceived},
		Scenario{ID: "FI-27", Title: "delegated: the table is down", run: grantTableDown},
		Scenario{ID: "FI-31", Title: "the table fails after the provider answered", Patient: true, run: unsavedGrant},
		Scenario{ID: "FI-36", Title: "delegated: the keyset lacks the key", run: grantKeysetGone},
		Scenario{ID: "FI-49", Title: "disconnected while a refresh is in flight", run: disconnectedInFlight},
		Scenario{ID: "FI-01", Title: "16 cold environments race on an expired delegated token", run: grantRace},
		Scenario{ID: "FI-51", Title: "kills at random steps of a refresh", run: randomKills},
	)
}

// killed has the holder of a refresh killed at a point, and returns what its
// caller got, once it is dead.
func (s *stage) killed(ctx context.Context, name string, at point, holder *fleet.Process) (fleet.Answer, error) {
	dead := make(chan struct{})
	s.Gate.Once(at.step, at.phase, func(c fleet.Call) fleet.Decision {
		holder.Kill()
		close(dead)
		return fleet.Cut
	})
	a := s.ask(ctx, holder, fleet.TokenOf(name))
	s.Gate.Set(at.step, at.phase, nil)
	if a.Err == nil {
		return a, fmt.Errorf("nobody was killed %s: %s", at.where, a.Outcome())
	}
	<-dead
	return a, s.lapseHeld(ctx, name)
}

// killSpender kills who spends a refresh token. Another is served after the
// lease; where the only living refresh token died with its holder, it is tried
// once more, and never after that.
func (s *stage) killSpender(ctx context.Context, k kind, at point) error {
	if err := s.Delegate(ctx, user, k.policy, expired); err != nil {
		return err
	}
	s.newAct()
	if _, err := s.killed(ctx, user, at, s.vend(0)); err != nil {
		return err
	}
	if k.once && at.received {
		s.ended(ctx)
		return s.expectNoReuse(user)
	}
	s.served(ctx, s.vend(1), user, leaseTTL+grace)
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "200")
	s.expectCalls(1, 2)
	return s.expectNoReuse(user)
}

// ended waits until a caller learns that somebody has to consent again, and
// then sees that nobody asks the provider any more (FI-24).
func (s *stage) ended(ctx context.Context) {
	deadline := time.Now().Add(leaseTTL + grace)
	a := s.ask(ctx, s.vend(1), fleet.TokenOf(user))
	for a.Code == "refresh_in_progress" && time.Now().Before(deadline) {
		s.pause(ctx, time.Second)
		a = s.ask(ctx, s.vend(1), fleet.TokenOf(user))
	}
	s.expectOutcome(a, "409 authorization_required")
	calls := s.Gate.Calls(fleet.Token)
	s.expectOutcome(s.ask(ctx, s.vend(2), fleet.TokenOf(user)), "409 authorization_required")
	s.expect(s.Gate.Calls(fleet.Token) == calls, "FI-24: the provider was asked again")
}

// expectNoReuse is INV-3.
func (s *stage) expectNoReuse(name string) error {
	c, err := s.Provider.Counters(name)
	s.expect(c.Refresh.Reused == 0, "INV-3: %d refresh tokens were presented although a newer one was stored", c.Refresh.Reused)
	return err
}

// frozenSpender freezes a holder until another has its lease, and lets it go on
// while that one looks for the newer refresh token. The lease is made to lapse:
// a holder that wakes after the time it has to store in keeps what it has in
// memory, and stores it when it is next invoked (FI-31).
func frozenSpender(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	s.newAct()
	holder := s.Brief(fleet.Vend, 90, 2*time.Minute)
	met, release := s.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	first := s.asking(ctx, holder, fleet.TokenOf(user))
	select {
	case <-met:
	case a := <-first:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	if err := holder.Freeze(); err != nil {
		return err
	}
	if err := s.lapseNow(ctx, user); err != nil {
		return err
	}
	second := s.asking(ctx, s.vend(1), fleet.TokenOf(user))
	if err := s.Gate.Await(ctx, fleet.Token, fleet.Done, 2); err != nil {
		return err
	}
	release() // the only living refresh token arrives while the other looks for it
	if err := s.Gate.Await(ctx, fleet.Commit, fleet.Done, 1); err != nil {
		return err
	}
	if err := holder.Thaw(); err != nil {
		return err
	}
	s.expectOutcome(<-second, "200")
	s.expectOutcome(<-first, "200", "503 refresh_in_progress")
	s.expectOutcome(s.ask(ctx, s.vend(2), fleet.TokenOf(user)), "200")
	return s.expectNoReuse(user)
}

// resetAnswer loses the answer to a refresh while the access token serves: it
// goes on serving, and the refresh token is not shown again until it has ended.
func resetAnswer(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, strict, 55*time.Minute); err != nil {
		return err
	}
	if err := s.Provider.Fault(user, sandbox.Fault{Reset: true, Processed: true, Count: 1}); err != nil {
		return err
	}
	s.newAct()
	for i := range 4 {
		s.expectOutcome(s.ask(ctx, s.vend(i), fleet.TokenOf(user)), "200", "200 stale")
	}
	s.expectCalls(1, 1)
	return s.expectNoReuse(user)
}

func withdrawn(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	if _, err := s.Provider.EndGrants(user, ""); err != nil {
		return err
	}
	s.newAct()
	for i := range 3 {
		s.expectOutcome(s.ask(ctx, s.vend(i), fleet.TokenOf(user)), "409 authorization_required")
	}
	s.expectCalls(1, 1)
	if err := s.Consent(ctx, user, 0); err != nil {
		return err
	}
	began := time.Now()
	s.expectOutcome(s.ask(ctx, s.vend(4), fleet.TokenOf(user)), "200")
	s.expect(time.Since(began) < time.Second, "FI-24: a new consent took %s to work", time.Since(began))
	return nil
}

func deceived(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	if err := s.Provider.Fault(user, sandbox.Fault{Status: 400, Body: `{"error":"invalid_grant"}`, Count: 1}); err != nil {
		return err
	}
	s.newAct()
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "409 authorization_required")
	forget := fleet.TokenOf(user)
	forget.Method = "DELETE"
	s.expectOutcome(s.ask(ctx, s.vend(0), forget), "204")
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "200")
	s.expectCalls(2, 2)
	return nil
}

func grantTableDown(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	s.newAct()
	s.TableLine.Reset()
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf(user)) {
		s.expectOutcome(a, "503 store_unavailable")
	}
	s.expectCalls(0, 0)
	if err := s.TableLine.Up(); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(5), fleet.TokenOf(user)), "200")
	return nil
}

// unsavedGrant has the table fail from the provider's answer on, for longer than
// the holder tries: it keeps the refresh token, and stores it when it is next
// asked.
func unsavedGrant(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, strict, expired); err != nil {
		return err
	}
	s.newAct()
	s.Gate.Once(fleet.Token, fleet.Done, func(fleet.Call) fleet.Decision {
		s.breakTable(fault.Always(fault.Broken))
		return fleet.Decision{}
	})
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	s.breakTable(nil)
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "200")
	s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf(user)), "200")
	s.expectCalls(1, 1)
	return s.expectNoReuse(user)
}

func grantKeysetGone(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	before, err := s.grantOf(ctx, user)
	if err != nil {
		return err
	}
	if err := s.AddKey(ctx, "k2"); err != nil {
		return err
	}
	s.newAct()
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(user)), "503 store_unavailable")
	s.expectCalls(0, 0)
	after, err := s.grantOf(ctx, user)
	s.expect(slices.Equal(before, after), "FI-36: the grant was overwritten")
	return err
}

// grantOf is the sealed grant of a connection as it is stored.
func (s *stage) grantOf(ctx context.Context, name string) ([]byte, error) {
	item, err := s.Item(ctx, name)
	if sealed, ok := item["grant"].(*types.AttributeValueMemberB); ok {
		return sealed.Value, err
	}
	return nil, err
}

func disconnectedInFlight(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, rotating, expired); err != nil {
		return err
	}
	s.newAct()
	met, release := s.Gate.Hold(fleet.Commit, fleet.Arrived)
	defer release()
	first := s.asking(ctx, s.vend(0), fleet.TokenOf(user))
	select {
	case <-met:
	case a := <-first:
		return fmt.Errorf("no commit came: %s", a.Outcome())
	}
	disconnect := fleet.Ask{Method: "DELETE", Path: "/connections/" + user + "/authorization"}
	s.expectOutcome(s.ask(ctx, s.Process(fleet.Connections, 0), disconnect), "204")
	release()
	s.expectOutcome(<-first, "409 authorization_required", "503 refresh_in_progress")
	s.expectOutcome(s.ask(ctx, s.vend(1), fleet.TokenOf(user)), "409 authorization_required")
	grant, err := s.grantOf(ctx, user)
	s.expect(grant == nil, "FI-49: the disconnected grant is back")
	return err
}

func grantRace(ctx context.Context, s *stage) error {
	if err := s.Delegate(ctx, user, strict, expired); err != nil {
		return err
	}
	s.newAct()
	answers := s.askAll(ctx, s.Vends(16), fleet.TokenOf(user))
	for _, a := range answers {
		s.expectOutcome(a, "200")
		s.expect(a.TokenID == answers[0].TokenID, "callers got different tokens")
	}
	s.expectCalls(1, 1)
	return s.expectNoReuse(user)
}

// The number of random kills.
const (
	fewKills  = 24
	manyKills = 400
)

// randomKills kills a holder at a random point, at a random kind of server, over
// and over, and counts what is lost.
func randomKills(ctx context.Context, s *stage) error {
	n, seed := fewKills, uint64(51)
	if s.config.Full {
		n = manyKills
	}
	r, lost := rand.New(rand.NewPCG(seed, 0)), map[string]int{}
	s.timeStoring()
	for i := range n {
		k, at := kinds[r.IntN(len(kinds))], points[r.IntN(len(points))]
		name := fmt.Sprintf("user-%03d", i)
		if err := s.Delegate(ctx, name, k.policy, expired); err != nil {
			return err
		}
		if _, err := s.killed(ctx, name, at, s.vend(0)); err != nil {
			return err
		}
		if err := s.lapseNow(ctx, name); err != nil {
			return err
		}
		s.timeStoring()
		a := s.ask(ctx, s.vend(1), fleet.TokenOf(name))
		if a.Code == "authorization_required" {
			lost[k.name]++
			s.expect(k.once && at.received, "INV-4: %s: lost by a kill %s", k.name, at.where)
		} else {
			s.expectOutcome(a, "200")
		}
		if err := s.expectNoReuse(name); err != nil {
			return err
		}
	}
	s.fact("%d kills (seed %d); refresh tokens lost: %d static, %d with a grace, %d rotating, %d with reuse detection; reuse after a newer one was stored: 0",
		n, seed, lost[kinds[0].name], lost[kinds[1].name], lost[kinds[2].name], lost[kinds[3].name])
	s.fact("from the provider's answer to stored: %s", s.storing.String())
	return nil
}

// lapseNow has a lease end whatever the form: hundreds are waited for by nobody.
func (s *stage) lapseNow(ctx context.Context, name string) error {
	item, err := s.Item(ctx, name)
	if err != nil || item["lease_owner"] == nil {
		return err
	}
	return s.Change(ctx, name, values{"lease_until": fleet.Millis(time.Now().Add(-time.Second))})
}
