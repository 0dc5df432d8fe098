package renewal

import (
	"maps"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// stats counts the work of one run. It is safe for concurrent use.
type stats struct {
	mu  sync.Mutex
	run audit.Run
	// incomplete contains the shards whose minutes must be repeated.
	incomplete map[int]bool
}

func newStats() *stats {
	return &stats{run: audit.Run{Failed: map[string]int{}}, incomplete: map[int]bool{}}
}

// repeat records that an item of a shard could not be moved to another slot. A
// retry slot is due only once, so the shard's cursor must not advance.
func (s *stats) repeat(shard int) { s.add(func(*audit.Run) { s.incomplete[shard] = true }) }

func (s *stats) mustRepeat(shard int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.incomplete[shard]
}

func (s *stats) add(change func(*audit.Run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.run)
}

func (s *stats) due(n int)      { s.add(func(r *audit.Run) { r.Due += n }) }
func (s *stats) renewed()       { s.add(func(r *audit.Run) { r.Renewed++ }) }
func (s *stats) skipped()       { s.add(func(r *audit.Run) { r.Skipped++ }) }
func (s *stats) leftOver()      { s.add(func(r *audit.Run) { r.LeftOver++ }) }
func (s *stats) reissued(n int) { s.add(func(r *audit.Run) { r.Reissued += n }) }
func (s *stats) recorded(n int) { s.add(func(r *audit.Run) { r.Recorded += n }) }

// failed counts a failure by its error code.
func (s *stats) failed(err error) {
	s.add(func(r *audit.Run) { r.Failed[string(problem.Of(err).Code)]++ })
}

func (s *stats) summary(action string, took time.Duration) audit.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.run
	run.Action, run.Duration, run.Failed = action, took, maps.Clone(s.run.Failed)
	return run
}

func listProblem(err error) *problem.Error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, Detail: "the connections' secrets cannot be listed"}
}

func storeProblem(err error) *problem.Error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, Detail: "the token table does not respond"}
}
