package localrun_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

// policies are servers' policies for refresh tokens, with the number of refreshes in
// an hour of use and in 26 hours without use.
var policies = []struct {
	name, control string
	used, idle    int
}{
	{"stays, repeated", `{"rotation":"never","repeat":"same"}`, 1, 1},
	{"stays, left out", `{"rotation":"never","repeat":"omit"}`, 1, 1},
	{"stays, empty", `{"rotation":"never","repeat":"empty"}`, 1, 1},
	{"stays, null", `{"rotation":"never","repeat":"null"}`, 1, 1},
	{"rotates", `{"rotation":"always"}`, 1, 1},
	{"rotates with a grace", `{"rotation":"always","grace":10}`, 1, 1},
	{"rotates, reuse detected", `{"rotation":"detect"}`, 1, 1},
	{"rotates and lives two hours", `{"rotation":"detect","life":7200,"state_life":true}`, 3, 78},
}

// TestDayOfAGrant consents, uses the grant for hours, does not use it for more than a
// day, and disconnects: with a renewer that ticks every minute, or catches up on
// missed ticks.
func TestDayOfAGrant(t *testing.T) {
	for _, policy := range policies {
		t.Run("OC-03 a refresh token that "+policy.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, "")
			r.pull(r.sandbox, "POST", user+"/refresh", policy.control)
			setMember(t, ownFolder(r), user, "response", map[string]string{"refresh_token_expires_in": "/refresh_token_expires_in"})
			r.consent("", "")
			hours, every := 3, 10*time.Minute
			if policy.control == `{"rotation":"detect"}` {
				hours, every = 12, time.Minute
			}
			for range hours {
				r.passes(time.Hour, time.Minute)
				if token := r.vend(user); !r.opens(r.sandbox, "creative-force", token) || token.body["stale"] == true {
					t.Fatalf("the token is dead: %v", token.body["expires_at"])
				}
			}
			used := r.refreshes()
			// A token of one hour is visited every 45 minutes, and renewed if it was used since.
			if want := hours * policy.used; used.granted < want-2 || used.granted > want*4/3+2 {
				t.Errorf("CR-02 %d hours of use took %d refreshes, want %d or so", hours, used.granted, want)
			}
			r.passes(26*time.Hour, every)
			if idle := r.refreshes().granted - used.granted; idle < policy.idle || idle > policy.idle*3/2+1 {
				t.Errorf("CR-27 26 hours without use took %d refreshes, want %d or a few more", idle, policy.idle)
			}
			if token := r.vend(user); !r.opens(r.sandbox, "creative-force", token) {
				t.Error("CR-27 the grant did not outlive a day without use")
			}
			if got := r.refreshes(); got.superseded != 0 || got.reused != 0 || got.refused != 0 {
				t.Errorf("INV-3 %+v", got)
			}
			r.disconnect()
		})
	}
}

// passes lets time pass while the renewer runs.
func (r *running) passes(d, every time.Duration) {
	r.t.Helper()
	for range d / every {
		r.clock.advance(every)
		r.tick()
	}
}

// disconnect ends the grant and checks that nothing is left of it.
func (r *running) disconnect() {
	r.t.Helper()
	if got := r.ask("local", "DELETE", root("")+"/authorization", ""); got.status != http.StatusNoContent {
		r.t.Fatalf("disconnect: %d %v", got.status, got.body)
	}
	if n := r.grants(); n != 0 {
		r.t.Errorf("OC-14 %d grants live at the provider", n)
	}
	r.clock.advance(oldEnough) // a process may remember a token for ten seconds
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusConflict || got.text("error") != "authorization_required" {
		r.t.Errorf("after it: %d %v", got.status, got.body)
	}
	if got := r.ask("local", "DELETE", root("")+"/authorization", ""); got.status != http.StatusNoContent {
		r.t.Errorf("once more: %d %v", got.status, got.body)
	}
}

