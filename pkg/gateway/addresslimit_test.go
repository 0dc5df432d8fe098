package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// publicPages is one execution environment of the consent function, with a clock.
type publicPages struct {
	*consentFunction
	handler *gateway.Handler
	clock   time.Time
}

func newPublicPages(t *testing.T) *publicPages {
	p := &publicPages{consentFunction: newConsent(t), clock: now.Truncate(time.Minute)}
	clock := func() time.Time { return p.clock }
	p.handler = gateway.Consent(gateway.ConsentConfig{
		FrontChannel: p, Pages: parsedPages, Audit: audit.NewWriter(audit.Config{Output: &p.log, Now: clock}), Now: clock,
	})
	return p
}

// visit requests a page n times from an address, and returns the last response and
// how many were refused.
func (p *publicPages) visit(n int, method, resource, address string, changes ...func(map[string]any)) (last reply, refused int) {
	p.t.Helper()
	from := func(event map[string]any) {
		event["requestContext"].(map[string]any)["identity"].(map[string]any)["sourceIp"] = address
	}
	event := visit(method, resource, "studio", append(changes, from)...)
	for range n {
		out, err := p.handler.Invoke(p.t.Context(), event)
		if err != nil {
			p.t.Fatal(err)
		}
		if bytes.Contains(out, []byte(`"statusCode":429`)) {
			refused++
		}
		last = reply{}
		if err := json.Unmarshal(out, &last); err != nil {
			p.t.Fatal(err)
		}
	}
	p.checkHeaders(last)
	return last, refused
}

func TestAddressLimit(t *testing.T) {
	t.Run("AZ-15 the 61st request in a minute is refused with a page", func(t *testing.T) {
		p := newPublicPages(t)
		if _, refused := p.visit(30, "GET", consentPage, "198.51.100.7"); refused > 0 {
			t.Fatalf("refused %d of 30", refused)
		}
		p.clock = p.clock.Add(15 * time.Second)
		if _, refused := p.visit(30, "GET", callback, "198.51.100.7", query("code", "a", "state", "b")); refused > 0 {
			t.Fatalf("refused %d of 60", refused)
		}
		asked := p.asked()
		got, refused := p.visit(5, "GET", callback, "198.51.100.7", query("code", "a", "state", "b"))
		if refused != 5 || p.asked() != asked {
			t.Errorf("refused %d of 5, the front channel was asked %d times: a refused callback must not use its state up", refused, p.asked()-asked)
		}
		if got.Headers["Retry-After"] != "45" || got.Headers["Content-Type"] != "text/html; charset=utf-8" || !strings.Contains(got.Body, "Not possible right now") {
			t.Errorf("answer %v %s", got.Headers, got.Body)
		}
		if !strings.Contains(p.log.String(), `"action":"callback","outcome":"rate_limited"`) {
			t.Errorf("AZ-56 %s", p.log.String())
		}
		if _, refused := p.visit(1, "POST", consentPage, "198.51.100.7", formBody("csrf=a")); refused != 1 {
			t.Error("the form is served beyond the limit")
		}
		if _, refused := p.visit(60, "GET", consentPage, "198.51.100.8"); refused > 0 {
			t.Errorf("refused %d requests of another address", refused)
		}
		p.clock = p.clock.Add(45 * time.Second)
		if _, refused := p.visit(60, "GET", consentPage, "198.51.100.7"); refused > 0 {
			t.Errorf("refused %d requests of the next minute", refused)
		}
	})
	for _, c := range []struct {
		name, first, second string
		shared              bool
	}{
		{"AZ-15 two hosts of one IPv6 network count together", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"AZ-15 two IPv6 networks count apart", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"AZ-15 both forms of an IPv4 address count together", "198.51.100.7", "::ffff:198.51.100.7", true},
		{"AZ-15 requests without an address count together", "", "unknown", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPublicPages(t)
			p.visit(60, "GET", consentPage, c.first)
			if _, refused := p.visit(1, "GET", consentPage, c.second); (refused > 0) != c.shared {
				t.Errorf("refused %d, want shared %v", refused, c.shared)
			}
		})
	}
	for _, address := range []string{"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"} {
		t.Run("AZ-15 loopback is not counted: "+address, func(t *testing.T) {
			if _, refused := newPublicPages(t).visit(200, "GET", consentPage, address); refused > 0 {
				t.Errorf("refused %d", refused)
			}
		})
	}
}

// TestAddressLimitMemory: a sender with many addresses cannot fill the memory.
func TestAddressLimitMemory(t *testing.T) {
	p := newPublicPages(t)
	address := netip.MustParseAddr("198.18.0.0")
	used := func() uint64 {
		p.log.Reset()
		p.shown = nil
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	for range 30_000 {
		p.visitQuietly(address)
		address = address.Next()
	}
	if grown := int64(used()) - int64(before); grown > 5<<19 {
		t.Errorf("AZ-15 30,000 addresses take %d bytes", grown)
	}
}

func (p *publicPages) visitQuietly(address netip.Addr) {
	event := fmt.Sprintf(`{"resource":%q,"httpMethod":"GET","requestContext":{"stage":"v1","identity":{"sourceIp":%q}}}`, consentPage, address)
	if _, err := p.handler.Invoke(p.t.Context(), []byte(event)); err != nil {
		p.t.Fatal(err)
	}
	if p.log.Len() > 1<<20 {
		p.log.Reset()
	}
}
