package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oneClient is an authorization server with one client. It records the credentials
// that it receives.
type oneClient struct {
	mu       sync.Mutex
	accepts  string
	received []string
}

func (p *oneClient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, id+":"+secret)
	w.Header().Set("Content-Type", "application/json")
	if id+":"+secret != p.accepts {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
		return
	}
	_, _ = io.WriteString(w, `{"access_token":"synthetic-token","token_type":"Bearer","expires_in":3600}`)
}

// TestRotatedClient: a client id is sent only with the client secret of the same
// version.
func TestRotatedClient(t *testing.T) {
	tests := []struct {
		name, accepts string
		change        string // what else the new version changes
		status        int
		received      []string
	}{
		{"BI-67 the provider knows the new client", "new:new-hush", "", 200, []string{"new:new-hush"}},
		{"BI-67 the provider still knows the old client", "old:old-hush", "", 200, []string{"new:new-hush", "old:old-hush"}},
		{"BI-67 the provider knows neither client", "old:new-hush", "", 502, []string{"new:new-hush", "old:old-hush"}},
		{"BI-67 an old version that differs in more is not tried", "old:old-hush", `,"scope":"read"`, 502, []string{"new:new-hush"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			provider := &oneClient{accepts: "old:old-hush"}
			server := httptest.NewServer(provider)
			defer server.Close()
			w := newFixture(t)
			declare := func(client, more string) {
				w.write("pair", fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"%[1]s-hush","token_url":"%s/token"%s}`, client, server.URL, more))
			}
			declare("old", "")
			w.vend(0, "pair")
			declare("new", tt.change)
			w.forget("pair")
			provider.accepts, provider.received = tt.accepts, nil

			payload, err := os.ReadFile(eventFolder + "/vend-get.json")
			if err != nil {
				t.Fatal(err)
			}
			answer, err := w.function("vend").Invoke(t.Context(), []byte(strings.ReplaceAll(string(payload), "creative-force", "pair")))
			if err != nil {
				t.Fatal(err)
			}
			var got reply
			if err := json.Unmarshal(answer, &got); err != nil || got.StatusCode != tt.status {
				t.Errorf("answer %s, want %d", answer, tt.status)
			}
			if diff := cmp.Diff(tt.received, provider.received); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		})
	}
}
