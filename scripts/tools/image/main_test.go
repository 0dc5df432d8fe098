package main

import (
	"archive/tar"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestImage(t *testing.T) {
	folder := t.TempDir()
	program, out, again := filepath.Join(folder, "tokenvend"), filepath.Join(folder, "image.tar"), filepath.Join(folder, "again.tar")
	if err := os.WriteFile(program, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{out, again} {
		if err := write(program, "amd64", path); err != nil {
			t.Fatal(err)
		}
	}
	first, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(again); err != nil || string(first) != string(second) {
		t.Errorf("two images of one program differ: %v", err)
	}
	image, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	described, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if described.Config.User != "65532:65532" || described.Architecture != "amd64" || described.OS != "linux" || !cmp.Equal(described.Config.Entrypoint, []string{"/tokenvend-agent"}) {
		t.Errorf("config %+v", described)
	}
	files := map[string][]byte{}
	content := mutate.Extract(image)
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if header.Name == programPath && header.Mode != 0o755 {
			t.Errorf("the program has mode %o", header.Mode)
		}
	}
	if len(files) != 3 || string(files[programPath]) != "program" {
		t.Errorf("%d files", len(files))
	}
	if roots := x509.NewCertPool(); !roots.AppendCertsFromPEM(files[certificatesPath]) {
		t.Error("there are no certificates")
	}
	if err := write(filepath.Join(folder, "away"), "amd64", out); err == nil {
		t.Error("a program that does not exist is packed")
	}
}
