package cast

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// answerLimit is how long the real client waits for an answer's head.
const answerLimit = 8 * time.Second

// Conduct is how a provider takes one request. The zero Conduct is a token at once.
type Conduct struct {
	// After is how long the answer takes; the client gives up on a longer one
	// than it waits for.
	After time.Duration
	// Status, when it is not 0, refuses; RetryAfter comes with the refusal.
	Status     int
	RetryAfter time.Duration
	// Lost: the token is issued and its answer never arrives.
	Lost bool
}

// String names the conduct in a word or two.
func (c Conduct) String() string {
	switch {
	case c.After > answerLimit:
		return "no answer in time"
	case c.Lost:
		return "answer lost"
	case c.Status != 0:
		return "status " + strconv.Itoa(c.Status)
	}
	return "ordinary"
}

// Provider issues tokens to every client there is. A token names the client it
// was issued to, so that a foreign one shows. It plays the oauth package's
// client too: requests reach it without a socket. It is safe for concurrent use.
type Provider struct {
	clock    Clock
	lifetime func(clientID string) time.Duration
	conduct  func(clientID string) Conduct

	mu     sync.Mutex
	calls  map[string]int
	issued int
	total  int
	ends   map[string]time.Time // by token; nil when nobody asks
}

// ProviderConfig is what a Provider is made of.
type ProviderConfig struct {
	Clock Clock
	// Lifetime is that of a client's tokens.
	Lifetime func(clientID string) time.Duration
	// Conduct decides how each request is taken; nil answers all at once.
	Conduct func(clientID string) Conduct
	// Remember keeps every token's end, for [Provider.Accepts].
	Remember bool
}

// NewProvider returns a Provider that nobody has asked yet.
func NewProvider(c ProviderConfig) *Provider {
	if c.Conduct == nil {
		c.Conduct = func(string) Conduct { return Conduct{} }
	}
	p := &Provider{clock: c.Clock, lifetime: c.Lifetime, conduct: c.Conduct, calls: map[string]int{}}
	if c.Remember {
		p.ends = map[string]time.Time{}
	}
	return p
}

// Token is one request.
func (p *Provider) Token(ctx context.Context, r oauth.Request) (oauth.Token, error) {
	asked := p.clock.Now()
	conduct := p.conduct(r.ClientID)
	serial := p.called(r.ClientID, conduct)
	if err := p.clock.Wait(ctx, min(conduct.After, answerLimit)); err != nil {
		return oauth.Token{}, refusal(oauth.Timeout, 0, 0)
	}
	trace := oauth.Trace{Calls: 1, Status: http.StatusOK, Latency: p.clock.Now().Sub(asked)}
	ends := asked.Add(p.lifetime(r.ClientID))
	switch {
	case conduct.After > answerLimit, conduct.Lost:
		return oauth.Token{}, refusal(oauth.Timeout, 0, 0)
	case conduct.Status == http.StatusTooManyRequests, conduct.Status >= http.StatusInternalServerError:
		return oauth.Token{}, refusal(oauth.Unavailable, conduct.Status, conduct.RetryAfter)
	case conduct.Status != 0:
		return oauth.Token{}, refusal(oauth.Rejected, conduct.Status, 0)
	}
	text := tokenText(r.ClientID, serial)
	p.issue(text, ends)
	return oauth.Token{
		AccessToken: redact.New(text), TokenType: "Bearer", Scope: r.Scope,
		RequestedAt: asked, ExpiresAt: ends, Trace: trace,
	}, nil
}

func (p *Provider) issue(token string, ends time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ends != nil {
		p.ends[token] = ends
	}
}

// Accepts reports whether a resource server would take a token now, from that
// client and no other.
func (p *Provider) Accepts(accessToken redact.Secret, clientID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ends, ok := p.ends[accessToken.Reveal()]
	return ok && p.clock.Now().Before(ends) && IssuedTo(accessToken) == clientID
}

func refusal(kind oauth.Kind, status int, retryAfter time.Duration) *oauth.Error {
	return &oauth.Error{Kind: kind, Reason: oauth.ReasonStatus, RetryAfter: retryAfter, Trace: oauth.Trace{Calls: 1, Status: status}}
}

// called counts a request, and returns the serial of the token it may get.
func (p *Provider) called(clientID string, c Conduct) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[clientID]++
	p.total++
	if c.Status == 0 && c.After <= answerLimit {
		p.issued++
	}
	return p.total
}

// Calls are all requests, and Issued those that made a token.
func (p *Provider) Calls() (calls, issued int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, p.issued
}

// CallsOf are the requests of one client.
func (p *Provider) CallsOf(clientID string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[clientID]
}

// tokenLength is a usual length of an opaque or small signed token, in bytes.
const tokenLength = 300

func tokenText(clientID string, serial int) string {
	text := "token." + clientID + "." + strconv.Itoa(serial) + "."
	return text + strings.Repeat("x", max(tokenLength-len(text), 0))
}

// IssuedTo is the client that a token was issued to.
func IssuedTo(accessToken redact.Secret) string {
	_, rest, _ := strings.Cut(accessToken.Reveal(), ".")
	clientID, _, _ := strings.Cut(rest, ".")
	return clientID
}
