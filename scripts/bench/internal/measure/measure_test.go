package measure_test

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/measure"
)

// TestAll takes every measurement once, on what is built, and judges no time.
func TestAll(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: it builds and runs several programs, which -short leaves out")
	}
	var progress bytes.Buffer
	rows, err := measure.All(t.Context(), measure.Config{Short: true, Renewals: true, Progress: &progress, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 20 {
		t.Errorf("%d rows, want 20", len(rows))
	}
	for _, row := range rows {
		if row.Err != nil || row.What == "" || row.Measured == "" {
			t.Errorf("%q, aim %q: measured %q, error %v", row.What, row.Aim, row.Measured, row.Err)
		}
		// Counts are the same on every machine.
		if strings.HasPrefix(row.What, "table cost") && row.Verdict() != "pass" {
			t.Errorf("%s: %s, aim %s", row.What, row.Measured, row.Aim)
		}
	}
}

func TestCheckVended(t *testing.T) {
	const vended = `{"statusCode":200,"body":"{\"access_token\":\"x\"}"}`
	if err := measure.CheckVended([]byte(vended)); err != nil {
		t.Error(err)
	}
	for name, answer := range map[string]string{
		"an error":     `{"statusCode":503,"body":"{\"access_token\":\"x\"}"}`,
		"no token":     `{"statusCode":200,"body":"{\"error\":\"x\"}"}`,
		"no response":  `"hello, world"`,
		"nothing read": ``,
	} {
		if measure.CheckVended([]byte(answer)) == nil {
			t.Errorf("%s passes for a vend", name)
		}
	}
}

func TestMostlyFromMemory(t *testing.T) {
	for _, tc := range []struct {
		reads, vends int
		fails        bool
	}{{0, 1000, false}, {14, 1000, false}, {15, 1000, true}, {4, 2, false}, {1000, 1000, true}} {
		if err := measure.MostlyFromMemory(tc.reads, tc.vends); (err != nil) != tc.fails {
			t.Errorf("%d reads for %d vends: %v", tc.reads, tc.vends, err)
		}
	}
}

func TestReadTable(t *testing.T) {
	for _, tc := range []struct {
		name    string
		traffic awsstub.Traffic
		fails   bool
	}{
		{"handshake and item", awsstub.Traffic{Reads: 2}, false},
		{"one of them repeated", awsstub.Traffic{Reads: 3}, false},
		{"the item was not read", awsstub.Traffic{Reads: 1}, true},
		{"another request", awsstub.Traffic{Reads: 2, Others: 1}, true},
	} {
		if err := measure.ReadTable(tc.traffic); (err != nil) != tc.fails {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestReadGreeting(t *testing.T) {
	url, err := measure.ReadGreeting(strings.NewReader("CONNECTION\nlistening on http://127.0.0.1:1/v1\nmore"))
	if err != nil || url.Host != "127.0.0.1:1" || url.Path != "/v1" {
		t.Errorf("%v: %v", url, err)
	}
	if url, err := measure.ReadGreeting(strings.NewReader("address in use\n")); err == nil {
		t.Errorf("read %v where there is none", url)
	}
}

func TestZippedSize(t *testing.T) {
	folder := t.TempDir()
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 100_000)
	_, _ = io.ReadFull(random, noise)
	for _, tc := range []struct {
		name        string
		content     []byte
		level       int
		least, most int64
	}{
		{"zeros vanish", make([]byte, 100_000), flate.BestCompression, 100, 1000},
		{"noise stays", noise, flate.BestCompression, 100_000, 101_000},
		{"the level counts", make([]byte, 100_000), flate.NoCompression, 100_000, 101_000},
	} {
		path := filepath.Join(folder, tc.name)
		if err := os.WriteFile(path, tc.content, 0o600); err != nil {
			t.Fatal(err)
		}
		size, err := measure.ZippedSize(path, tc.level)
		if err != nil || size < tc.least || size > tc.most {
			t.Errorf("%s: %d bytes: %v", tc.name, size, err)
		}
	}
	if _, err := measure.ZippedSize(filepath.Join(folder, "absent"), flate.BestCompression); err == nil {
		t.Error("a file that is not there has a size")
	}
}
