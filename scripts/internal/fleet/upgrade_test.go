package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// former is the commit of the former release, whose stored items this one reads.
const former = "09912cb"

// buildFormer builds the functions of the former release from the repository's
// history. Without it, in a shallow checkout for example, the test is skipped.
func buildFormer(t *testing.T) (bootstraps string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	source, bootstraps := t.TempDir(), t.TempDir()
	archive, err := exec.CommandContext(ctx, "git", "-C", "../../..", "archive", former).Output()
	if err != nil {
		t.Skipf("NOT RUN: git has no commit %s of the former release here: fetch the whole history (git fetch --unshallow)", former)
	}
	unpack := exec.CommandContext(ctx, "tar", "-x", "-C", source)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack the former release: %v: %s", err, out)
	}
	for _, function := range []string{fleet.Vend, fleet.Renew, fleet.Connections} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bootstraps, function, "bootstrap"), "./functions/"+function)
		build.Dir = source
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+lambdahost.GoFlags)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the former release: %v: %s", err, out)
		}
	}
	return bootstraps
}

// releases is a fleet in which two releases alternate on one table.
type releases struct {
	*fleet.Fleet
	t      *testing.T
	former string
	number int
}

// release is one deployment: functions without anything in memory.
type release struct {
	*releases
	vend, renew, connections *fleet.Process
}

func (r *releases) deploy(build func(function string, number int) *fleet.Process) release {
	r.number++
	return release{r, build(fleet.Vend, r.number), build(fleet.Renew, r.number), build(fleet.Connections, r.number)}
}

func (r *releases) deployFormer() release {
	return r.deploy(func(function string, number int) *fleet.Process { return r.Other(r.former, function, number) })
}

func (r *releases) deployThis() release {
	return r.deploy(func(function string, number int) *fleet.Process { return r.Process(function, number) })
}

// ask asks, and fails the test unless the outcome is the expected one.
func (r release) ask(p *fleet.Process, ask fleet.Ask, want string) fleet.Answer {
	r.t.Helper()
	a := p.Ask(r.t.Context(), ask)
	if a.Outcome() != want {
		r.t.Fatalf("%s: %s %s: got %s (%v: %s), want %s", p.Name, ask.Method, ask.Path, a.Outcome(), a.Err, a.Detail, want)
	}
	return a
}

func (r release) token(path, want string) fleet.Answer {
	r.t.Helper()
	return r.ask(r.vend, fleet.Ask{Path: path + "/token"}, want)
}

// refreshed forgets the stored token, so that the next one needs the grant.
func (r release) refreshed(path string) fleet.Answer {
	r.t.Helper()
	r.ask(r.vend, fleet.Ask{Method: http.MethodDelete, Path: path + "/token"}, "204")
	return r.token(path, "200")
}

func (r release) tick() fleet.Summary {
	r.t.Helper()
	sum, err := r.renew.Send(r.t.Context(), fleet.Tick(time.Now()))
	if err != nil || sum.Failed > 0 {
		r.t.Fatalf("tick of %s: %+v, %v", r.renew.Name, sum, err)
	}
	return sum
}

// consent gives a user's consent by hand.
func (r release) consent(path string) {
	r.t.Helper()
	started := r.ask(r.connections, fleet.Ask{Method: http.MethodPost, Path: path + "/authorization"}, "201")
	var s struct {
		AuthorizationURL string `json:"authorization_url"`
	}
	if err := json.Unmarshal(started.Body, &s); err != nil {
		r.t.Fatal(err)
	}
	end, err := browserclient.Consent(r.t.Context(), nil, s.AuthorizationURL, "", true)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"redirect_url": end})
	if err != nil {
		r.t.Fatal(err)
	}
	r.ask(r.connections, fleet.Ask{Method: http.MethodPost, Path: path + "/authorization/complete", Body: string(body)}, "200")
}

func (r *releases) register(name string, delegated bool) {
	r.t.Helper()
	client := sandbox.Client{Connection: name, Delegated: delegated}
	if delegated {
		client.RedirectURIs = []string{fleet.PublicBaseURL + "/callback/" + name}
		client.Refresh = sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect}
	}
	if err := r.Provider.Register(client); err != nil {
		r.t.Fatal(err)
	}
	r.declare(name, "")
}

