package docker_test

import (
	"archive/tar"
	"errors"
	"io"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/docker"
)

// TestTree reads the archive back: SAM runs sh, mv and chmod in the image, and
// Go looks for certificates in one of two places.
func TestTree(t *testing.T) {
	archive, err := docker.Tree([]byte("program"), []byte("roots"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for entries := tar.NewReader(archive); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = h.Linkname + string(content)
	}
	for name, want := range map[string]string{
		"bin/busybox": "program", "bin/sh": "busybox", "bin/mv": "busybox", "bin/chmod": "busybox",
		"etc/ssl/certs/ca-certificates.crt": "roots", "etc/pki/tls/certs/ca-bundle.crt": "roots", "var/rapid/": "", "var/task/": "", "tmp/": "",
	} {
		if got, there := found[name]; !there || got != want {
			t.Errorf("%s holds %q (there: %t), want %q", name, got, there, want)
		}
	}
}
