package renewals

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
)

// BurstConfig is one tick that finds many tokens due.
type BurstConfig struct {
	// Due connections are spread over Hosts providers that take Latency each. The
	// first Refused of them are always refused, and the next Hanging get no answer.
	Due, Hosts       int
	Latency          time.Duration
	Refused, Hanging int
}

// Burst is what the tick did.
type Burst struct {
	BurstConfig
	Run audit.Run
	// LastAfter is when the last token was issued, and Tick is how long the tick took.
	LastAfter, Tick time.Duration
	// AtOnce and PerHost are the most requests under way together.
	AtOnce, PerHost int
}

// Healthy is how many are to be renewed.
func (c BurstConfig) Healthy() int { return c.Due - c.Refused - c.Hanging }

// hangs is how long the OAuth client waits for an answer.
const hangs = 8 * time.Second

// RunBurst issues every token, pauses ticks for more than a cycle of the wheel, so
// that all are due at once, and runs one tick.
func RunBurst(ctx context.Context, c BurstConfig) Burst {
	s := newService(memory.New(), c.Due, c.Hosts, func(int) time.Duration { return time.Hour })
	s.tick(ctx) // sets the cursors
	for n := range c.Due {
		s.vend(ctx, s.cores[0], n)
	}
	pause(ctx, 58*time.Minute) // too late for any token to wait for its next turn
	s.provider.reset()
	s.provider.answer = c.answer
	began := time.Now()
	b := Burst{BurstConfig: c, Run: s.tick(ctx), Tick: time.Since(began), LastAfter: s.provider.last.Sub(began)}
	for url, n := range s.provider.most {
		if url != "" {
			b.PerHost = max(b.PerHost, n)
		}
	}
	b.AtOnce = s.provider.most[""]
	return b
}

func (c BurstConfig) answer(n int) error {
	if n >= c.Refused && n < c.Refused+c.Hanging {
		time.Sleep(hangs)
		return &oauth.Error{Kind: oauth.Timeout, Trace: oauth.Trace{Calls: 1}}
	}
	time.Sleep(c.Latency)
	if n < c.Refused {
		return &oauth.Error{Kind: oauth.Rejected, Reason: oauth.ReasonStatus, Trace: oauth.Trace{Calls: 1, Status: 400}}
	}
	return nil
}
