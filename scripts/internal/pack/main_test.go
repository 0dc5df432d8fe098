package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tree has the stack's template and a bootstrap for each function.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	text, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "template.yaml"), text)
	for _, function := range []string{"vend", "connections", "consent", "renew"} {
		write(t, filepath.Join(root, "build", function, "bootstrap"), []byte("program of "+function))
	}
	return root
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLayer(t *testing.T) {
	folder := t.TempDir()
	program, out := filepath.Join(folder, "tokenvend"), filepath.Join(folder, "layer.zip")
	write(t, program, []byte("program"))
	if err := packLayer(program, out); err != nil {
		t.Fatal(err)
	}
	zipped := []byte(read(t, out))
	r, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil || len(r.File) != 1 || r.File[0].Name != "extensions/tokenvend-agent" || r.File[0].Mode() != 0o755 {
		t.Fatalf("not one executable extension: %v", err)
	}
	if packLayer(filepath.Join(folder, "away"), out) == nil {
		t.Error("a program that does not exist is packed")
	}
}

func TestPackage(t *testing.T) {
	root, out := tree(t), t.TempDir()
	if err := pack(root, "x86_64", out); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(out, "template.yaml"))
	if strings.Contains(text, "BuildMethod") || strings.Contains(text, "functions/vend/\n") || !strings.Contains(text, "AllowedValues: [x86_64]") {
		t.Error("AZ-59 the packaged template needs a build, or allows an architecture that it does not have")
	}
	named := regexp.MustCompile(`CodeUri: (\w+)\.zip`).FindAllStringSubmatch(text, -1)
	if len(named) != 4 {
		t.Fatalf("AZ-59 the packaged template names %d zips, want 4", len(named))
	}
	for _, name := range named {
		zipped := []byte(read(t, filepath.Join(out, name[1]+".zip")))
		r, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
		if err != nil || len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode() != 0o755 {
			t.Fatalf("AZ-59 %s.zip is not one executable bootstrap: %v", name[1], err)
		}
		file, err := r.File[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		if program, err := io.ReadAll(file); err != nil || string(program) != "program of "+name[1] {
			t.Errorf("%s.zip holds %q, %v", name[1], program, err)
		}
	}
}

// TestReproducible packs the same functions from two folders, at two times.
func TestReproducible(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, out := range []string{first, second} {
		if err := pack(tree(t), "arm64", out); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"template.yaml", "vend.zip", "connections.zip", "consent.zip", "renew.zip"} {
		if read(t, filepath.Join(first, name)) != read(t, filepath.Join(second, name)) {
			t.Errorf("AZ-59 %s differs between two builds", name)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		arch, template, want string
	}{
		"another architecture": {"riscv64", "", "arm64 and x86_64"},
		"another template":     {"arm64", "Resources: {}\n", "does not have the form"},
		"no bootstrap":         {"arm64", "", "function vend"},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t)
			if c.template != "" {
				write(t, filepath.Join(root, "template.yaml"), []byte(c.template))
			}
			if name == "no bootstrap" {
				if err := os.RemoveAll(filepath.Join(root, "build", "vend")); err != nil {
					t.Fatal(err)
				}
			}
			if err := pack(root, c.arch, t.TempDir()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
