package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// bundles declares n bundles of 20 connections, and returns the names of all
// connections in the order of a listing.
func (e env) bundles(n int) (names []string) {
	e.t.Helper()
	for b := range n {
		var members []string
		for m := range 20 {
			members = append(members, fmt.Sprintf(`"m%02d":%s`, m, valid))
			names = append(names, fmt.Sprintf("b%03d.m%02d", b, m))
		}
		e.declare(fmt.Sprintf("b%03d", b), `{"connections":{`+strings.Join(members, ",")+`}}`)
	}
	return append(names, "crm")
}

// everyPage reads a whole listing, and returns the names of each page.
func (e env) everyPage(limit int) (pages [][]string) {
	e.t.Helper()
	for next, first := "", true; first || next != ""; first = false {
		before := next
		statuses, more, err := e.List(e.t.Context(), limit, next)
		if err != nil || len(statuses) > limit || more != "" && more == before || len(pages) > 10_000 {
			e.t.Fatalf("BI-56 page %d has %d statuses, error %v, next %q after %q", len(pages), len(statuses), err, more, before)
		}
		names := []string{}
		for _, s := range statuses {
			names = append(names, s.Connection)
		}
		pages, next = append(pages, names), more
	}
	return pages
}

func joined(pages [][]string) (names []string) {
	for _, page := range pages {
		names = append(names, page...)
	}
	return names
}

