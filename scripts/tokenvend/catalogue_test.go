package main_test

import (
	"bufio"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// TestCatalogueEntry_OC73 adds a connection to an entry of the catalogue, and has the
// resource accept its token, with the command alone.
func TestCatalogueEntry_OC73(t *testing.T) {
	s := sandbox.New(sandbox.Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	s.SetBaseURL(server.URL)
	if err := s.Play("shopify"); err != nil {
		t.Fatal(err)
	}
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "shop.json")
	if err := os.WriteFile(file, s.Connections()["shopify"], 0o600); err != nil {
		t.Fatal(err)
	}
	add := exec.CommandContext(t.Context(), program, "connections", "add", "--yes", "--try", "--dir", folder, "--file", file, "shop")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dev := exec.CommandContext(t.Context(), program, "dev")
	dev.Env = []string{"TOKENVEND_ADDR=127.0.0.1:0", "TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TOKENVEND_CONSOLE_ADDR=127.0.0.1:0", "TOKENVEND_CONNECTIONS=" + folder}
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dev.Process.Kill(); _ = dev.Wait() }()
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		if after, found := strings.CutPrefix(lines.Text(), "listening on "); found {
			url = after
		}
	}
	at, err := s.Resource("shopify")
	if err != nil {
		t.Fatal(err)
	}
	call := exec.CommandContext(t.Context(), program, "call", "--url", url, "shop", at)
	if out, err := call.CombinedOutput(); err != nil || !strings.Contains(string(out), `"connection": "shopify"`) {
		t.Errorf("%v: %s", err, out)
	}
}
