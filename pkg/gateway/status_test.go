package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// fakeDirectory has two connections, one of each kind of grant.
type fakeDirectory struct {
	limit int
	next  string
	// studio is the status of the authorization_code connection.
	studio directory.Status
	err    error
}

func (d *fakeDirectory) Status(_ context.Context, name connection.Name, limit int, next string) (directory.Status, error) {
	d.limit, d.next = limit, next
	if name == "studio" {
		return d.studio, d.err
	}
	if name != "crm" {
		return directory.Status{}, problem.New(problem.ConnectionNotFound, "no connection is called "+string(name))
	}
	return directory.Status{Connection: "crm", Provider: "oauth2", GrantType: connection.ClientCredentials, State: directory.Failing,
		LastError: problem.ProviderTimeout, NextAttemptAt: now.Add(time.Minute).Truncate(time.Second)}, nil
}

func (d *fakeDirectory) List(_ context.Context, limit int, next string) ([]directory.Status, string, error) {
	d.limit, d.next = limit, next
	return []directory.Status{
		{Connection: "crm", Provider: "oauth2", GrantType: connection.ClientCredentials, State: directory.Ready},
		{Connection: "erp", State: directory.Misconfigured, Problem: "file erp.json: is not JSON"},
	}, "more", nil
}

func TestStatusRoutes(t *testing.T) {
	list := func(changes ...func(map[string]any)) []byte {
		return restEvent(append([]func(map[string]any){set("resource", "/connections"), set("path", "/connections"), set("pathParameters", nil)}, changes...)...)
	}
	one := func(name string, changes ...func(map[string]any)) []byte {
		return restEvent(append([]func(map[string]any){set("resource", "/connections/{connection}"), set("path", "/connections/"+name),
			set("pathParameters", map[string]any{"connection": name})}, changes...)...)
	}
	tests := []struct {
		name   string
		event  []byte
		status int
		want   map[string]any
		limit  int
	}{
		{"all", list(), 200, map[string]any{"next": "more", "connections": []any{
			map[string]any{"connection": "crm", "provider": "oauth2", "grant_type": "client_credentials", "state": "ready"},
			map[string]any{"connection": "erp", "state": "misconfigured", "problem": "file erp.json: is not JSON"},
		}}, 100},
		{"a page", list(query("limit", "1000", "next", "more")), 200, nil, 1000},
		{"limit too small", list(query("limit", "0")), 400, nil, 0},
		{"limit too large", list(query("limit", "1001")), 400, nil, 0},
		{"limit with a sign", list(query("limit", "+5")), 400, nil, 0},
		{"BI-10 POST", list(set("httpMethod", "POST")), 405, nil, 0},
		{"BI-17 no identity", list(identity("userArn", "")), 403, nil, 0},
		{"one", one("crm"), 200, map[string]any{"connection": "crm", "provider": "oauth2", "grant_type": "client_credentials",
			"state": "failing", "last_error": "provider_timeout", "next_attempt_at": "2026-01-01T12:01:00Z"}, 100},
		{"BI-09 unknown", one("unknown"), 404, nil, 100},
		{"a page of subjects", one("studio", query("limit", "7", "next", "joe")), 200, nil, 7},
		{"BI-13 an invalid limit of subjects", one("studio", query("limit", "many")), 400, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, log := new(fakeDirectory), new(bytes.Buffer)
			h := gateway.Connections(gateway.ConnectionsConfig{Directory: d,
				Audit: audit.NewWriter(audit.Config{Output: log, Now: func() time.Time { return now }})})
			out, err := h.Invoke(t.Context(), tt.event)
			if err != nil {
				t.Fatal(err)
			}
			var got reply
			if err := json.Unmarshal(out, &got); err != nil || got.StatusCode != tt.status {
				t.Fatalf("answer %s, want status %d", out, tt.status)
			}
			if tt.want != nil {
				if diff := cmp.Diff(tt.want, got.object(t)); diff != "" {
					t.Errorf("body (-want +got):\n%s", diff)
				}
			}
			if d.limit != tt.limit {
				t.Errorf("limit %d, want %d", d.limit, tt.limit)
			}
		})
	}
}
