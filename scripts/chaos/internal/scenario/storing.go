package scenario

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// storing measures how long a refresh token that the provider has given out is
// stored nowhere: from when its answer leaves until the table has it.
type storing struct {
	mu   sync.Mutex
	from time.Time
	took []time.Duration
}

// timeStoring measures from now on; one refresh at a time.
func (s *stage) timeStoring() {
	s.Gate.Set(fleet.Token, fleet.Done, func(fleet.Call) fleet.Decision {
		s.storing.mu.Lock()
		defer s.storing.mu.Unlock()
		s.storing.from = time.Now()
		return fleet.Decision{}
	})
	s.Gate.Set(fleet.Commit, fleet.Done, func(fleet.Call) fleet.Decision {
		s.storing.mu.Lock()
		defer s.storing.mu.Unlock()
		if !s.storing.from.IsZero() {
			s.storing.took = append(s.storing.took, time.Since(s.storing.from))
			s.storing.from = time.Time{}
		}
		return fleet.Decision{}
	})
}

// median of what was measured; zero when nothing was.
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
