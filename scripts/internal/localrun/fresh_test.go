package localrun_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// oldEnough is the age from which a token may be rejected, and memory is stale.
const oldEnough = 31 * time.Second

// count is a number of a run's summary.
func count(summary map[string]any, member string) int {
	n, ok := summary[member].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

func TestRejectedTokenIsReplacedOnce(t *testing.T) {
	for _, c := range []struct{ name, connection, control, body string }{
		{"CR-23 revoked", "cliquify", "cliquify/revoke", ""},
		{"CR-23 another user", "creative-force", "creative-force/user", `{"user":"someone.else@studio.example"}`},
		{"FI-23 rotated and updated", "creative-force", "creative-force/rotate?update=true", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, "")
			dead := r.vend(c.connection)
			r.pull(r.sandbox, "POST", c.control, c.body)
			if r.opens(r.sandbox, c.connection, dead) {
				t.Fatal("the control had no effect")
			}
			got := r.reject(c.connection, dead)
			if strings.HasSuffix(c.control, "update=true") {
				if got.status != 200 {
					t.Errorf("CR-23 a token of a declaration that has changed is not too new: %d", got.status)
				}
			} else if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); got.status != 429 || err != nil || seconds < 1 || seconds > 30 {
				t.Errorf("CR-23 a token seconds old: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
			}
			r.clock.advance(oldEnough)
			for _, got := range together(t, 50, func() (answer, error) {
				return r.try("local", "POST", "/connections/"+c.connection+"/token", `{"rejected_token_id":"`+dead.text("token_id")+`"}`)
			}) {
				if got.status != 200 || !r.opens(r.sandbox, c.connection, got) {
					t.Fatalf("%d %v", got.status, got.body)
				}
			}
			if n := r.requests(c.connection); n != 2 {
				t.Errorf("CR-23 fifty callers saw the token die: %d token requests in all, want 2", n)
			}
		})
	}
}

func TestSecretRotatedAtTheProviderFirst(t *testing.T) {
	r := start(t, "")
	dead := r.vend("creative-force")
	r.pull(r.sandbox, "POST", "creative-force/rotate", "")
	r.clock.advance(oldEnough)
	if got := r.reject("creative-force", dead); got.status != 502 || got.text("error") != "provider_rejected" {
		t.Errorf("OC-46 with the replaced secret: %d %v", got.status, got.body)
	}
	r.pull(r.sandbox, "POST", "creative-force/rotate?update=true", "")
	if summary := r.tick(); count(summary, "TokensReissued") != 1 {
		t.Errorf("CR-21 the tick after the file was corrected: %v", summary)
	}
	r.clock.advance(oldEnough)
	if got := r.vend("creative-force"); !r.opens(r.sandbox, "creative-force", got) {
		t.Error("CR-19 the token is dead although the file is right")
	}
}

func TestEditedFileIsNoticed(t *testing.T) {
	server, folder := newTokens(t), t.TempDir()
	close(server.gate)
	const declared = `{"provider":"oauth2","client_id":"id","client_secret":"hush","token_url":"%s/token","scope":"%s"}`
	write(t, folder, "crm", fmt.Sprintf(declared, server.url, "read"))
	r := start(t, folder)
	first := r.vend("crm")

	write(t, folder, "crm", fmt.Sprintf(declared, server.url, "write"))
	if summary := r.tick(); count(summary, "TokensReissued") != 1 {
		t.Errorf("CR-21 after the edit: %v", summary)
	}
	r.clock.advance(oldEnough)
	if got := r.vend("crm"); got.text("token_id") == first.text("token_id") || server.calls.Load() != 2 {
		t.Errorf("CR-21 after the edit: %v, %d token requests", got.body, server.calls.Load())
	}

	write(t, folder, "added", fmt.Sprintf(declared, server.url, "read"))
	r.vend("added")

	if err := os.Remove(filepath.Join(folder, "crm.json")); err != nil {
		t.Fatal(err)
	}
	if summary := r.tick(); count(summary, "RecordsWritten") != 1 {
		t.Errorf("CR-38 after the deletion: %v", summary)
	}
	r.clock.advance(oldEnough)
	if got := r.ask("local", "GET", "/connections/crm/token", ""); got.status != 404 {
		t.Errorf("CR-38 after the deletion: %d %v", got.status, got.body)
	}
	r.vend("added")
}

// A token in use is replaced before it expires, and no caller waits.
func TestTokenIsRenewedAhead(t *testing.T) {
	r := start(t, "")
	first := r.vend("creative-force")
	renewed := false
	for minute := 0; minute < 58 && !renewed; minute++ { // unusable after 59
		r.clock.advance(time.Minute)
		renewed = count(r.tick(), "Renewed") == 1
	}
	if !renewed {
		t.Fatal("CR-02 nothing was renewed in 58 minutes of an hour's token")
	}
	calls := r.requests("creative-force")
	got := r.vend("creative-force")
	if got.text("token_id") == first.text("token_id") || calls != 2 || r.requests("creative-force") != 2 {
		t.Errorf("CR-02 %d token requests; the caller got %v", calls, got.body)
	}
	for _, line := range r.log.all("audit") {
		if line["action"] == "renew" && line["outcome"] == "ok" && line["connection"] == "creative-force" {
			return
		}
	}
	t.Error("AZ-56 no line tells of the renewal")
}

func TestForgottenToken(t *testing.T) {
	r := start(t, "")
	before := r.vend("agile-now")
	if got := r.ask("local", "DELETE", "/connections/agile-now/token", ""); got.status != 204 {
		t.Errorf("forget: %d %v", got.status, got.body)
	}
	if after := r.vend("agile-now"); after.text("token_id") == before.text("token_id") {
		t.Error("the forgotten token was served once more")
	}
}
