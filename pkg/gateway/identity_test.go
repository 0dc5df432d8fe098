package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestIdentity: the caller is the one of requestContext.identity, and nothing else
// in the event can change that.
func TestIdentity(t *testing.T) {
	forged := "arn:aws:iam::111122223333:role/administrator"
	headers := set("headers", map[string]any{"X-User-Arn": forged, "X-Amz-User-Arn": forged, "X-Amzn-Iam-Arn": forged,
		"X-Forwarded-User": forged, "X-Forwarded-For": "203.0.113.9", "Authorization": "Bearer " + forged, "Content-Type": "application/json"})
	inContext := func(key string, value any) func(map[string]any) {
		return func(event map[string]any) { event["requestContext"].(map[string]any)[key] = value }
	}
	tests := []struct {
		name   string
		change []func(map[string]any)
		status int
	}{
		{"AZ-05 the caller's own account counts", nil, 200},
		{"AZ-05 the account of the API is not the caller's", []func(map[string]any){identity("accountId", nil), inContext("accountId", "111122223333")}, 403},
		{"AZ-05 an authorizer's principal does not count", []func(map[string]any){identity("userArn", nil),
			inContext("authorizer", map[string]any{"principalId": forged, "iam": map[string]any{"userArn": forged}})}, 403},
		{"AZ-05 no identity at all", []func(map[string]any){inContext("identity", nil)}, 403},
		{"AZ-05 an identity beside the request context", []func(map[string]any){inContext("identity", map[string]any{}),
			set("identity", map[string]any{"userArn": forged, "caller": "A:b", "accountId": "111122223333"})}, 403},
		{"AZ-07 headers do not make an identity", []func(map[string]any){identity("userArn", nil), headers}, 403},
		{"AZ-07 headers do not change an identity", []func(map[string]any){headers}, 200},
		{"AZ-07 a body names no caller", []func(map[string]any){post(`{"caller":"` + forged + `"}`)}, 400},
		{"AZ-07 a query names no caller", []func(map[string]any){query("caller", forged)}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newVend(t)
			if got := e.invoke(restEvent(tt.change...)); got.StatusCode != tt.status {
				t.Errorf("answer %d %s, want %d", got.StatusCode, got.Body, tt.status)
			}
			if tt.status != 200 && len(e.core.asked) > 0 {
				t.Error("the core was called")
			}
			if tt.status == 200 && (len(e.core.asked) != 1 || e.core.asked[0].Caller != "arn:aws:iam::111122223333:role/app") {
				t.Errorf("the core was called for %v", e.core.asked)
			}
			if strings.Contains(e.log.String(), "administrator") || strings.Contains(e.log.String(), "203.0.113.9") {
				t.Errorf("the audit line has a forged identity: %s", e.log)
			}
		})
	}
}

// TestTokenPlace: a response contains the token once.
func TestTokenPlace(t *testing.T) {
	e := newVend(t)
	got := e.invoke(restEvent())
	headers, err := json.Marshal(got.Headers)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(got.Body, "canary-access-token") != 1 || strings.Contains(string(headers), "canary-access-token") || got.object(t)["access_token"] != "canary-access-token" {
		t.Errorf("AZ-14 headers %s, body %s", headers, got.Body)
	}
}
