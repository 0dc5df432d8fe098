package localrun_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// TestHosts sends requests whose address is loopback and whose Host is not, as a web
// page does whose name resolves to this machine.
func TestHosts(t *testing.T) {
	r := startWith(t, localrun.Settings{Hosts: []string{"dev.example", "fd00::1"}, SandboxHosts: []string{"host.docker.internal"}})
	const api, sandbox = true, false
	for _, c := range []struct {
		name   string
		of     bool
		host   string // the port of the server is added
		served bool
	}{
		{"AZ-17 the API, loopback", api, "127.0.0.1", true},
		{"AZ-17 the API, another loopback address", api, "127.8.9.10", true},
		{"AZ-17 the API, IPv6 loopback", api, "[::1]", true},
		{"AZ-17 the API, localhost", api, "localhost", true},
		{"AZ-17 the API, localhost in capitals", api, "LOCALHOST", true},
		{"AZ-17 the API, a named host", api, "Dev.Example", true},
		{"AZ-17 the API, a named address", api, "[fd00::1]", true},
		{"AZ-17 the API, a page's host", api, "rebound.example", false},
		{"AZ-17 the API, a host that begins like loopback", api, "127.0.0.1.rebound.example", false},
		{"AZ-17 the API, a host that ends like a named one", api, "rebound.dev.example", false},
		{"AZ-17 the API, a host below localhost", api, "rebound.localhost", false},
		{"AZ-17 the API, an address of the network", api, "192.168.1.2", false},
		{"AZ-17 the API, every address", api, "0.0.0.0", false},
		{"AZ-17 the API, the sandbox's host", api, "host.docker.internal", false},
		{"AZ-17 the sandbox, loopback", sandbox, "localhost", true},
		{"AZ-17 the sandbox, a container's host", sandbox, "host.docker.internal", true},
		{"AZ-17 the sandbox, the API's host", sandbox, "dev.example", false},
		{"AZ-17 the sandbox, a page's host", sandbox, "rebound.example", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			targets := []string{r.sandbox + "/", r.sandbox + "/control", r.sandbox + "/creative-force/connect/authorize"}
			if c.of == api {
				targets = []string{r.url + "/connections/cliquify/token", r.url + "/connections", r.url + "/consent/x", r.url + "/callback/creative-force-user?state=x"}
			}
			for _, target := range targets {
				r.wantServed(t, target, c.host, c.served)
			}
		})
	}
}

// wantServed sends a signed request to a target under a host's name.
func (r *running) wantServed(t *testing.T, target, host string, want bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _ := url.Parse(target)
	request.Host = host + ":" + parsed.Port()
	if err := r.sign(request, "local", ""); err != nil {
		t.Fatal(err)
	}
	got, err := send(request)
	if err != nil {
		t.Fatal(err)
	}
	if refused := got.status == 403; refused == want {
		t.Errorf("%s at %s: %d %v, want served %v", target, host, got.status, got.body, want)
	}
	if want {
		return
	}
	if got.text("error") != "access_denied" || got.header.Get("Content-Type") != "application/problem+json" ||
		got.header.Get("Cache-Control") != "no-store" || got.body["access_token"] != nil {
		t.Errorf("%s at %s: %v %v", target, host, got.header, got.body)
	}
}
