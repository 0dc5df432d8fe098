package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// edit is one place of a source file that a variant has otherwise. What is
// compared with what ships is then what ships, but for that.
type edit struct{ file, from, to string }

var (
	withoutWarmUp = edit{"functions/vend/main.go", "\twarmUp(parts)\n", "\t_ = parts\n"}
	// withSystemRoots trusts the system's roots, as everything does by default, and
	// parses them for the first handshake.
	withSystemRoots = edit{"pkg/config/awsconfig/roots.go", "\tif roots == nil {\n", "\tif false {\n"}
)

// buildVariant builds the vend function with edits that exist for this build only.
func buildVariant(ctx context.Context, folder string, edits ...edit) (string, error) {
	root, err := sourceRoot(ctx)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for a variant: %w", err)
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, e.file)
		if overlay.Replace[path], err = e.write(path, folder); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("write what the variant has otherwise: %w", err)
	}
	bootstrap := filepath.Join(folder, "bootstrap")
	return bootstrap, goBuild(ctx, bootstrap, "functions/vend", append([]string{"-overlay", file}, BootstrapFlags...))
}

// write writes the edited copy of the file at path, and returns where.
func (e edit) write(path, folder string) (string, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read what the variant is made of: %w", err)
	}
	if n := bytes.Count(source, []byte(e.from)); n != 1 {
		return "", fmt.Errorf("%s has %d lines %q, not one: tell the benchmark what it is called now", e.file, n, strings.TrimSpace(e.from))
	}
	copied := filepath.Join(folder, strings.ReplaceAll(e.file, "/", "-"))
	if err := os.WriteFile(copied, bytes.Replace(source, []byte(e.from), []byte(e.to), 1), 0o600); err != nil {
		return "", fmt.Errorf("write what the variant has otherwise: %w", err)
	}
	return copied, nil
}

// sourceRoot is the folder of this module's sources.
func sourceRoot(ctx context.Context) (string, error) {
	said, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", strings.TrimSuffix(module, "/")).Output()
	if err != nil {
		return "", fmt.Errorf("find this module's sources: %w", err)
	}
	return strings.TrimSpace(string(said)), nil
}
