package provision_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
)

// tools are a folder of programs that write down how often they ran, and
// fail if told to.
func tools(t *testing.T, names ...string) (folder, calls string) {
	t.Helper()
	folder, calls = t.TempDir(), filepath.Join(t.TempDir(), "calls")
	for _, name := range names {
		script := "#!/bin/sh\necho \"" + name + " $*\" >>" + calls + "\n[ -z \"$FAIL\" ] || { echo out of order; exit 1; }\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder)
	return folder, calls
}

func lines(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func TestJarsAreKept(t *testing.T) {
	_, calls := tools(t, "java", "mvn")
	pins, cache := t.TempDir(), t.TempDir()
	pin := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(pins, "pom.xml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store := provision.New(provision.Config{Pins: pins, Cache: cache, Progress: t.Output()})
	get := func() (string, error) { return store.Jars(t.Context()) }

	pin("version 1")
	t.Setenv("FAIL", "yes")
	if _, err := get(); err == nil || errors.Is(err, provision.ErrMissing) || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("a failing mvn: %v", err)
	}
	t.Setenv("FAIL", "")
	first, err := get()
	if err != nil || lines(t, calls) != 2 {
		t.Errorf("what was not finished is not fetched again: %v, %d calls", err, lines(t, calls))
	}
	if again, err := get(); err != nil || again != first || lines(t, calls) != 2 {
		t.Errorf("what was finished is fetched again: %v, %d calls", err, lines(t, calls))
	}
	pin("version 2")
	if other, err := get(); err != nil || other == first || lines(t, calls) != 3 {
		t.Errorf("another version is not fetched: %v, %d calls", err, lines(t, calls))
	}
}

func TestMissing(t *testing.T) {
	tools(t)
	store := provision.New(provision.Config{Pins: "../../../engines", Cache: t.TempDir(), Progress: t.Output()})
	_, errJava := store.Jars(t.Context())
	_, errPython := store.Python(t.Context())
	for _, err := range []error{errJava, errPython} {
		if !errors.Is(err, provision.ErrMissing) || !strings.Contains(err.Error(), "apt-get install") {
			t.Errorf("got %v, want how to get it", err)
		}
	}
}
