// Package sourcetest is the conformance suite of sources of secrets. The tests of
// each source run it, so that the folder of a local run behaves like Secrets
// Manager.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

// Source is what is under test.
type Source interface {
	clientsecret.Loader
	List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error)
	Versions(ctx context.Context, limit int, next string) ([]clientsecret.Version, string, error)
}

// Operator changes what the source reads, as an operator would.
type Operator interface {
	// Put creates the secret, or gives it a new version.
	Put(t *testing.T, name, text string)
	// PutBinary gives it a new version that is not text, or creates it with one.
	PutBinary(t *testing.T, name string)
	// Delete removes the secret at once.
	Delete(t *testing.T, name string)
}

// Scheduler is an [Operator] of a source whose secrets can be scheduled for
// deletion. A folder's cannot.
type Scheduler interface {
	ScheduleDeletion(t *testing.T, name string)
	Restore(t *testing.T, name string)
}

// Run runs the suite. fresh returns an empty source.
func Run(t *testing.T, fresh func(t *testing.T) (Source, Operator)) {
	tests := []struct {
		name string
		run  func(*testing.T, Source, Operator)
	}{
		{"a secret unchanged", unchanged},
		{"CR-20 the previous version", previousVersion},
		{"CR-38 a secret created again is another secret", createdAgain},
		{"AZ-43 invalid names are refused", namesRefused},
		{"missing secret", missing},
		{"FI-35 BI-60 a binary secret has no text", binary},
		{"FI-35 a secret scheduled for deletion has no text", scheduledForDeletion},
		{"listing in pages", pages},
		{"BI-55 a wrong name is listed beside the right ones", wrongNames},
		{"CR-21 versions show a change", versions},
		{"bad cursor", badCursor},
		{"limit below one", badLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source, operator := fresh(t)
			test.run(t, source, operator)
		})
	}
}

func unchanged(t *testing.T, s Source, o Operator) {
	text := " {\"client_secret\":\"a\\u0000é+%&\"}\n"
	o.Put(t, "crm", text)
	got := load(t, s, "crm", clientsecret.Current)
	if got.Text.Reveal() != text || got.Name != "crm" || got.ARN == "" || got.VersionID == "" {
		t.Errorf("got name %q, ARN %q, version %q, and the text as put: %t",
			got.Name, got.ARN, got.VersionID, got.Text.Reveal() == text)
	}
	if !strings.Contains(got.Origin, "crm") || strings.Contains(got.Origin, "arn:") {
		t.Errorf("the origin %q does not tell an operator where the secret is", got.Origin)
	}
}

func previousVersion(t *testing.T, s Source, o Operator) {
	o.Put(t, "crm", `{"v":1}`)
	first := load(t, s, "crm", clientsecret.Current)
	if _, err := s.Load(t.Context(), "crm", clientsecret.Previous, true); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("the previous version of an unchanged secret: %v", err)
	}
	o.Put(t, "crm", `{"v":2}`)
	second := load(t, s, "crm", clientsecret.Current)
	if second.Text.Reveal() != `{"v":2}` || second.VersionID == first.VersionID || second.ARN != first.ARN {
		t.Errorf("after a change: version %q then %q, ARN %q then %q",
			first.VersionID, second.VersionID, first.ARN, second.ARN)
	}
	equal(t, load(t, s, "crm", clientsecret.Previous), first)
}

func createdAgain(t *testing.T, s Source, o Operator) {
	o.Put(t, "crm", `{"v":1}`)
	before := load(t, s, "crm", clientsecret.Current)
	o.Delete(t, "crm")
	if _, err := s.Load(t.Context(), "crm", clientsecret.Current, true); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("a deleted secret: %v", err)
	}
	o.Put(t, "crm", `{"v":1}`)
	after := load(t, s, "crm", clientsecret.Current)
	if after.ARN == before.ARN {
		t.Errorf("a secret created again has the ARN of the deleted one, %q", after.ARN)
	}
	if _, err := s.Load(t.Context(), "crm", clientsecret.Previous, true); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("a secret created again inherits a previous version: %v", err)
	}
}