func TestListReadsNoMoreSecretsThanItNeeds(t *testing.T) {
	e := newEnv(t)
	want := e.bundles(300)
	statuses, next, err := e.List(t.Context(), 1000, "")
	if err != nil || len(statuses) != 1000 || next == "" {
		t.Fatalf("%d statuses, %v", len(statuses), err)
	}
	if e.secrets.read > 100 {
		t.Errorf("BI-56 a page of 1,000 connections in bundles of 20 read %d secrets", e.secrets.read)
	}
	for _, limit := range []int{13, 100, 1000} {
		if diff := cmp.Diff(want, joined(e.everyPage(limit))); diff != "" {
			t.Errorf("BI-56 pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	if e.secrets.most > 100 {
		t.Errorf("BI-56 %d secrets were read at once", e.secrets.most)
	}
}

func TestListEndsByTime(t *testing.T) {
	e := newEnv(t)
	want := e.bundles(30)
	e.secrets.takes = time.Minute
	pages := e.everyPage(1000)
	if len(pages) < 2 || len(pages[0]) != 400 {
		t.Errorf("BI-56 %d pages, the first of %d connections; want one read of 20 secrets", len(pages), len(pages[0]))
	}
	if diff := cmp.Diff(want, joined(pages)); diff != "" {
		t.Errorf("BI-56 (-want +got):\n%s", diff)
	}
	e.secrets.takes = 4 * time.Second // the third read ends the page
	if pages = e.everyPage(1000); len(pages) != 1 {
		t.Errorf("BI-56 %d pages within 10 s", len(pages))
	}
}

// unreadable lists secrets that cannot be read for a long reason.
type unreadable struct{ names []string }

func (u unreadable) List(_ context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	start, _ := strconv.Atoi(next)
	end := min(start+limit, len(u.names))
	var page []clientsecret.Entry
	for _, name := range u.names[start:end] {
		page = append(page, clientsecret.Entry{Secret: clientsecret.Secret{Name: name}, Err: errors.New(strings.Repeat("\"", 25_000))})
	}
	if end == len(u.names) {
		return page, "", nil
	}
	return page, strconv.Itoa(end), nil
}

func TestListEndsBySize(t *testing.T) {
	e := newEnv(t)
	var lister unreadable
	for i := range 100 {
		lister.names = append(lister.names, fmt.Sprintf("a%02d", i))
	}
	e.Directory = directory.New(directory.Config{Store: e.store, Secrets: e.secrets, Lister: lister, Now: func() time.Time { return now }})
	pages := e.everyPage(1000)
	for i, page := range pages {
		if size := len(page) * 50_000; size > 1<<20 || i < len(pages)-1 && size < 1<<19 {
			t.Errorf("BI-56 page %d has %d connections, %d bytes of problems", i, len(page), size)
		}
	}
	if diff := cmp.Diff(lister.names, joined(pages)); diff != "" {
		t.Errorf("BI-56 (-want +got):\n%s", diff)
	}
}

// counting counts the reads of subjects.
type counting struct {
	directory.Store
	subjects atomic.Int64
}

func (c *counting) Subjects(ctx context.Context, name string, limit int, after string) ([]tokenstore.Item, string, error) {
	c.subjects.Add(1)
	return c.Store.Subjects(ctx, name, limit, after)
}

func TestListHasNoSubjects(t *testing.T) {
	e := newEnv(t)
	store := &counting{Store: e.store}
	e.Directory = directory.New(directory.Config{Store: store, Secrets: e.secrets, Lister: e.secrets, Now: func() time.Time { return now }})
	for _, name := range []string{"u0-none", "u1-own", "u2-named", "u3-both"} {
		e.declare(name, delegated)
	}
	e.consent("u1-own", "")
	e.consent("u2-named", "ann")
	e.consent("u3-both", "")
	for i := range 150 {
		e.consent("u3-both", fmt.Sprintf("s%03d", i))
	}
	statuses, _, err := e.List(t.Context(), 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []directory.State{directory.Ready, directory.AuthorizationRequired, directory.Ready, directory.Ready, directory.Ready} {
		s := statuses[i]
		if s.State != want || s.Subjects != nil || s.Next != "" {
			t.Errorf("BI-56 %s is %s with %d subjects, next %q; want %s and none", s.Connection, s.State, len(s.Subjects), s.Next, want)
		}
		alone, err := e.Status(t.Context(), connection.Name(s.Connection), 100, "")
		if err != nil || alone.State != s.State {
			t.Errorf("BI-56 %s is %s by itself (%v) and %s in the list", s.Connection, alone.State, err, s.State)
		}
	}
	store.subjects.Store(0)
	if _, _, err := e.List(t.Context(), 100, ""); err != nil || store.subjects.Load() != 2 {
		t.Errorf("BI-56 subjects were read %d times (%v), want only where they decide the state", store.subjects.Load(), err)
	}
}

// TestListWhileSecretsChange: what exists throughout a listing is in it.
func TestListWhileSecretsChange(t *testing.T) {
	bundle := func(members ...string) string {
		var all []string
		for _, m := range members {
			all = append(all, fmt.Sprintf("%q:%s", m, valid))
		}
		return `{"connections":{` + strings.Join(all, ",") + `}}`
	}
	for _, c := range []struct {
		name   string
		change func(e env)
		want   []string
	}{
		{"BI-56 nothing changes", func(env) {}, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
		{"BI-56 a bundle shrinks", func(e env) { e.declare("b1", bundle("c", "d")) }, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
		{"BI-56 a bundle shrinks to less than what was listed", func(e env) { e.declare("b1", bundle("a")) }, []string{"b1.a", "b1.b", "b2.a", "b2.b", "crm"}},
		{"BI-56 a bundle is written in another order", func(e env) { e.declare("b1", bundle("d", "c", "b", "a")) }, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
		{"BI-56 a bundle grows", func(e env) { e.declare("b1", bundle("0", "a", "b", "c", "d")) }, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
		{"BI-56 the bundle is deleted, so the page of secrets is listed again", func(e env) { e.secrets.remove("b1") }, []string{"b1.a", "b1.b", "a0", "b2.a", "b2.b", "crm"}},
		{"BI-56 a secret before it is deleted", func(e env) { e.secrets.remove("a0") }, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
		{"BI-56 a secret before it is added", func(e env) { e.declare("a1", valid) }, []string{"b1.a", "b1.b", "b1.c", "b1.d", "b2.a", "b2.b", "crm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t)
			e.declare("a0", valid)
			e.declare("b1", bundle("a", "b", "c", "d"))
			e.declare("b2", bundle("a", "b"))
			first, next, err := e.List(t.Context(), 3, "")
			if err != nil || len(first) != 3 {
				t.Fatalf("%d statuses, %v", len(first), err)
			}
			c.change(e)
			names := []string{first[1].Connection, first[2].Connection}
			for next != "" {
				var page []directory.Status
				if page, next, err = e.List(t.Context(), 3, next); err != nil {
					t.Fatal(err)
				}
				for _, s := range page {
					names = append(names, s.Connection)
				}
			}
			if diff := cmp.Diff(c.want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
