package connectionfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// Target is where a connection is declared.
type Target interface {
	// Read returns what the target holds under a secret's name.
	Read(ctx context.Context, name string) (Stored, error)
}

// Stored is what a target holds under one name, and how to change it.
type Stored struct {
	// Text is nil when the name does not exist.
	Text *redact.Secret
	// Where names it for the operator.
	Where string
	// Put writes another text. It fails when Text is no longer current.
	Put func(ctx context.Context, text redact.Secret) error
	// Delete deletes the whole text. Afterwards says how long that can be undone.
	Delete     func(ctx context.Context) error
	Afterwards string
}

// SecretsManager is the secrets of a deployment.
type SecretsManager struct {
	Editor secretwriter.Editor
	// Prefix is the deployment's secret prefix.
	Prefix string
	// KeyARN is the KMS key for new secrets; empty means the AWS managed key.
	KeyARN string
}

// Read returns the secret of that name.
func (s SecretsManager) Read(ctx context.Context, name string) (Stored, error) {
	stored := Stored{Where: "the secret " + s.Prefix + name}
	now, err := s.Editor.Read(ctx, s.Prefix+name)
	switch {
	case errors.Is(err, secretwriter.ErrNotFound):
		stored.Put = func(ctx context.Context, text redact.Secret) error {
			return s.Editor.Create(ctx, secretwriter.Creation{Name: s.Prefix + name, Text: text, KeyARN: s.KeyARN,
				Description: "a connection of tokenvend, or a bundle of them"})
		}
		return stored, nil
	case err != nil:
		return Stored{}, fmt.Errorf("%s: %w", stored.Where, err)
	}
	stored.Text = &now.Text
	stored.Put = func(ctx context.Context, text redact.Secret) error {
		return s.Editor.Replace(ctx, now, text)
	}
	stored.Delete = func(ctx context.Context) error {
		_, err := s.Editor.Delete(ctx, now.ARN)
		return err
	}
	stored.Afterwards = "it can be restored for 30 days"
	return stored, nil
}

// Folder is a folder of connection files.
type Folder struct{ Path string }

// Read returns the file of that name.
func (f Folder) Read(_ context.Context, name string) (Stored, error) {
	path := filepath.Join(f.Path, name+".json")
	stored := Stored{Where: "the file " + path}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		stored.Put = func(_ context.Context, text redact.Secret) error { return create(path, text) }
		return stored, nil
	case err != nil:
		return Stored{}, err
	}
	now := redact.New(string(text))
	stored.Text = &now
	stored.Put = func(_ context.Context, text redact.Secret) error { return replace(path, now, text) }
	stored.Delete, stored.Afterwards = func(context.Context) error { return os.Remove(path) }, "it cannot be restored"
	return stored, nil
}

// mode keeps other users of the machine from reading client secrets.
const mode = 0o600

// create writes a file atomically and never overwrites another.
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
	defer os.Remove(draft) // no longer there after the rename
	if now, err := os.ReadFile(path); err != nil || string(now) != before.Reveal() {
		return secretwriter.ErrChanged
	}
	return os.Rename(draft, path)
}

// write writes a hidden file next to path, which no source of secrets reads, and
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
