package localhttp_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

func TestHost(t *testing.T) {
	for header, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.1.2.3": true, "LocalHost:1": true, "[::1]:8080": true, "[::1]": true, "::1": true,
		"": false, "localhost.evil.example": false, "10.0.0.1": false, "evil.example:127": false, "[::2]:1": false,
	} {
		if got := apihost.IsLoopback(localhttp.Host(header)); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
}

func TestProblem(t *testing.T) {
	w := httptest.NewRecorder()
	p := localhttp.Problem{Status: 503, Code: "provider_unavailable", Detail: "d", Retryable: true, RetryAfter: 1500 * time.Millisecond, Connection: "crm"}
	p.Write(w)
	const want = `{"connection":"crm","detail":"d","error":"provider_unavailable","error_description":"d","retryable":true,"status":503,"title":"Service Unavailable","type":"urn:tokenvend:error:provider_unavailable"}`
	if w.Code != 503 || w.Body.String() != want || w.Header().Get("Retry-After") != "2" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
