package sandbox_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

func TestRotate(t *testing.T) {
	t.Run("FI-21 only the new secret works", func(t *testing.T) {
		g := newFixture(t)
		before := g.declared("cliquify")["client_secret"]
		must(t, g.Rotate("cliquify", sandbox.Rotation{}))
		wantStatus(t, g.ask("cliquify", "client_secret", before), 401)
		wantStatus(t, g.ask("cliquify"), 200)
	})
	t.Run("FI-22 the previous secret works during its grace period", func(t *testing.T) {
		g := newFixture(t)
		before := g.declared("cliquify")["client_secret"]
		must(t, g.Rotate("cliquify", sandbox.Rotation{Grace: time.Minute}))
		wantStatus(t, g.ask("cliquify"), 200)
		g.advance(time.Minute - 1)
		wantStatus(t, g.ask("cliquify", "client_secret", before), 200)
		g.advance(1)
		wantStatus(t, g.ask("cliquify", "client_secret", before), 401)
	})
	t.Run("BI-67 an older secret never works", func(t *testing.T) {
		g := newFixture(t)
		before := g.declared("cliquify")["client_secret"]
		must(t, g.Rotate("cliquify", sandbox.Rotation{Grace: time.Minute}))
		must(t, g.Rotate("cliquify", sandbox.Rotation{Grace: time.Minute}))
		wantStatus(t, g.ask("cliquify", "client_secret", before), 401)
	})
	t.Run("OC-05 a client without a secret cannot rotate", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Register(sandbox.Client{Connection: "public", ClientAuth: provider.NoClientAuth}))
		if err := g.Rotate("public", sandbox.Rotation{}); err == nil {
			t.Error("rotated")
		}
	})
	t.Run("AZ-44 a grace period is not negative", func(t *testing.T) {
		if err := newFixture(t).Rotate("cliquify", sandbox.Rotation{Grace: -1}); err == nil {
			t.Error("accepted")
		}
	})
}

func TestRotateUpdatesTheLocalFile(t *testing.T) {
	read := func(t *testing.T, g *fixture) map[string]any {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(g.folder, "cliquify.json"))
		must(t, err)
		var v map[string]any
		must(t, json.Unmarshal(text, &v))
		return v
	}
	t.Run("FI-21 the file is updated only on request", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.WriteConnections(g.folder))
		first := g.declared("cliquify")["client_secret"]
		must(t, g.Rotate("cliquify", sandbox.Rotation{}))
		if read(t, g)["client_secret"] != first {
			t.Error("the file changed unasked")
		}
		must(t, g.Rotate("cliquify", sandbox.Rotation{Update: true}))
		if read(t, g)["client_secret"] != g.declared("cliquify")["client_secret"] {
			t.Error("the file did not follow")
		}
	})
	t.Run("CR-21 members that an operator added are kept", func(t *testing.T) {
		g := newFixture(t)
		must(t, os.WriteFile(filepath.Join(g.folder, "cliquify.json"), []byte(`{"client_secret":"old","default_expires_in":12345678901234567}`), 0o600))
		must(t, g.Rotate("cliquify", sandbox.Rotation{Update: true}))
		text, err := os.ReadFile(filepath.Join(g.folder, "cliquify.json"))
		must(t, err)
		want := "{\n  \"client_secret\": \"" + g.declared("cliquify")["client_secret"] + "\",\n  \"default_expires_in\": 12345678901234567\n}\n"
		if diff := cmp.Diff(want, string(text)); diff != "" {
			t.Errorf("file (-want +got):\n%s", diff)
		}
	})
	t.Run("CR-21 a missing file is written", func(t *testing.T) {
		g := newFixture(t)
		must(t, g.Rotate("cliquify", sandbox.Rotation{Update: true}))
		if read(t, g)["provider"] != "cliquify" {
			t.Error("not a connection file")
		}
	})
	for name, text := range map[string]string{"text": "x", "null": "null", "a list": "[]"} {
		t.Run("BI-60 a file with "+name+" is an error and is kept", func(t *testing.T) {
			g := newFixture(t)
			at := filepath.Join(g.folder, "cliquify.json")
			must(t, os.WriteFile(at, []byte(text), 0o600))
			if err := g.Rotate("cliquify", sandbox.Rotation{Update: true}); err == nil {
				t.Error("rewritten")
			}
			if left, _ := os.ReadFile(at); string(left) != text {
				t.Errorf("the file became %q", left)
			}
		})
	}
	t.Run("FI-21 without a folder nothing rotates", func(t *testing.T) {
		s := sandbox.New(sandbox.Config{})
		before := s.Connections()["cliquify"]
		if err := s.Rotate("cliquify", sandbox.Rotation{Update: true}); err == nil {
			t.Error("accepted")
		}
		if diff := cmp.Diff(before, s.Connections()["cliquify"]); diff != "" {
			t.Error("the secret changed")
		}
	})
}

func TestRevokeOnlyTokensOfTheConnection(t *testing.T) {
	g := newFixture(t)
	mine, also, others := g.mint("cliquify"), g.mint("cliquify"), g.mint("agile-now")
	revoke := func(token string, want int) {
		t.Helper()
		n, err := g.Revoke("cliquify", redact.New(token))
		must(t, err)
		if n != want {
			t.Errorf("%d revoked, want %d", n, want)
		}
	}
	revoke(others, 0)
	revoke(mine, 1)
	revoke(mine, 0)
	if g.lives("cliquify", mine) || !g.lives("cliquify", also) || !g.lives("agile-now", others) {
		t.Error("OC-14 the wrong token died")
	}
	must(t, g.SetLifetime("cliquify", time.Second))
	g.mint("cliquify")
	g.advance(time.Second)
	revoke("", 1)
	if g.lives("cliquify", also) || !g.lives("agile-now", others) {
		t.Error("OC-14 all of a connection are not just its own")
	}
}