// declare writes the secret of a connection that the principal of App and of other may
// use, or everyone while other is empty.
func (r *releases) declare(name string, only string) {
	r.t.Helper()
	var members map[string]any
	if err := json.Unmarshal(r.Provider.Connections()[name], &members); err != nil {
		r.t.Fatal(err)
	}
	delete(members, "$schema")
	if only != "" {
		members["callers"] = []any{map[string]any{"principal": only}}
	}
	text, err := json.Marshal(members)
	if err == nil {
		err = r.PutSecret(name, text)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *releases) calls(name string) int { return r.Provider.TokenRequests(name) }

// The former release and this one alternate on one table.
func TestUpgradeAndRollback_FI48(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the former release")
	}
	f := start(t)
	r := &releases{Fleet: f, t: t, former: buildFormer(t), number: 10}
	const app, user, joe = "/connections/app", "/connections/user", "/connections/user/subjects/joe"
	r.register("app", false)
	r.register("user", true)

	old := r.deployFormer()
	old.consent(user)
	old.consent(joe)
	old.tick()
	before := map[string]string{}
	for _, path := range []string{app, user, joe} {
		before[path] = old.token(path, "200").TokenID
	}
	t.Run("an upgrade causes no call to the provider", func(t *testing.T) {
		calls := r.calls("app") + r.calls("user")
		r.t = t
		this := r.deployThis()
		if sum := this.tick(); sum.Recorded < 2 || sum.Reissued+sum.Renewed > 0 {
			t.Errorf("%+v, want the records of all connections and no renewal", sum)
		}
		for path, id := range before {
			if got := this.token(path, "200").TokenID; got != id {
				t.Errorf("%s: another token", path)
			}
		}
		if sum := this.tick(); sum.Recorded > 0 {
			t.Errorf("the second tick: %+v", sum)
		}
		if got := r.calls("app") + r.calls("user"); got != calls {
			t.Errorf("%d calls to the provider", got-calls)
		}
	})
	t.Run("no grant becomes unreadable in either direction", func(t *testing.T) {
		r.t = t
		for i := range 3 {
			this := r.deployThis()
			for _, path := range []string{app, user, joe} {
				this.refreshed(path)
			}
			this.tick()
			if i == 1 {
				this.consent(joe) // the former release refreshes it
			}
			old := r.deployFormer()
			calls := r.calls("app") + r.calls("user")
			for path := range before {
				old.token(path, "200")
			}
			if got := r.calls("app") + r.calls("user"); got != calls {
				t.Errorf("a rollback causes %d calls to the provider", got-calls)
			}
			for _, path := range []string{app, user, joe} {
				old.refreshed(path)
			}
			old.tick()
			if i == 1 {
				old.consent(user)
			}
		}
		c, err := f.Provider.Counters("user")
		if err != nil || c.Refresh.Reused+c.Refresh.Detected+c.Refresh.Refused > 0 || c.Refresh.Granted != 12 {
			t.Errorf("INV-3 %+v, %v, want 12 refreshes granted", c.Refresh, err)
		}
	})
	t.Run("CR-21 this release refuses whom the record refuses", func(t *testing.T) {
		r.t = t
		admin := "arn:aws:sts::111122223333:assumed-role/admin/x"
		old := r.deployFormer()
		old.ask(old.vend, fleet.Ask{Method: http.MethodDelete, Path: app + "/token"}, "204")
		// The former release stores a token with the former callers sealed into it after
		// the edit.
		met, release := f.Gate.Hold(fleet.Commit, fleet.Arrived)
		answer := make(chan fleet.Answer, 1)
		go func() { answer <- old.vend.Ask(t.Context(), fleet.TokenOf("app")) }()
		<-met
		r.declare("app", "arn:aws:iam::111122223333:role/admin")
		this := r.deployThis()
		if sum := this.tick(); sum.Recorded != 1 {
			t.Errorf("%+v, want one record", sum)
		}
		release()
		served := <-answer
		if served.Outcome() != "200" {
			t.Fatalf("the former release answers %s", served.Outcome())
		}
		this.token(app, "403 access_denied")
		fresh := r.deployThis()
		fresh.token(app, "403 access_denied")
		if got := fresh.ask(fresh.vend, fleet.Ask{Path: app + "/token", Caller: admin}, "200"); got.TokenID != served.TokenID {
			t.Error("the edit of callers replaced the token")
		}
	})
	t.Run("after a rollback the former release serves what it is declared", func(t *testing.T) {
		r.t = t
		r.declare("app", "")
		old := r.deployFormer()
		old.tick()
		for _, path := range []string{app, user, joe} {
			old.token(path, "200")
		}
	})
	for _, v := range violations(t, f) {
		t.Error(v)
	}
}