// Two users of one connection have separate paths and grants.
func TestSubjects(t *testing.T) {
	r := start(t, "")
	r.consent("ada", "ada@studio.example")
	r.consent("grace", "grace@studio.example")
	ada, grace := r.ask("local", "GET", root("ada")+"/token", ""), r.ask("local", "GET", root("grace")+"/token", "")
	if ada.status != 200 || grace.status != 200 || ada.text("token_id") == grace.text("token_id") ||
		!r.opens(r.sandbox, "creative-force", ada) || !r.opens(r.sandbox, "creative-force", grace) {
		t.Fatalf("two subjects: %d, %d", ada.status, grace.status)
	}
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusConflict {
		t.Errorf("the default subject, who has not consented: %d", got.status)
	}
	if of := r.subjects(); len(of) != 2 || of["ada"]["state"] != "ready" || of["grace"]["state"] != "ready" {
		t.Errorf("status lists %v", of)
	}
	r.pull(r.sandbox, "POST", user+"/end", `{"user":"ada@studio.example"}`)
	r.clock.advance(oldEnough)
	body := fmt.Sprintf(`{"rejected_token_id":%q}`, ada.text("token_id"))
	if got := r.ask("local", "POST", root("ada")+"/token", body); got.status != http.StatusConflict {
		t.Errorf("FI-24 the subject who withdrew: %d %v", got.status, got.body)
	}
	if got := r.ask("local", "GET", root("grace")+"/token", ""); got.status != 200 || !r.opens(r.sandbox, "creative-force", got) {
		t.Errorf("FI-24 the other one: %d %v", got.status, got.body)
	}
	if got := r.ask("local", "DELETE", root("grace")+"/authorization", ""); got.status != http.StatusNoContent || r.grants() != 0 {
		t.Errorf("OC-14 disconnect of a subject: %d, %d grants", got.status, r.grants())
	}
	if of := r.subjects(); of["grace"] != nil || of["ada"]["state"] != "authorization_required" {
		t.Errorf("status lists %v", of)
	}
}

// elsewhere obtains a refresh token with the same client, as another program would.
func (r *running) elsewhere() string {
	r.t.Helper()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(read(r.t, ownFolder(r), user), &client); err != nil {
		r.t.Fatal(err)
	}
	form := map[string][]string{"client_id": {client.ID}, "redirect_uri": {r.url + "/callback/" + user}}
	ask := clone(form, map[string]string{"response_type": "code", "scope": "cfgateway offline_access", "state": "elsewhere"})
	back, err := browserclient.Consent(r.t.Context(), nil, r.sandbox+"/creative-force/connect/authorize?"+ask.Encode(), "", true)
	if err != nil {
		r.t.Fatal(err)
	}
	redeem := clone(form, map[string]string{"grant_type": "authorization_code", "client_secret": client.Secret, "code": queryOf(r.t, back).Get("code")})
	answer, err := http.PostForm(r.sandbox+"/creative-force/connect/token", redeem)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	var minted struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&minted); err != nil || minted.RefreshToken == "" {
		r.t.Fatalf("no refresh token: %d %v", answer.StatusCode, err)
	}
	return minted.RefreshToken
}

func TestImport(t *testing.T) {
	for _, policy := range []string{`{"rotation":"never"}`, `{"rotation":"detect"}`} {
		t.Run(policy, func(t *testing.T) {
			r := start(t, "")
			r.pull(r.sandbox, "POST", user+"/refresh", policy)
			token := r.elsewhere()
			body := func(refreshToken string) string {
				return fmt.Sprintf(`{"refresh_token":%q,"expires_at":%q}`, refreshToken, r.clock.now().Add(240*time.Hour).UTC().Format(time.RFC3339))
			}
			if got := r.ask("local", "PUT", root("")+"/authorization", body("dead-"+token)); got.status != http.StatusConflict {
				t.Errorf("a dead one: %d %v", got.status, got.body)
			}
			if len(r.subjects()) != 0 {
				t.Error("a dead one was stored")
			}
			got := r.ask("local", "PUT", root("")+"/authorization", body(token))
			if got.status != http.StatusOK || got.text("state") != "ready" || r.subjects()["default"]["renew_by"] == nil {
				t.Fatalf("a living one: %d %v", got.status, got.body)
			}
			for range 3 {
				if !r.opens(r.sandbox, "creative-force", r.vend(user)) {
					t.Error("the resource refuses the token")
				}
				r.clock.advance(2 * time.Hour)
			}
			if figures := r.refreshes(); figures.superseded != 0 {
				t.Errorf("INV-3 %+v", figures)
			}
			r.disconnect()
		})
	}
}

