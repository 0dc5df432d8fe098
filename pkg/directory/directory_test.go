package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const delegated = `{"provider":"creative-force","grant_type":"authorization_code","client_id":"a","client_secret":"b"}`

const valid = `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`

func TestStatus(t *testing.T) {
	e := newEnv(t)
	e.declare("broken", `{"provider":"oauth2","clientid":"app"}`)
	e.declare("user", delegated)
	e.declare("sick", valid)
	failure := e.fail("sick", problem.ProviderTimeout)
	tests := []struct {
		name string
		want directory.Status
	}{
		{"crm", directory.Status{Connection: "crm", Provider: "oauth2", GrantType: "client_credentials", State: directory.Ready}},
		{"user", directory.Status{Connection: "user", Provider: "creative-force", GrantType: "authorization_code", State: directory.AuthorizationRequired}},
		{"sick", directory.Status{Connection: "sick", Provider: "oauth2", GrantType: "client_credentials", State: directory.Failing,
			Problem: "expires_in is a list", LastError: problem.ProviderTimeout, NextAttemptAt: failure.NextAttemptAt}},
	}
	for _, tt := range tests {
		got, err := e.Status(t.Context(), connection.Name(tt.name), 10, "")
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	t.Run("a misconfigured connection says what is wrong", func(t *testing.T) {
		got, err := e.Status(t.Context(), "broken", 10, "")
		if err != nil || got.State != directory.Misconfigured || !strings.Contains(got.Problem, `"clientid"`) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("one that does not exist is an error", func(t *testing.T) {
		_, err := e.Status(t.Context(), "missing", 10, "")
		wantCode(t, err, problem.ConnectionNotFound)
	})
	t.Run("CR-19 a failure of another secret version is forgotten", func(t *testing.T) {
		e.declare("sick", valid)
		if got, _ := e.Status(t.Context(), "sick", 10, ""); got.State != directory.Ready {
			t.Errorf("state %s, want ready", got.State)
		}
	})
}

func TestStatusNamesDepartures(t *testing.T) {
	e := newEnv(t)
	e.declare("odd", valid)
	e.declare("user", delegated)
	for _, key := range []tokenstore.Key{{Connection: "odd"}, {Connection: "user", Subject: "joe"}} {
		item, err := e.store.Acquire(t.Context(), tokenstore.Acquire{Key: key, Owner: "owner", Now: now, TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.store.Commit(t.Context(), tokenstore.Commit{Key: key, Owner: "owner", Version: item.Version, Now: now, Token: tokenstore.SealedToken{
			ID: "id", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour),
			Departures: []string{"scope", "token_type"}, ExtraNames: []string{"instance_url"}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	odd, err := e.Status(t.Context(), "odd", 10, "")
	if err != nil || !slices.Equal(odd.Warnings, []string{"scope", "token_type"}) || !slices.Equal(odd.ExtraNames, []string{"instance_url"}) {
		t.Errorf("OC-37 status %+v, %v", odd, err)
	}
	user, err := e.Status(t.Context(), "user", 10, "")
	if err != nil || len(user.Subjects) != 1 || !slices.Equal(user.Subjects[0].Warnings, append([]string{"no_refresh_token"}, odd.Warnings...)) || len(user.Warnings) != 0 {
		t.Errorf("OC-37 status %+v, %v", user, err)
	}
}

func TestStatusOfSubjects(t *testing.T) {
	e := newEnv(t)
	e.declare("user", delegated)
	states := func(limit int, next string) (directory.Status, []string) {
		t.Helper()
		status, err := e.Status(t.Context(), "user", limit, next)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range status.Subjects {
			names = append(names, s.Subject+" "+string(s.State))
		}
		return status, names
	}
	if s, names := states(100, ""); s.State != directory.AuthorizationRequired || len(names) != 0 {
		t.Errorf("before: %v %v", s.State, names)
	}
	e.consent("user", "bob")
	if s, names := states(100, ""); s.State != directory.Ready || len(names) != 1 || names[0] != "bob ready" {
		t.Errorf("one subject: %v %v", s.State, names)
	}
	e.consent("user", "")
	e.consent("user", "ann")
	s, names := states(2, "")
	if len(names) != 2 || names[0] != "default ready" || names[1] != "ann ready" || s.Next == "" {
		t.Fatalf("first page %v, next %q", names, s.Next)
	}
	if s.Subjects[0].ConsentedBy != "user-7" || !s.Subjects[0].ConsentedAt.Equal(now) {
		t.Errorf("AZ-24 consented by %q at %v", s.Subjects[0].ConsentedBy, s.Subjects[0].ConsentedAt)
	}
	if s, names = states(2, s.Next); len(names) != 1 || names[0] != "bob ready" || s.Next != "" {
		t.Errorf("second page %v, next %q", names, s.Next)
	}
	_, err := e.Status(t.Context(), "user", 2, "!")
	wantCode(t, err, problem.InvalidRequest)
}

// A consent without a refresh token is ready until its access token ends.
func TestStatusOfATokenOnly(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		want directory.State
	}{
		"AZ-30 until its end": {time.Second, directory.Ready},
		"AZ-30 from its end":  {0, directory.AuthorizationRequired},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.declare("user", delegated)
			e.tokenOnly("user", "ann", c.left)
			got, err := e.Status(t.Context(), "user", 10, "")
			want := []directory.SubjectStatus{{Subject: "ann", State: c.want, ConsentedAt: now.Add(c.left - 24*time.Hour), RenewBy: now.Add(c.left),
				Warnings: []string{"no_refresh_token"}}}
			if diff := cmp.Diff(want, got.Subjects); err != nil || diff != "" || got.State != c.want {
				t.Errorf("state %s, %v, subjects (-want +got):\n%s", got.State, err, diff)
			}
		})
	}
}

func TestStatusPageOfOne(t *testing.T) {
	e := newEnv(t)
	e.declare("user", delegated)
	for _, subject := range []string{"", "bob", "eve"} {
		e.consent("user", subject)
	}
	var names []string
	for next, first := "", true; first || next != ""; first = false {
		status, err := e.Status(t.Context(), "user", 1, next)
		if err != nil || len(status.Subjects) != 1 {
			t.Fatalf("%d subjects on a page of one, %v", len(status.Subjects), err)
		}
		names, next = append(names, status.Subjects[0].Subject), status.Next
	}
	if fmt.Sprint(names) != "[default bob eve]" {
		t.Errorf("pages of %v", names)
	}
}

func TestListPages(t *testing.T) {
	e := newEnv(t)
	var members []string
	for i := range 7 {
		members = append(members, fmt.Sprintf(`"m%d":%s`, i, valid))
	}
	members = append(members, `"Bad":{}`)
	e.declare("bundle", `{"connections":{`+strings.Join(members, ",")+`}}`)
	for i := range 5 {
		e.declare(fmt.Sprintf("x%d", i), valid)
	}
	want := []string{"bundle.Bad", "bundle.m0", "bundle.m1", "bundle.m2", "bundle.m3", "bundle.m4", "bundle.m5", "bundle.m6",
		"crm", "x0", "x1", "x2", "x3", "x4"}
	for limit := 1; limit <= 15; limit++ {
		t.Run(fmt.Sprintf("limit %d repeats and skips nothing", limit), func(t *testing.T) {
			var got []string
			next := ""
			for range 20 {
				page, more, err := e.List(t.Context(), limit, next)
				if err != nil || len(page) > limit {
					t.Fatalf("page of %d, %v", len(page), err)
				}
				for _, s := range page {
					got = append(got, s.Connection)
				}
				if next = more; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a limit that changes on the way repeats and skips nothing", func(t *testing.T) {
		var got []string
		next := ""
		for limit := 6; limit > 0; limit-- {
			page, more, err := e.List(t.Context(), limit, next)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page {
				got = append(got, s.Connection)
			}
			if next = more; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a cursor that no listing returned is refused", func(t *testing.T) {
		for _, next := range []string{"x", "e30", "bm90IGpzb24"} {
			_, _, err := e.List(t.Context(), 10, next)
			wantCode(t, err, problem.InvalidRequest)
		}
	})
	t.Run("BI-55 one invalid connection hides no other", func(t *testing.T) {
		page, _, err := e.List(t.Context(), 100, "")
		if err != nil {
			t.Fatal(err)
		}
		states := map[directory.State]int{}
		for _, s := range page {
			states[s.State]++
		}
		if states[directory.Ready] != 13 || states[directory.Misconfigured] != 1 {
			t.Errorf("states %v", states)
		}
	})
}