func namesRefused(t *testing.T, s Source, o Operator) {
	o.Put(t, "a.b", `{}`)
	for _, name := range []string{"", "a.b", "../crm", "a/b", "CRM", "a b", "a\x00", "é", strings.Repeat("a", 65)} {
		if _, err := s.Load(t.Context(), name, clientsecret.Current, true); !errors.Is(err, clientsecret.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func missing(t *testing.T, s Source, _ Operator) {
	for _, stage := range []clientsecret.Stage{clientsecret.Current, clientsecret.Previous} {
		_, err := s.Load(t.Context(), "absent", stage, false)
		if !errors.Is(err, clientsecret.ErrNotFound) {
			t.Errorf("%s: %v", stage, err)
		}
	}
}

func binary(t *testing.T, s Source, o Operator) {
	o.Put(t, "crm", `{}`)
	before := allVersions(t, s)["crm"]
	o.PutBinary(t, "crm")
	withoutText(t, s, before)
	o.Put(t, "crm", `{}`)
	load(t, s, "crm", clientsecret.Current)
}

func scheduledForDeletion(t *testing.T, s Source, o Operator) {
	scheduler, ok := o.(Scheduler)
	if !ok {
		t.Skip("this source schedules no deletion")
	}
	o.Put(t, "crm", `{}`)
	before := allVersions(t, s)["crm"]
	scheduler.ScheduleDeletion(t, "crm")
	withoutText(t, s, before)
	scheduler.Restore(t, "crm")
	if after := allVersions(t, s)["crm"]; after != before {
		t.Errorf("restored as %+v, was %+v", after, before)
	}
	load(t, s, "crm", clientsecret.Current)
}

// withoutText expects that the secret crm is listed and has no text, and that its
// version, another than before, is the same wherever it is read.
func withoutText(t *testing.T, s Source, before clientsecret.Version) {
	t.Helper()
	loaded, err := s.Load(t.Context(), "crm", clientsecret.Current, true)
	if !errors.Is(err, clientsecret.ErrNoText) || !errors.Is(err, clientsecret.ErrUnreadable) || !loaded.Text.IsZero() {
		t.Errorf("loaded: %v", err)
	}
	entries := listAll(t, s, 10)
	if len(entries) != 1 || entries[0].Name != "crm" || !errors.Is(entries[0].Err, clientsecret.ErrNoText) {
		t.Errorf("listed: %+v", entries)
	}
	listed := allVersions(t, s)["crm"]
	if listed.VersionID != loaded.VersionID || listed.VersionID == before.VersionID {
		t.Errorf("version %q is listed, %q loaded, %q was current before", listed.VersionID, loaded.VersionID, before.VersionID)
	}
}

func pages(t *testing.T, s Source, o Operator) {
	want := map[string]string{}
	for i := range 23 {
		name := fmt.Sprintf("c%02d", i)
		want[name] = fmt.Sprintf(`{"n":%d}`, i)
		o.Put(t, name, want[name])
	}
	for _, limit := range []int{1, 7, 23, 100} {
		got := map[string]string{}
		for _, entry := range listAll(t, s, limit) {
			if _, twice := got[entry.Name]; twice || entry.Err != nil {
				t.Errorf("limit %d: %q is listed twice (%t) or with an error: %v", limit, entry.Name, twice, entry.Err)
			}
			got[entry.Name] = entry.Text.Reveal()
			equal(t, entry.Secret, load(t, s, entry.Name, clientsecret.Current))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: listed (-want +got):\n%s", limit, diff)
		}
	}
}

func wrongNames(t *testing.T, s Source, o Operator) {
	for _, name := range []string{"good", "Wrong_Name", "a.b"} {
		o.Put(t, name, `{}`)
	}
	got := map[string]bool{}
	for _, entry := range listAll(t, s, 10) {
		got[entry.Name] = entry.Err == nil && entry.Text.Reveal() == `{}`
		if entry.Err != nil && !errors.Is(entry.Err, clientsecret.ErrUnreadable) {
			t.Errorf("%q: the error is of no known kind: %v", entry.Name, entry.Err)
		}
	}
	want := map[string]bool{"good": true, "Wrong_Name": true, "a.b": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listed, and with its text (-want +got):\n%s", diff)
	}
}

func badCursor(t *testing.T, s Source, o Operator) {
	for i := range 3 {
		o.Put(t, fmt.Sprintf("c%d", i), `{}`)
	}
	_, next, err := s.List(t.Context(), 1, "")
	if err != nil || next == "" {
		t.Fatalf("first page: next %q, %v", next, err)
	}
	flipped := string(next[0]^1) + next[1:]
	for _, bad := range []string{"x", next[1:], next + "A", next + "\n", flipped, "!" + next} {
		if _, _, err := s.List(t.Context(), 1, bad); !errors.Is(err, clientsecret.ErrBadCursor) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// versions: the listing without texts agrees with Load, and changes with each new
// version.
func versions(t *testing.T, s Source, o Operator) {
	for i := range 3 {
		o.Put(t, fmt.Sprintf("crm-%d", i), "{}")
	}
	before := allVersions(t, s)
	o.Put(t, "crm-1", `{"changed":true}`)
	after := allVersions(t, s)
	for i := range 3 {
		name := fmt.Sprintf("crm-%d", i)
		loaded := load(t, s, name, clientsecret.Current)
		if v := after[name]; v.VersionID != loaded.VersionID || v.ARN != loaded.ARN {
			t.Errorf("%s is listed as %+v, loaded as version %s", name, v, loaded.VersionID)
		}
		if changed := before[name] != after[name]; changed != (i == 1) {
			t.Errorf("%s: version changed: %v", name, changed)
		}
	}
	if _, _, err := s.Versions(t.Context(), 1, "unknown"); !errors.Is(err, clientsecret.ErrBadCursor) {
		t.Errorf("an unknown cursor: %v", err)
	}
}

func allVersions(t *testing.T, s Source) map[string]clientsecret.Version {
	t.Helper()
	found := map[string]clientsecret.Version{}
	next := ""
	for range 10 {
		page, more, err := s.Versions(t.Context(), 2, next)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page {
			found[v.Name] = v
		}
		if next = more; next == "" {
			return found
		}
	}
	t.Fatal("the listing does not end")
	return nil
}

func badLimit(t *testing.T, s Source, _ Operator) {
	if _, _, err := s.List(t.Context(), 0, ""); err == nil {
		t.Error("a limit of 0 lists something")
	}
}

func load(t *testing.T, s Source, name string, stage clientsecret.Stage) clientsecret.Secret {
	t.Helper()
	secret, err := s.Load(t.Context(), name, stage, true)
	if err != nil {
		t.Fatalf("load %s of %s: %v", stage, name, err)
	}
	return secret
}

func listAll(t *testing.T, s Source, limit int) []clientsecret.Entry {
	t.Helper()
	var all []clientsecret.Entry
	for next := ""; ; {
		page, cursor, err := s.List(t.Context(), limit, next)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d for a limit of %d", len(page), limit)
		}
		all = append(all, page...)
		if next = cursor; next == "" {
			return all
		}
	}
}

// equal compares secrets, texts included, without printing them.
func equal(t *testing.T, got, want clientsecret.Secret) {
	t.Helper()
	if got != want {
		t.Errorf("%s: name, ARN, version, text or origin differ: version %q, want %q", got.Name, got.VersionID, want.VersionID)
	}
}
