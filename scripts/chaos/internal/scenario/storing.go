package scenario

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// storing measures the time from the provider's answer until the new refresh token
// is in the table.
type storing struct {
	mu   sync.Mutex
	from time.Time
	took []time.Duration
}

// timeStoring measures from now on, one refresh at a time.
func (e *env) timeStoring() {
	e.Gate.Set(fleet.Token, fleet.Done, func(fleet.Call) fleet.Decision {
		e.storing.mu.Lock()
		defer e.storing.mu.Unlock()
		e.storing.from = time.Now()
		return fleet.Decision{}
	})
	e.Gate.Set(fleet.Commit, fleet.Done, func(fleet.Call) fleet.Decision {
		e.storing.mu.Lock()
		defer e.storing.mu.Unlock()
		if !e.storing.from.IsZero() {
			e.storing.took = append(e.storing.took, time.Since(e.storing.from))
			e.storing.from = time.Time{}
		}
		return fleet.Decision{}
	})
}

// median is zero when nothing was measured.
func (s *storing) median() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[len(s.took)/2]
}

func (s *storing) String() string {
	return fmt.Sprintf("median %.1f ms of %d", float64(s.median().Microseconds())/1000, len(s.took))
}
