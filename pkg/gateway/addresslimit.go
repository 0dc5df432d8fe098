package gateway

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

const (
	// requestsPerMinute is how many requests one address may make in a minute. A
	// consent takes four, so it leaves room for several people behind one address.
	requestsPerMinute = 60
	// maxAddresses bounds the memory (some 0.5 MB). Beyond it, counting starts again.
	maxAddresses = 8192
)

// addressLimit limits the requests of each network address, so that one sender
// cannot use up the public pages. Each execution environment counts for itself,
// from one full minute to the next: it is no substitute for a firewall.
type addressLimit struct {
	now func() time.Time

	mu     sync.Mutex
	minute time.Time
	counts map[netip.Prefix]int
}

func newAddressLimit(now func() time.Time) *addressLimit {
	if now == nil {
		now = time.Now
	}
	return &addressLimit{now: now}
}

// admit counts a request and refuses it beyond the limit. Refused requests are not
// counted, and requests from loopback are neither counted nor refused: they are those
// of a local run.
func (l *addressLimit) admit(sourceIP string) error {
	sender := networkOf(sourceIP)
	if sender.Addr().IsLoopback() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) || len(l.counts) >= maxAddresses {
		l.minute, l.counts = minute, map[netip.Prefix]int{}
	}
	if l.counts[sender] >= requestsPerMinute {
		return &problem.Error{
			Code: problem.RateLimited, Detail: "this page had too many requests from your network address",
			RetryAfter: l.minute.Add(time.Minute).Sub(now),
		}
	}
	l.counts[sender]++
	return nil
}

// networkOf returns what one sender has: an IPv4 address, or the /64 that an IPv6
// host takes its addresses from. Senders without a valid address share a count.
func networkOf(sourceIP string) netip.Prefix {
	addr, err := netip.ParseAddr(sourceIP)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	}
	network, _ := addr.Prefix(bits) // bits fits the address
	return network
}
