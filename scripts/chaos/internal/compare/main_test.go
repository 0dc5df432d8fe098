package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOneTokenServesEveryCaller(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"token_1","token_type":"Bearer","expires_in":3600}`))
	}))
	defer server.Close()
	tasks := fmt.Sprintf(`{"token_url":%q,"client_id":"app","client_secret":"synthetic","callers":20}`, server.URL)
	var out bytes.Buffer
	if err := serve(strings.NewReader(tasks), &out); err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Served != 20 || calls != 1 {
		t.Errorf("%d calls, result %s", calls, &out)
	}
}
