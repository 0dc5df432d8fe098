package cli_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deployment answers every request with one response.
type deployment struct {
	status     int
	kind, body string
	off        time.Duration // of its clock
}

func (d deployment) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(d.off).UTC().Format(http.TimeFormat))
		if d.kind != "" {
			w.Header().Set("X-Amzn-Errortype", d.kind)
		}
		w.WriteHeader(d.status)
		_, _ = w.Write([]byte(d.body))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1"
}

func TestDoctor(t *testing.T) {
	const vended = `{"access_token":"` + canary + `","token_id":"9f86d081884c7d65","expires_at":"2026-01-01T12:38:35Z"}`
	f := newConnections(t)
	for _, c := range []struct {
		name string
		deployment
		args []string
		want []string // in order
	}{
		{"all is well", deployment{200, "", vended, 0}, []string{"crm"}, []string{"ok      dns ", "ok      credentials ", "ok      clock ", "ok      permission ", "ok      secret ", "ok      provider ", "9f86d081884c7d65"}},
		{"without a connection", deployment{200, "", `{"connections":[]}`, 0}, nil, []string{"ok          permission"}},
		{"the clock", deployment{403, "InvalidSignatureException", `{"message":"Signature expired"}`, time.Hour}, []string{"crm"}, []string{"failed  clock ", "off the service's; AWS refuses", "timedatectl", "failed  permission"}},
		{"a missing statement", deployment{403, "AccessDeniedException:", `{"Message":"arn:canary"}`, 0}, []string{"crm"},
			[]string{"failed  permission ", `fix: the caller's policy`, `"Action":"execute-api:Invoke"`, "us-east-1:*:", "/v1/GET/connections/crm/token"}},
		{"an unknown key", deployment{403, "UnrecognizedClientException", "", 0}, []string{"crm"}, []string{"failed  permission", "sign in again"}},
		{"expired credentials", deployment{403, "ExpiredTokenException", "", 0}, []string{"crm"}, []string{"failed  permission", "aws sso login"}},
		{"a wrong stage", deployment{403, "MissingAuthenticationTokenException", "", 0}, []string{"crm"}, []string{"failed  permission", "stage"}},
		{"a private API", deployment{403, "ForbiddenException", "", 0}, []string{"crm"}, []string{"failed  permission", "VPC endpoint"}},
		{"callers", deployment{403, "", `{"error":"access_denied","detail":"the connection does not admit you"}`, 0}, []string{"crm"}, []string{"failed  permission", "does not admit you", "fix: name this principal"}},
		{"no such connection", deployment{404, "", `{"error":"connection_not_found","detail":"there is none"}`, 0}, []string{"crm"}, []string{"ok      permission", "failed  secret", "connections add crm"}},
		{"a wrong declaration", deployment{500, "", `{"error":"connection_misconfigured","detail":"member \"scope\": is none"}`, 0}, []string{"crm"}, []string{"failed  secret", "is none", "connections get crm"}},
		{"no consent", deployment{409, "", `{"error":"authorization_required","detail":"no grant"}`, 0}, []string{"--subject", "joe", "crm"}, []string{"failed  consent", "consent start crm"}},
		{"the provider", deployment{502, "", `{"error":"provider_rejected","detail":"refused","provider":{"error":"invalid_client"}}`, 0}, []string{"crm"}, []string{"failed  provider", "invalid_client", "client_secret"}},
		{"a stale token", deployment{200, "", strings.Replace(vended, "{", `{"stale":true,`, 1), 0}, []string{"crm"}, []string{"ok      secret", "failed  provider", "connections get crm"}},
		{"the store", deployment{503, "", `{"error":"store_unavailable","detail":"d"}`, 0}, []string{"crm"}, []string{"failed  service", "runbook"}},
		{"another server", deployment{200, "", "<html>", 0}, []string{"crm"}, []string{"failed  service", "stage"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errors := f.run(t, "", append([]string{"doctor", "--url", c.start(t)}, c.args...)...)
			if failed := strings.Contains(out, "failed"); (code == 1) != failed || (errors != "") != failed {
				t.Errorf("exit code %d, %s", code, errors)
			}
			rest := strings.Join(strings.Fields(out), " ")
			for _, want := range c.want {
				want = strings.Join(strings.Fields(want), " ")
				at := strings.Index(rest, want)
				if at < 0 {
					t.Fatalf("no %q in order in\n%s", want, out)
				}
				rest = rest[at:]
			}
			if strings.Contains(out, "arn:canary") {
				t.Errorf("AZ-53 an ARN is repeated: %s", out)
			}
		})
	}
}

func TestDoctorWithoutService(t *testing.T) {
	f := newConnections(t)
	code, out, _ := f.run(t, "", "doctor", "--url", "http://127.0.0.1:1/v1", "-o", "json", "crm")
	var got struct {
		Checks []struct{ Check, Result, Fix string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if last := got.Checks[len(got.Checks)-1]; last.Check != "network" || last.Result != "failed" || !strings.Contains(last.Fix, "HTTPS_PROXY") {
		t.Errorf("%+v", got)
	}
	code, out, _ = f.run(t, "", "doctor", "--url", "https://service.invalid/v1")
	if code != 1 || !strings.Contains(out, "failed  dns          service.invalid does not resolve") {
		t.Errorf("exit code %d: %s", code, out)
	}
	f.fails(t, 2, "--subject needs a connection", "", "doctor", "--subject", "joe")
}
