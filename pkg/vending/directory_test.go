package vending_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// List gives the secrets in the order of their names; the cursor is the last name.
func (s *secretSource) List(_ context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	if s.fail != nil {
		return nil, "", s.fail
	}
	var names []string
	for name := range s.versions {
		if name > next {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var page []clientsecret.Entry
	for _, name := range names[:min(limit, len(names))] {
		versions := s.versions[name]
		page = append(page, clientsecret.Entry{Secret: versions[len(versions)-1]})
	}
	if len(page) == len(names) {
		return page, "", nil
	}
	return page, page[len(page)-1].Name, nil
}

func (f *fleet) directory() *vending.Directory {
	return vending.NewDirectory(vending.DirectoryConfig{Store: f.store, Secrets: f.secrets, Lister: f.secrets})
}

const valid = `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token"}`

func TestStatus(t *testing.T) {
	f := newFleet(t)
	f.declare("broken", `{"provider":"oauth2","clientid":"app"}`)
	f.declare("user", `{"provider":"creative-force","grant_type":"authorization_code","client_id":"a","client_secret":"b"}`)
	f.declare("sick", valid)
	f.server.failing(&oauth.Error{Kind: oauth.Timeout, Trace: oauth.Trace{Calls: 1}})
	_, _ = f.process().Vend(t.Context(), vending.Request{Connection: "sick", Caller: principal})
	d := f.directory()
	tests := []struct {
		name string
		want vending.Status
	}{
		{"crm", vending.Status{Connection: "crm", Provider: "oauth2", GrantType: "client_credentials", State: vending.Ready}},
		{"user", vending.Status{Connection: "user", Provider: "creative-force", GrantType: "authorization_code", State: vending.AuthorizationRequired}},
		{"sick", vending.Status{Connection: "sick", Provider: "oauth2", GrantType: "client_credentials", State: vending.Failing,
			LastError: problem.ProviderTimeout, NextAttemptAt: f.item("sick").Failure.NextAttemptAt}},
	}
	for _, tt := range tests {
		got, err := d.Status(t.Context(), connection.Name(tt.name), 10, "")
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	t.Run("a misconfigured one says what is wrong", func(t *testing.T) {
		got, err := d.Status(t.Context(), "broken", 10, "")
		if err != nil || got.State != vending.Misconfigured || !strings.Contains(got.Problem, `"clientid"`) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("one that does not exist is an error", func(t *testing.T) {
		wantCode(t, second(d.Status(t.Context(), "nobody", 10, "")), problem.ConnectionNotFound)
	})
	t.Run("CR-19 a failure of another secret version is forgotten", func(t *testing.T) {
		f.declare("sick", valid)
		if got, _ := d.Status(t.Context(), "sick", 10, ""); got.State != vending.Ready {
			t.Errorf("state %s, want ready", got.State)
		}
	})
}

func TestListPages(t *testing.T) {
	f := newFleet(t)
	var members []string
	for i := range 7 {
		members = append(members, fmt.Sprintf(`"m%d":%s`, i, valid))
	}
	members = append(members, `"Bad":{}`)
	f.declare("bundle", `{"connections":{`+strings.Join(members, ",")+`}}`)
	for i := range 5 {
		f.declare(fmt.Sprintf("x%d", i), valid)
	}
	want := []string{"bundle.m0", "bundle.m1", "bundle.m2", "bundle.m3", "bundle.m4", "bundle.m5", "bundle.m6", "bundle.Bad",
		"crm", "x0", "x1", "x2", "x3", "x4"}
	for limit := 1; limit <= 15; limit++ {
		t.Run(fmt.Sprintf("limit %d repeats and skips nothing", limit), func(t *testing.T) {
			var got []string
			next := ""
			for range 20 {
				page, more, err := f.directory().List(t.Context(), limit, next)
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
			page, more, err := f.directory().List(t.Context(), limit, next)
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
	t.Run("a cursor of nobody's is refused", func(t *testing.T) {
		for _, next := range []string{"x", "e30", "bm90IGpzb24"} {
			_, _, err := f.directory().List(t.Context(), 10, next)
			wantCode(t, err, problem.InvalidRequest)
		}
	})
	t.Run("BI-55 one invalid connection hides no other", func(t *testing.T) {
		page, _, err := f.directory().List(t.Context(), 100, "")
		if err != nil {
			t.Fatal(err)
		}
		states := map[vending.State]int{}
		for _, s := range page {
			states[s.State]++
		}
		if states[vending.Ready] != 13 || states[vending.Misconfigured] != 1 {
			t.Errorf("states %v", states)
		}
	})
}
