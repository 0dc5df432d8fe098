package renewal

import (
	"context"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/vending"
)

// lanes run renewals, at most perHost of one provider and atOnce in all. Each
// host has a queue of its own, so one that hangs holds up only itself.
type lanes struct {
	ctx     context.Context
	renewer *Renewer
	run     *tally
	slots   chan struct{}
	workers sync.WaitGroup

	mu     sync.Mutex
	byHost map[string]*laneQueue
}

type laneQueue struct {
	waiting []planned
	working int
}

type planned struct {
	visit visit
	plan  *vending.Renewal
}

func newLanes(ctx context.Context, r *Renewer, run *tally) *lanes {
	return &lanes{ctx: ctx, renewer: r, run: run, slots: make(chan struct{}, atOnce), byHost: map[string]*laneQueue{}}
}

// add queues a renewal and makes sure that somebody works on its host.
func (l *lanes) add(v visit, plan *vending.Renewal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane, ok := l.byHost[plan.Host]
	if !ok {
		lane = new(laneQueue)
		l.byHost[plan.Host] = lane
	}
	lane.waiting = append(lane.waiting, planned{visit: v, plan: plan})
	if lane.working < perHost {
		lane.working++
		l.workers.Go(func() { l.work(lane) })
	}
}

// work empties one host's queue.
func (l *lanes) work(lane *laneQueue) {
	for {
		p, ok := l.take(lane)
		if !ok {
			return
		}
		l.slots <- struct{}{}
		if timeLeft(l.ctx) {
			l.renewer.renew(l.ctx, p, l.run)
		} else {
			l.renewer.postpone(l.ctx, p.visit, l.run)
		}
		<-l.slots
	}
}

// take removes the first of a queue; a worker that finds none is gone.
func (l *lanes) take(lane *laneQueue) (planned, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(lane.waiting) == 0 {
		lane.working--
		return planned{}, false
	}
	p := lane.waiting[0]
	lane.waiting = lane.waiting[1:]
	return p, true
}

// wait returns when every queue is empty. Nothing may be added any more.
func (l *lanes) wait() { l.workers.Wait() }
