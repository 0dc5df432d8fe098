package measure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/load"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/agent"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

const (
	warmTokenAim   = "≤ 250 ns"
	warmTokenLimit = 250 * time.Nanosecond
	requestsAim    = "≤ 30"
	requestsLimit  = 30
)

// fakeService answers every vend with an hour's token that began at now, and counts
// the requests.
type fakeService struct {
	now      func() time.Time
	requests atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (s *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	n := s.requests.Add(1)
	body := fmt.Sprintf(`{"access_token":"token_%d","token_type":"Bearer","expires_in":3600,"expires_at":%q,"refresh_in":2700,"token_id":"%016x","connection":"crm"}`,
		n, s.now().Add(time.Hour).UTC().Format(time.RFC3339), n)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
}

// caller returns a client of the fake service, which signs with the local run's key.
func (s *fakeService) caller() (*tokenvend.Client, error) {
	return tokenvend.New(tokenvend.Config{URL: "http://127.0.0.1:1/v1", HTTP: &http.Client{Transport: s}, Now: s.now})
}

// warmToken compares a token from the client's memory with one from x/oauth2's.
func (b *bench) warmToken(ctx context.Context) (scorecard.Row, error) {
	service := &fakeService{now: time.Now}
	client, err := service.caller()
	if err != nil {
		return scorecard.Row{}, err
	}
	source := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "token", Expiry: time.Now().Add(time.Hour)}, nil)
	c, err := scorecard.Compare(ctx, b.decisions,
		b.repeated(func(ctx context.Context) error {
			_, err := client.Token(ctx, "crm")
			return err
		}),
		b.repeated(func(context.Context) error {
			_, err := source.Token()
			return err
		}))
	if err == nil && service.requests.Load() != 1 {
		err = fmt.Errorf("%d requests to the service, want 1", service.requests.Load())
	}
	return scorecard.Row{Measured: c.Text(scorecard.Seconds), Met: c.Ours <= warmTokenLimit.Seconds()}, err
}

// callersRequests counts what ten processes ask of the API in an hour in which they
// make a thousand calls, on a virtual clock.
func (b *bench) callersRequests(ctx context.Context) (scorecard.Row, error) {
	const processes, calls = 10, 1000
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var elapsed atomic.Int64 // a client also reads the clock in the background
	service := &fakeService{now: func() time.Time { return began.Add(time.Duration(elapsed.Load())) }}
	clients := make([]*tokenvend.Client, processes)
	for i := range clients {
		var err error
		if clients[i], err = service.caller(); err != nil {
			return scorecard.Row{}, err
		}
	}
	for call := range calls {
		if _, err := clients[call%processes].Token(ctx, "crm"); err != nil {
			return scorecard.Row{}, err
		}
		elapsed.Add(int64(time.Hour / calls))
	}
	requests := service.requests.Load()
	return scorecard.Row{Measured: fmt.Sprintf("%d (%d without a client)", requests, calls), Met: requests <= requestsLimit}, nil
}

var agentAim = scorecard.AtLeast(0.6)

// agent compares requests per second through the agent with those through a bare
// reverse proxy.
func (b *bench) agent(ctx context.Context) (scorecard.Row, error) {
	p, err := newProxies()
	if err != nil {
		return scorecard.Row{}, err
	}
	defer p.close()
	c, err := scorecard.Compare(ctx, b.rounds, b.proxied(p.agent, "/to/crm/", p.secret), b.proxied(p.bare, "/", p.secret))
	return agentAim.Judge("", c, scorecard.PerSecond), err
}

const latencyAim = "≤ 300 µs"

// agentLatency is what the agent adds to one request at a time, against the upstream
// itself.
func (b *bench) agentLatency(ctx context.Context) (scorecard.Row, error) {
	p, err := newProxies()
	if err != nil {
		return scorecard.Row{}, err
	}
	defer p.close()
	c, err := scorecard.Compare(ctx, b.batches, b.once(p.agent.URL+"/to/crm/", p.secret), b.once(p.upstream.URL+"/", p.secret))
	added := time.Duration((c.Ours - c.Baseline) * float64(time.Second))
	return scorecard.Row{Measured: fmt.Sprintf("%v (%s)", added.Round(time.Microsecond), c.Text(scorecard.Seconds)), Met: added <= 300*time.Microsecond}, err
}

// once samples the mean time of one request at a time.
func (b *bench) once(address, secret string) scorecard.Sample {
	return batch(b.invocations, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		r.Header.Set(agent.SecretHeader, secret)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("the proxy answered %s: %w", response.Status, err)
		}
		return nil
	})
}

// proxied samples the responses per second of a proxy.
func (b *bench) proxied(proxy *httptest.Server, path, secret string) scorecard.Sample {
	request := "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + agent.SecretHeader + ": " + secret + "\r\n\r\n"
	return func(ctx context.Context) (float64, error) {
		return load.Run(ctx, load.Config{Addr: proxy.Listener.Addr().String(), Request: []byte(request), Connections: connections, Duration: b.round})
	}
}

// proxies are an upstream, the agent and a bare proxy before it.
type proxies struct {
	upstream, agent, bare *httptest.Server
	secret                string
}

func newProxies() (*proxies, error) {
	p := &proxies{secret: strings.Repeat("s", 32)}
	service := &fakeService{now: time.Now}
	client, err := service.caller()
	if err != nil {
		return nil, err
	}
	p.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "{}")
	}))
	target, err := url.Parse(p.upstream.URL)
	if err != nil {
		return nil, err
	}
	allowed, err := agent.ParseUpstream(p.upstream.URL)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	p.agent = httptest.NewServer(agent.New(agent.Config{Client: client, Secret: redact.New(p.secret),
		Upstreams: map[string]agent.Upstream{"crm": allowed}, Base: transport}))
	p.bare = httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	return p, nil
}

func (p *proxies) close() {
	for _, s := range []*httptest.Server{p.agent, p.bare, p.upstream} {
		s.Close()
	}
}
