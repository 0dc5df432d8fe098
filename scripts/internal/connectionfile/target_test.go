package connectionfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/connectionfile"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// TestFolderConflict changes the file between the read and the write.
func TestFolderConflict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crm.json")
	for _, c := range []struct {
		name, before string
		want         error
	}{
		{"the file was created", "", os.ErrExist},
		{"the file was changed", "before", secretwriter.ErrChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_ = os.Remove(path)
			if c.before != "" {
				write(t, path, c.before)
			}
			stored, err := connectionfile.Folder{Path: filepath.Dir(path)}.Read(t.Context(), "crm")
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, "theirs")
			if err := stored.Put(t.Context(), redact.New("ours")); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "theirs" {
				t.Errorf("the file holds %q, %v", text, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
