package renewals

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// tokenLength is a usual length of an opaque or a small signed token, in bytes.
const tokenLength = 300

// provider issues tokens in place of the OAuth client and counts the requests
// under way. It is safe for concurrent use.
type provider struct {
	vending.Revoker // nothing is revoked

	lifetime func(n int) time.Duration
	// answer delays or refuses the request of a client; nil issues at once.
	answer func(n int) error

	mu       sync.Mutex
	calls    int
	underWay map[string]int // by token URL, and all under ""
	most     map[string]int
	last     time.Time // when a token was issued last
}

func newProvider(lifetime func(n int) time.Duration) *provider {
	return &provider{lifetime: lifetime, answer: func(int) error { return nil },
		underWay: map[string]int{}, most: map[string]int{}}
}

// Token implements assembly.Provider.
func (p *provider) Token(_ context.Context, r oauth.Request) (oauth.Token, error) {
	n, at := number(r.ClientID), time.Now().Round(0)
	serial := p.add(r.TokenURL, 1)
	defer p.add(r.TokenURL, -1)
	if err := p.answer(n); err != nil {
		return oauth.Token{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	text := fmt.Sprintf("token.%s.%d.", r.ClientID, serial)
	return oauth.Token{
		AccessToken: redact.New(text + strings.Repeat("x", tokenLength-len(text))), TokenType: "Bearer", Scope: r.Scope,
		RequestedAt: at, ExpiresAt: at.Add(p.lifetime(n)), Trace: oauth.Trace{Calls: 1, Status: http.StatusOK},
	}, nil
}

// add counts a request that begins or ends, and returns its number.
func (p *provider) add(url string, change int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls += max(change, 0)
	for _, key := range []string{"", url} {
		p.underWay[key] += change
		p.most[key] = max(p.most[key], p.underWay[key])
	}
	return p.calls
}

// count returns the requests so far.
func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// reset begins the counts again.
func (p *provider) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.most = 0, map[string]int{}
}
