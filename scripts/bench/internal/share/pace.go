package share

import (
	"sync"
	"syscall"
	"time"
)

// pace stops and continues p by the clock until p has ended or the limit is lifted.
func (s Share) pace(p Process) (lift func() error) {
	stop := make(chan struct{})
	var pacing sync.WaitGroup
	pacing.Go(func() { s.alternate(p, stop) })
	return func() error {
		close(stop)
		pacing.Wait()
		return nil
	}
}

// alternate never leaves p stopped. Every edge is computed from the beginning, so
// that a late one does not delay the others.
func (s Share) alternate(p Process, stop <-chan struct{}) {
	defer func() { _ = p.Signal(syscall.SIGCONT) }()
	for begin := time.Now(); ; begin = begin.Add(s.Period) {
		if !reach(begin.Add(s.Running), stop) || p.Signal(syscall.SIGSTOP) != nil ||
			!reach(begin.Add(s.Period), stop) || p.Signal(syscall.SIGCONT) != nil {
			return
		}
	}
}

// reach waits for an instant; it reports false when it was stopped before.
func reach(at time.Time, stop <-chan struct{}) bool {
	edge := time.NewTimer(time.Until(at))
	defer edge.Stop()
	select {
	case <-edge.C:
		return true
	case <-stop:
		return false
	}
}
