package docker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
)

// TestFill checks what the image must have: SAM runs sh, mv and chmod in it, and Go
// looks for certificates in one of two files.
func TestFill(t *testing.T) {
	folder := t.TempDir()
	if err := docker.Fill(folder, []byte("program"), []byte("roots")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bin/busybox": "program", "bin/sh": "program", "bin/mv": "program", "bin/chmod": "program",
		"etc/ssl/certs/ca-certificates.crt": "roots", "etc/pki/tls/certs/ca-bundle.crt": "roots",
	} {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"var/rapid", "var/task", "tmp"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || !info.IsDir() {
			t.Errorf("%s is not a folder: %v", name, err)
		}
	}
}
