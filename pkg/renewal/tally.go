package renewal

import (
	"maps"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// tally counts what a run does, from many goroutines.
type tally struct {
	mu  sync.Mutex
	run audit.Run
	// held are the shards whose minutes have to be gone over again.
	held map[int]bool
}

func newTally() *tally { return &tally{run: audit.Run{Failed: map[string]int{}}, held: map[int]bool{}} }

// stuck says that something of a shard could not be moved on: a retry slot has
// its turn only once, so the shard's cursor has to stay.
func (t *tally) stuck(shard int) { t.add(func(*audit.Run) { t.held[shard] = true }) }

func (t *tally) isStuck(shard int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[shard]
}

func (t *tally) add(change func(*audit.Run)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.run)
}

func (t *tally) due(n int)     { t.add(func(r *audit.Run) { r.Due += n }) }
func (t *tally) renewed()      { t.add(func(r *audit.Run) { r.Renewed++ }) }
func (t *tally) skipped()      { t.add(func(r *audit.Run) { r.Skipped++ }) }
func (t *tally) leftOver()     { t.add(func(r *audit.Run) { r.LeftOver++ }) }
func (t *tally) reissue(n int) { t.add(func(r *audit.Run) { r.Reissued += n }) }
func (t *tally) drop(n int)    { t.add(func(r *audit.Run) { r.Dropped += n }) }

// failed counts a failure by its class.
func (t *tally) failed(err error) {
	t.add(func(r *audit.Run) { r.Failed[string(problem.Of(err).Code)]++ })
}

func listProblem(err error) *problem.Error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, Detail: "the connections' secrets cannot be listed"}
}

func storeProblem(err error) *problem.Error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, Detail: "the token table does not answer"}
}

func (t *tally) summary(action string, took time.Duration) audit.Run {
	t.mu.Lock()
	defer t.mu.Unlock()
	run := t.run
	run.Action, run.Duration, run.Failed = action, took, maps.Clone(t.run.Failed)
	return run
}
