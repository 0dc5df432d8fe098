package readme_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/tools/readme"
)

// service replaces make run: it prints that it listens, and on Ctrl-C exits with the
// status in the shell variable ending.
const service = `make() {
	trap 'echo ended >ended; exit '"$ending" INT
	echo starting
	echo listening on http://127.0.0.1:1/v1
	while :; do read -r _ <fifo || :; done
}
mkfifo fifo
make run
`

func newRunner(t *testing.T) *readme.Runner {
	t.Helper()
	r := &readme.Runner{Folder: t.TempDir(), Env: append(os.Environ(), "ending=0")}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		block readme.Block
		want  string
	}{
		"succeeds":            {readme.Block{Script: "true\n"}, ""},
		"prints":              {readme.Block{Script: "echo one; echo two >&2\n", Prints: []string{"one", "t…"}}, ""},
		"prints other things": {readme.Block{Script: "echo one\n", Prints: []string{"two"}}, "does not print the line\n\ttwo"},
		"fails":               {readme.Block{Script: "echo why\nexit 3\n"}, "exit status 3, printing\nwhy"},
		"fails half-way":      {readme.Block{Script: "false\necho on\n"}, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := newRunner(t).Run(t.Context(), c.block)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestService(t *testing.T) {
	r := newRunner(t)
	block := readme.Block{Script: service, Prints: []string{"starting", "listening on …"}}
	if err := r.Run(t.Context(), block); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context(), readme.Block{Script: "test ! -e ended\n"}); err != nil {
		t.Errorf("it does not run during the next script: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.Folder, "ended")); err != nil {
		t.Errorf("Ctrl-C did not end it: %v", err)
	}
}

func TestServiceGoesWrong(t *testing.T) {
	t.Run("ends at once", func(t *testing.T) {
		err := newRunner(t).Run(t.Context(), readme.Block{Script: "make() { echo port taken; return 1; }\nmake run\n"})
		if err == nil || !strings.Contains(err.Error(), "ended before it was ready: exit status 1, printing\nport taken") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("ends badly", func(t *testing.T) {
		r := newRunner(t)
		r.Env = append(r.Env, "ending=4")
		if err := r.Run(t.Context(), readme.Block{Script: service}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "failed when it ended: exit status 4") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(".gitignore", "/build/\n", 0o644)
	write("build/left", "out", 0o644)
	write("scripts/a b.sh", "kept", 0o755)
	git := exec.CommandContext(t.Context(), "git", "init", "-q")
	git.Dir = from
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := readme.Copy(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, strings.TrimPrefix(path, to+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".gitignore", "scripts/a b.sh"}, got); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
	if found, err := os.Stat(filepath.Join(to, "scripts/a b.sh")); err != nil || found.Mode().Perm() != 0o755 {
		t.Errorf("mode %v (%v), want 0755", found.Mode(), err)
	}
}
