// Package faults makes what an execution environment reaches for go wrong: the
// table and the secrets refuse, or do as asked and lose the answer; replicas
// lag; and the environment itself dies between two requests, or after one whose
// answer it never sees.
//
// It fails single requests and plays the SDK's retries on top, as in the cloud:
// the core sees an error only when every attempt failed. Each fault that could
// cost another call to a provider is charged to its connection, so that a test
// can say how many calls are owed to faults and how many are not.
package faults

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
)

const (
	// attempts are the SDK's, of one request.
	attempts = 3
	// latency is what a request takes at most, lag how long a replica may be behind.
	latency = 20 * time.Millisecond
	lag     = time.Second
)

// Plan says how often things go wrong. All probabilities are per request.
type Plan struct {
	Clock cast.Clock
	Dice  *cast.Dice
	// Rate is that of requests which fail, Stale that of eventually consistent
	// reads which a lagging replica answers, Crash that of dying.
	Rate, Stale, Crash float64

	mu      sync.Mutex
	over    bool
	counts  map[string]int
	charged map[string]int
}

// End ends all faults.
func (p *Plan) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// Strikes is true with a probability, while there are faults.
func (p *Plan) Strikes(probability float64) bool {
	p.mu.Lock()
	over := p.over
	p.mu.Unlock()
	return !over && p.Dice.Chance(probability)
}

// Count counts a fault by its kind; Charge also holds it against a connection.
func (p *Plan) Count(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	p.counts[kind]++
}

// Charge notes that a connection may call its provider once more than usual.
func (p *Plan) Charge(connection string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.charged == nil {
		p.charged = map[string]int{}
	}
	p.charged[connection]++
}

// Counts are the faults so far by kind.
func (p *Plan) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Charged is how often a connection was charged.
func (p *Plan) Charged(connection string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.charged[connection]
}

// Life is that of one execution environment. Everything it reaches for asks
// first whether it still lives.
type Life struct {
	plan *Plan

	mu   sync.Mutex
	dead chan struct{}
	gone bool
	// held are connections whose lease it has, or whose provider it is asking.
	held map[string]int
}

// NewLife begins one.
func NewLife(p *Plan) *Life {
	return &Life{plan: p, dead: make(chan struct{}), held: map[string]int{}}
}

// Dead is closed when the environment dies. What is under way in it never ends.
func (l *Life) Dead() <-chan struct{} { return l.dead }

// perhaps kills the environment, now and then. It does not return from death.
func (l *Life) perhaps(when string) {
	if l.plan.Strikes(l.plan.Crash / 2) {
		l.die(when)
	}
	select {
	case <-l.dead:
		select {} // nothing runs in a dead environment, not even what is deferred
	default:
	}
}

func (l *Life) die(when string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.gone = true
	l.plan.Count("environment died " + when)
	for connection := range l.held {
		l.plan.Charge(connection)
	}
	close(l.dead)
}

func (l *Life) hold(connection string, change int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[connection] += change; l.held[connection] <= 0 {
		delete(l.held, connection)
	}
}

// request plays one request with its retries. do carries it out; an answer may
// be lost afterwards. It reports false when every attempt failed.
func (l *Life) request(ctx context.Context, what string, do func()) bool {
	p := l.plan
	for attempt := range attempts {
		l.perhaps("before a request")
		_ = p.Clock.Wait(ctx, time.Duration(p.Dice.Below(int(latency)))<<attempt)
		switch {
		case p.Strikes(p.Rate / 2):
			p.Count(what + " refused")
		case p.Strikes(p.Rate / 2):
			do()
			p.Count(what + " answer lost")
		default:
			do()
			l.perhaps("before an answer")
			return true
		}
	}
	p.Count(what + " failed for good")
	return false
}
