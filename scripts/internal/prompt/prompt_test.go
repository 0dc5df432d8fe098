package prompt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		name, in string
		yes      bool
		want     error
	}{
		{"yes", " YES \n", false, nil},
		{"no", "no\n", false, prompt.ErrDeclined},
		{"no answer", "", false, prompt.ErrDeclined},
		{"--yes", "no\n", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			p := prompt.New(strings.NewReader(c.in), &out, c.yes)
			if err := p.Confirm(t.Context(), "Go on?"); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if !strings.HasPrefix(out.String(), "Go on? [y/N] ") {
				t.Errorf("asked %q", out.String())
			}
		})
	}
}

func TestConfirmName(t *testing.T) {
	p := prompt.New(strings.NewReader("y\ntokens\n"), io.Discard, false)
	if err := p.ConfirmName(t.Context(), "", "tokens"); !errors.Is(err, prompt.ErrDeclined) {
		t.Errorf("a plain yes confirms: %v", err)
	}
	if err := p.ConfirmName(t.Context(), "", "tokens"); err != nil {
		t.Error(err)
	}
}

// TestInterrupt cancels while the operator is being asked.
func TestInterrupt(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := prompt.New(reader, io.Discard, false)
	if err := p.Confirm(ctx, "Go on?"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := p.Ask(ctx, "code"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestProgressOnlyOnTerminals(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := prompt.NewProgress(file)
	p.Show("%d items", 1)
	p.Done()
	if info, err := file.Stat(); err != nil || info.Size() > 0 {
		t.Errorf("%d bytes in a log file, %v", info.Size(), err)
	}
}
