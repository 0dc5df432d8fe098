package scenario

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/scripts/sim/internal/cast"
)

// loopback are the networks that the providers of a run in real time are in.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// realTime is the machine's own clock.
type realTime struct{}

func (realTime) Now() time.Time { return time.Now() }

func (realTime) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// MeasureLoad does the same in real time: the real client, and providers that
// are servers on loopback.
func MeasureLoad(ctx context.Context, c LoadConfig) (Load, error) {
	servers, err := startServers(c)
	if err != nil {
		return Load{}, err
	}
	defer servers.close()
	e := cast.Environment{Clock: realTime{}, Egress: loopback}
	l := newLoad(c, e, servers.urls, oauth.New(oauth.Config{Egress: loopback}))
	if err := l.prepare(ctx); err != nil {
		return Load{}, err
	}
	servers.ready.Store(true)
	// Behind the cursors lies what has its turn in the minute that comes.
	if err := l.clock.Wait(ctx, time.Until(time.Now().Truncate(tickEvery).Add(tickEvery))); err != nil {
		return Load{}, err
	}
	l.HeapBefore = liveHeap()
	watch, cancel := context.WithCancel(ctx)
	peak := make(chan uint64)
	go func() { peak <- heapPeak(watch) }()
	err = l.tick(ctx)
	cancel()
	l.HeapPeak, l.HeapAfter = <-peak, liveHeap()
	if err != nil {
		return Load{}, err
	}
	return l.Load, nil
}

// heapPeak is the most that is allocated at any time until ctx ends; what is
// garbage already counts too.
func heapPeak(ctx context.Context) uint64 {
	var most uint64
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		if (realTime{}).Wait(ctx, 100*time.Millisecond) != nil {
			return most
		}
	}
}

// servers are the providers.
type servers struct {
	LoadConfig
	ready  atomic.Bool
	serial atomic.Int64
	all    []*http.Server
	urls   []string
}

func startServers(c LoadConfig) (*servers, error) {
	s := &servers{LoadConfig: c}
	for range c.Hosts {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.close()
			return nil, fmt.Errorf("listen for a provider: %w", err)
		}
		server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
		s.all, s.urls = append(s.all, server), append(s.urls, "http://"+listener.Addr().String()+"/token")
		go func() { _ = server.Serve(listener) }()
	}
	return s, nil
}

func (s *servers) close() {
	for _, server := range s.all {
		_ = server.Close()
	}
}

// ServeHTTP is the token endpoint: at once until ready, then as configured.
func (s *servers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	clientID, _, _ := r.BasicAuth()
	n := cast.Number(clientID)
	w.Header().Set("Content-Type", "application/json")
	if s.ready.Load() {
		patience := s.Latency
		if s.hanging(n) {
			patience = time.Hour
		}
		if (realTime{}).Wait(r.Context(), patience) != nil {
			return
		}
		if s.poisoned(n) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error_description":"this client is refused"}`)
			return
		}
	}
	fmt.Fprintf(w, `{"access_token":"token.%s.%d","token_type":"Bearer","expires_in":3600}`, clientID, s.serial.Add(1))
}
