// Package place keeps what is declared: in Secrets Manager for a deployment, in
// a folder for the local run.
package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// Held is what a place holds under one name now, and how to change that.
type Held struct {
	// Text is nil when there is nothing of that name.
	Text *redact.Secret
	// Where names it for a person.
	Where string
	// Put makes it hold another text, and returns its ARN, where it has one. It
	// refuses if Text is no longer what is held.
	Put func(ctx context.Context, text redact.Secret) (arn string, err error)
}

// Account is Secrets Manager under the deployment's prefix.
type Account struct {
	Editor secretwriter.Editor
	Prefix string
	// KeyARN is the KMS key of the stack; empty is AWS's own.
	KeyARN string
}

// Read returns what is held under a name.
func (a Account) Read(ctx context.Context, name string) (Held, error) {
	held := Held{Where: "the secret " + a.Prefix + name}
	now, err := a.Editor.Read(ctx, a.Prefix+name)
	switch {
	case errors.Is(err, secretwriter.ErrNotFound):
		held.Put = func(ctx context.Context, text redact.Secret) (string, error) {
			return a.Editor.Create(ctx, secretwriter.Creation{Name: a.Prefix + name, Text: text, KeyARN: a.KeyARN,
				Description: "a connection of tokenvend, or a bundle of them"})
		}
		return held, nil
	case err != nil:
		return Held{}, fmt.Errorf("%s: %w", held.Where, err)
	}
	held.Text = &now.Text
	held.Put = func(ctx context.Context, text redact.Secret) (string, error) {
		return now.ARN, a.Editor.Replace(ctx, now, text)
	}
	return held, nil
}

// Folder is a folder of connection files.
type Folder struct{ Path string }

// Read returns what the file of a name holds.
func (f Folder) Read(_ context.Context, name string) (Held, error) {
	path := filepath.Join(f.Path, name+".json")
	held := Held{Where: "the file " + path}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		held.Put = func(_ context.Context, text redact.Secret) (string, error) { return "", create(path, text) }
		return held, nil
	case err != nil:
		return Held{}, err
	}
	now := redact.New(string(text))
	held.Text = &now
	held.Put = func(_ context.Context, text redact.Secret) (string, error) { return "", replace(path, now, text) }
	return held, nil
}

// mode keeps other users of the machine from reading client secrets.
const mode = 0o600

// create writes a file whole or not at all, and never over another.
func create(path string, text redact.Secret) error {
	draft, err := write(path, text)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	return os.Link(draft, path)
}

func replace(path string, before, text redact.Secret) error {
	draft, err := write(path, text)
	if err != nil {
		return err
	}
	defer os.Remove(draft) // which is gone after the rename
	if now, err := os.ReadFile(path); err != nil || string(now) != before.Reveal() {
		return secretwriter.ErrChanged
	}
	return os.Rename(draft, path)
}

// write writes a hidden file beside path, which no source of secrets reads, and
// returns its name.
func write(path string, text redact.Secret) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".*.draft")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(text.Reveal())
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}