// A grant that ended at the provider is noticed with one call, and one consent
// replaces it at once.
func TestWithdrawnGrant(t *testing.T) {
	for _, policy := range policies {
		t.Run("FI-24 a refresh token that "+policy.name, func(t *testing.T) {
			r := start(t, "")
			r.pull(r.sandbox, "POST", user+"/refresh", policy.control)
			r.consent("", "")
			before := r.vend(user)
			r.pull(r.sandbox, "POST", user+"/end", "")
			r.clock.advance(time.Hour)
			requests := r.requests(user)
			for _, got := range together(t, 50, func() (answer, error) { return r.try("local", "GET", root("")+"/token", "") }) {
				if got.status != http.StatusConflict || got.text("error") != "authorization_required" {
					t.Fatalf("%d %v", got.status, got.body)
				}
			}
			r.passes(30*time.Minute, time.Minute)
			if n := r.requests(user) - requests; n != 1 {
				t.Errorf("%d token requests for a grant that is dead, want 1", n)
			}
			if of := r.subjects()["default"]; of["state"] != "authorization_required" || !r.warned("vend", "grant_ended") {
				t.Errorf("CR-28 status: %v", of)
			}
			r.consent("", "")
			healed := r.clock.now()
			after := r.vend(user)
			if took := r.clock.now().Sub(healed); took > time.Second {
				t.Errorf("the consent healed after %s", took)
			}
			if after.text("token_id") == before.text("token_id") || !r.opens(r.sandbox, "creative-force", after) {
				t.Error("the token is dead after consent was given again")
			}
		})
	}
}

// A second consent replaces the grant. The sandbox names no users, so the former one
// is not revoked: it might be the same user's. A consent that fails changes nothing.
func TestConsentAgain(t *testing.T) {
	r := start(t, "")
	r.consent("", "ada@studio.example")
	first := r.vend(user)

	s := r.begin("")
	code := r.received(s, "grace@studio.example")
	r.pull(r.sandbox, "POST", user+"/forget", "")
	if got := r.complete("local", s, code); got.status != http.StatusConflict {
		t.Errorf("AZ-30 a consent that fails: %d %v", got.status, got.body)
	}
	if got := r.vend(user); got.text("token_id") != first.text("token_id") || !r.opens(r.sandbox, "creative-force", got) {
		t.Error("AZ-30 a consent that failed hurt the grant")
	}
	r.consent("", "grace@studio.example")
	r.clock.advance(oldEnough)
	if got := r.vend(user); got.text("token_id") == first.text("token_id") || !r.opens(r.sandbox, "creative-force", got) || r.grants() != 2 {
		t.Errorf("AZ-30 after the second consent: %d grants at the provider", r.grants())
	}
}

func TestWarningsOfTheEnd(t *testing.T) {
	r := start(t, "")
	r.consent("", "")
	renewBy, err := time.Parse(time.RFC3339, fmt.Sprint(r.subjects()["default"]["renew_by"]))
	if err != nil || renewBy.Sub(r.clock.now()) < 29*24*time.Hour || renewBy.Sub(r.clock.now()) > 30*24*time.Hour {
		t.Errorf("CR-27 renew_by is %s (%v), want 30 days", renewBy, err)
	}
	for _, c := range []struct {
		passes  time.Duration
		warning string
	}{{22 * 24 * time.Hour, ""}, {30 * time.Hour, "grant_expires_7d"}, {6 * 24 * time.Hour, "grant_expires_1d"}} {
		if c.warning != "" && r.warned("vend", c.warning) {
			t.Errorf("CR-27 %s before its time", c.warning)
		}
		r.clock.advance(c.passes)
		r.vend(user)
		if c.warning != "" && !r.warned("vend", c.warning) {
			t.Errorf("CR-27 no %s", c.warning)
		}
	}
	r.clock.advance(24 * time.Hour)
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusConflict {
		t.Errorf("CR-27 after the end: %d %v", got.status, got.body)
	}
}

