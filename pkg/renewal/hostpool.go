package renewal

import (
	"context"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/vending"
)

// hostPool runs renewals, at most maxPerHost of one provider host and
// maxRenewals in total. Each host has its own queue, so a host that does not
// respond delays only its own renewals.
type hostPool struct {
	ctx     context.Context
	renewer *Renewer
	run     *stats
	slots   chan struct{}
	workers sync.WaitGroup

	mu     sync.Mutex
	byHost map[string]*hostQueue
}

type hostQueue struct {
	waiting []planned
	workers int
}

type planned struct {
	visit visit
	plan  vending.Renewal
}

func newHostPool(ctx context.Context, r *Renewer, run *stats) *hostPool {
	return &hostPool{ctx: ctx, renewer: r, run: run, slots: make(chan struct{}, maxRenewals), byHost: map[string]*hostQueue{}}
}

// add queues a renewal, and starts a worker for its host unless the host has
// maxPerHost of them.
func (p *hostPool) add(v visit, plan vending.Renewal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue, ok := p.byHost[plan.Host]
	if !ok {
		queue = new(hostQueue)
		p.byHost[plan.Host] = queue
	}
	queue.waiting = append(queue.waiting, planned{visit: v, plan: plan})
	if queue.workers < maxPerHost {
		queue.workers++
		p.workers.Go(func() { p.work(queue) })
	}
}

// work runs the renewals of one host until its queue is empty.
func (p *hostPool) work(queue *hostQueue) {
	for {
		next, ok := p.take(queue)
		if !ok {
			return
		}
		p.slots <- struct{}{}
		if timeLeft(p.ctx) {
			p.renewer.renew(p.ctx, next, p.run)
		} else {
			p.renewer.postpone(p.ctx, next.visit, p.run)
		}
		<-p.slots
	}
}

// take removes the first renewal of a queue. If there is none, it removes the
// worker, which must return.
func (p *hostPool) take(queue *hostQueue) (planned, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(queue.waiting) == 0 {
		queue.workers--
		return planned{}, false
	}
	next := queue.waiting[0]
	queue.waiting = queue.waiting[1:]
	return next, true
}

// wait returns when every queue is empty. Do not call add afterwards.
func (p *hostPool) wait() { p.workers.Wait() }
