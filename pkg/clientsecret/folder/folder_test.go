package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/sourcetest"
)

// dir is an operator with a folder.
type dir string

func (d dir) Put(t *testing.T, name, text string) { d.write(t, name+".json", text) }

func (d dir) Delete(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(d), name+".json")); err != nil {
		t.Fatal(err)
	}
}

// PutBinary writes what is not UTF-8, and so no text.
func (d dir) PutBinary(t *testing.T, name string) {
	t.Helper()
	d.write(t, name+".json", "\x00\xff")
}

func (d dir) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(d), file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d dir) link(t *testing.T, target, file string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(string(d), file)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T) (*folder.Source, dir) {
	path := t.TempDir()
	return folder.New(folder.Config{Path: path}), dir(path)
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) (sourcetest.Source, sourcetest.Operator) {
		source, operator := open(t)
		return source, operator
	})
}

func TestLoadUnreadable(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*testing.T, dir)
		says    string
	}{
		{"BI-40 far larger than 64 KiB", func(t *testing.T, d dir) {
			d.Put(t, "crm", strings.Repeat("x", 1<<20))
		}, "65536 bytes"},
		{"a folder of that name", func(t *testing.T, d dir) {
			if err := os.Mkdir(filepath.Join(string(d), "crm.json"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"AZ-43 a link that leads out", func(t *testing.T, d dir) {
			outside := dir(t.TempDir())
			outside.Put(t, "crm", `{}`)
			d.link(t, filepath.Join(string(outside), "crm.json"), "crm.json")
		}, "inside the folder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source, d := open(t)
			test.prepare(t, d)
			_, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
			if !errors.Is(err, clientsecret.ErrUnreadable) || !strings.Contains(err.Error(), test.says) ||
				!strings.HasPrefix(err.Error(), "file crm.json: ") || strings.Contains(err.Error(), string(d)) {
				t.Errorf("got %v, want it to say %q", err, test.says)
			}
		})
	}
}

func TestLoadFollowsLinkInside(t *testing.T) {
	source, d := open(t)
	d.write(t, "mounted", `{"v":1}`)
	d.link(t, "mounted", "crm.json")
	secret, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
	if err != nil || secret.Text.Reveal() != `{"v":1}` {
		t.Errorf("got %v", err)
	}
}

func TestLoadSlightlyTooLargeIsLeftToTheParser(t *testing.T) {
	source, d := open(t)
	d.Put(t, "crm", strings.Repeat("x", 64<<10+1))
	if _, err := source.Load(t.Context(), "crm", clientsecret.Current, false); err != nil {
		t.Error(err)
	}
}

func TestMissingFolder(t *testing.T) {
	source := folder.New(folder.Config{Path: filepath.Join(t.TempDir(), "absent")})
	_, loadErr := source.Load(t.Context(), "crm", clientsecret.Current, false)
	_, _, listErr := source.List(t.Context(), 1, "")
	for _, err := range []error{loadErr, listErr} {
		if !errors.Is(err, clientsecret.ErrUnreadable) || strings.Contains(err.Error(), os.TempDir()) {
			t.Errorf("got %v", err)
		}
	}
}

func TestPreviousIsTheTextBeforeTheLastChange(t *testing.T) {
	source, d := open(t)
	for _, text := range []string{"one", "two", "two", "three"} {
		d.Put(t, "crm", text)
		if _, err := source.Load(t.Context(), "crm", clientsecret.Current, false); err != nil {
			t.Fatal(err)
		}
	}
	previous, err := source.Load(t.Context(), "crm", clientsecret.Previous, false)
	if err != nil || previous.Text.Reveal() != "two" {
		t.Errorf("the previous text is not the second: %v", err)
	}
	d.Delete(t, "crm")
	if _, err := source.Load(t.Context(), "crm", clientsecret.Previous, false); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("a deleted file still has a previous version: %v", err)
	}
}

func TestBI66OtherStagesAreNeverRead(t *testing.T) {
	source, d := open(t)
	for _, text := range []string{"one", "two"} {
		d.Put(t, "crm", text)
		if _, err := source.Load(t.Context(), "crm", clientsecret.Current, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source.Load(t.Context(), "crm", "AWSPENDING", false); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestListNoticesWhatIsGone(t *testing.T) {
	source, d := open(t)
	d.Put(t, "crm", `{}`)
	before, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
	if err != nil {
		t.Fatal(err)
	}
	d.Delete(t, "crm")
	if _, _, err := source.List(t.Context(), 10, ""); err != nil {
		t.Fatal(err)
	}
	d.Put(t, "crm", `{}`)
	after, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
	if err != nil || after.ARN != "arn:tokenvend:file:crm#2" || before.ARN != "arn:tokenvend:file:crm#1" {
		t.Errorf("ARN %q, then %q (%v)", before.ARN, after.ARN, err)
	}
}

func TestListShowsFilesAndTheirErrors(t *testing.T) {
	source, d := open(t)
	for _, file := range []string{"b.json", "a.json", "a.b.json", "crm.json~", "#crm.json#", ".#crm.json", ".json", "README.md", "x.json.bak"} {
		d.write(t, file, `{}`)
	}
	d.Put(t, "huge", strings.Repeat("x", 1<<20))
	entries, next, err := source.List(t.Context(), 10, "")
	if err != nil || next != "" {
		t.Fatalf("next %q, %v", next, err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Origin)
		if entry.Err != nil {
			got = append(got, entry.Err.Error())
		}
	}
	want := []string{
		"file a.json",
		"file a.b.json",
		`file a.b.json: secret unreadable: a dotted name is member "b" of the bundle "a"; move it there, or rename it without the dot`,
		"file b.json",
		"file huge.json",
		"file huge.json: secret unreadable: it is larger than the maximum size of a secret, 65536 bytes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	source, d := open(t)
	d.Put(t, "crm", "0")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				_, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
				_, _, listErr := source.List(t.Context(), 1, "")
				if err != nil || listErr != nil {
					t.Errorf("%v, %v", err, listErr)
				}
			}
		})
	}
	wait.Wait()
}