// After a lost response, the state of the refresh token is unknown: it is presented
// once more, as late as possible.
func TestLostResponse(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		want         int
	}{
		{"FI-05 a refresh token that stays", `{"rotation":"never"}`, http.StatusOK},
		{"FI-06 one that rotates, with a grace", `{"rotation":"detect","grace":7200}`, http.StatusOK},
		{"FI-06 one that rotates", `{"rotation":"always"}`, http.StatusConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, "")
			r.pull(r.sandbox, "POST", user+"/refresh", c.policy)
			r.consent("", "")
			first := r.vend(user)
			r.pull(r.sandbox, "POST", user+"/fault", `{"on":"refresh_token","reset":true,"processed":true,"count":1}`)
			r.clock.advance(55 * time.Minute)
			for range 5 {
				if got := r.vend(user); got.text("token_id") != first.text("token_id") {
					t.Fatal("CR-14 the old token is not served to its end")
				}
				r.clock.advance(30 * time.Second)
			}
			if n := r.refreshes().requests; n != 1 {
				t.Errorf("CR-14 %d refreshes while the old token lived, want 1", n)
			}
			r.clock.advance(time.Hour)
			for range 3 {
				if got := r.ask("local", "GET", root("")+"/token", ""); got.status != c.want {
					t.Errorf("CR-14 %d %v", got.status, got.body)
				}
				r.clock.advance(time.Minute)
			}
			if n := r.refreshes().requests; n != 2 {
				t.Errorf("CR-14 %d refreshes in all, want 2", n)
			}
		})
	}
}

// Deleting a secret does not delete its grant, which could not be restored. A new
// secret of the same name is another connection.
func TestDeletedSecret(t *testing.T) {
	r := start(t, "")
	r.consent("", "")
	r.vend(user)
	file := read(t, ownFolder(r), user)
	if err := os.Remove(filepath.Join(ownFolder(r), user+".json")); err != nil {
		t.Fatal(err)
	}
	r.tick()
	r.clock.advance(oldEnough)
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusNotFound {
		t.Errorf("CR-38 without its secret: %d %v", got.status, got.body)
	}
	if r.grants() != 1 {
		t.Error("CR-38 the grant was revoked")
	}
	write(t, ownFolder(r), user, string(file))
	r.tick()
	r.clock.advance(oldEnough)
	if got := r.ask("local", "GET", root("")+"/token", ""); got.status != http.StatusConflict {
		t.Errorf("CR-38 with a secret of that name again: %d %v", got.status, got.body)
	}
	r.consent("", "")
	r.vend(user)
}

// What a deleted secret leaves behind can be deleted, and where nothing was left
// nothing is stored.
func TestDeleteAfterTheSecret(t *testing.T) {
	r := start(t, "")
	r.consent("", "")
	r.vend(user)
	file := read(t, ownFolder(r), user)
	if err := os.Remove(filepath.Join(ownFolder(r), user+".json")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{root("") + "/token?revoke=true", root("") + "/authorization", root("anything") + "/token", root("anything") + "/authorization"} {
		if got := r.ask("local", "DELETE", path, ""); got.status != http.StatusNoContent {
			t.Errorf("OC-14 DELETE %s: %d %v", path, got.status, got.body)
		}
	}
	if r.grants() != 1 {
		t.Error("OC-14 the grant was revoked without a declaration")
	}
	write(t, ownFolder(r), user, string(file))
	r.clock.advance(oldEnough)
	if subjects := r.subjects(); len(subjects) != 0 {
		t.Errorf("OC-14 the subjects %v are left", subjects)
	}
}