func TestSetLifetime(t *testing.T) {
	g := newFixture(t)
	documented := g.mint("agile-now")
	must(t, g.SetLifetime("agile-now", 20*time.Second))
	got := g.ask("agile-now").json(t)
	if got["expires_in"] != 20.0 {
		t.Errorf("expires_in %v", got["expires_in"])
	}
	g.advance(20 * time.Second)
	if g.lives("agile-now", got["access_token"].(string)) || !g.lives("agile-now", documented) {
		t.Error("INV-1 a token did not live as long as it was said to")
	}
	must(t, g.SetLifetime("agile-now", 0))
	if got := g.ask("agile-now").json(t)["expires_in"]; got != 3599.0 {
		t.Errorf("expires_in %v, want the documented one", got)
	}
	for _, bad := range []time.Duration{-time.Second, 1500 * time.Millisecond} {
		if err := g.SetLifetime("agile-now", bad); err == nil {
			t.Errorf("accepted %v", bad)
		}
	}
}

func TestExpiredTokensAreRemoved(t *testing.T) {
	g := newFixture(t)
	must(t, g.SetLifetime("cliquify", time.Second))
	form := g.form("cliquify")
	for range 1200 {
		wantStatus(t, g.direct(form), 200)
	}
	g.advance(time.Second)
	must(t, g.SetLifetime("cliquify", time.Hour))
	for range 1000 {
		wantStatus(t, g.direct(form), 200)
	}
	if n := g.Remembered(); n < 1000 || n > 1024 {
		t.Errorf("FI-52 %d tokens kept", n)
	}
}

func TestChangeUserNeedsAUser(t *testing.T) {
	g := newFixture(t)
	for connection, user := range map[string]string{"creative-force": "", "agile-now": "x", "creative-force-user": "x"} {
		if err := g.ChangeUser(connection, user); err == nil {
			t.Errorf("%s: accepted %q", connection, user)
		}
	}
}

func TestCounters(t *testing.T) {
	g := newFixture(t)
	g.ask("creative-force")
	g.ask("creative-force", "scope", "-")
	g.ask("creative-force", "client_secret", "wrong")
	g.ask("agile-now", "client_secret", "wrong")
	g.ask("agile-now", "client_id", "unknown")
	g.send(g.request("GET", tokenPaths["agile-now"], ""))
	g.access("creative-force", "x")
	of := func(connection string) sandbox.Counters {
		c, err := g.Counters(connection)
		must(t, err)
		return c
	}
	counted := map[string]sandbox.Counters{"creative-force": of("creative-force"), "agile-now": of("agile-now"), "cliquify": of("cliquify"), "unknown clients": g.UnknownClients()}
	want := map[string]sandbox.Counters{
		"creative-force":  {Total: 3, Outcomes: map[string]int{"issued": 1, "invalid_scope": 1, "invalid_client": 1}},
		"agile-now":       {Total: 1, Outcomes: map[string]int{"invalid_client": 1}},
		"cliquify":        {Outcomes: map[string]int{}},
		"unknown clients": {Total: 2, Outcomes: map[string]int{"invalid_client": 1, "invalid_request": 1}},
	}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("INV-2 (-want +got):\n%s", diff)
	}
	g.ask("creative-force")
	if got := counted["creative-force"].Outcomes["issued"]; got != 1 {
		t.Errorf("INV-2 counters once read went on counting: %d", got)
	}
	must(t, g.ResetCounters("creative-force"))
	if got := [2]int{g.TokenRequests("creative-force"), g.TokenRequests("agile-now")}; got != [2]int{0, 1} {
		t.Errorf("INV-2 after a reset: %v", got)
	}
}

func TestUnknownConnections(t *testing.T) {
	g := newFixture(t)
	_, errRevoke := g.Revoke("unknown", redact.Secret{})
	_, errCounters := g.Counters("unknown")
	for name, err := range map[string]error{
		"Rotate": g.Rotate("unknown", sandbox.Rotation{}), "ChangeUser": g.ChangeUser("unknown", "x"), "Revoke": errRevoke,
		"SetLifetime": g.SetLifetime("unknown", 0), "Fault": g.Fault("unknown"), "Counters": errCounters,
		"ResetCounters": g.ResetCounters("unknown"),
	} {
		if !errors.Is(err, sandbox.ErrNoConnection) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := g.TokenRequests("unknown"); got != -1 {
		t.Errorf("TokenRequests: %d", got)
	}
}

func TestWriteConnections(t *testing.T) {
	g := newFixture(t)
	must(t, g.WriteConnections(g.folder))
	for name, want := range g.Connections() {
		at := filepath.Join(g.folder, name+".json")
		got, err := os.ReadFile(at)
		must(t, err)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if status, err := os.Stat(at); err != nil || status.Mode() != 0o600 {
			t.Errorf("AZ-58 %s: mode %v, error %v", name, status.Mode(), err)
		}
	}
	if left, _ := os.ReadDir(g.folder); len(left) != 4 {
		t.Errorf("%d files in the folder, want 4", len(left))
	}
	if err := g.WriteConnections(filepath.Join(g.folder, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that does not exist: %v", err)
	}
}
