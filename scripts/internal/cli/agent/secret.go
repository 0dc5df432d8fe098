package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// minSecret is the shortest secret that is accepted, in characters.
const minSecret = 16

// ErrShort says that a secret could be guessed.
var ErrShort = fmt.Errorf("the agent's token must have at least %d characters, such as those of: openssl rand -hex 32", minSecret)

// FromText checks a secret that is given.
func FromText(text string) (redact.Secret, error) {
	if text = strings.TrimSpace(text); len(text) < minSecret {
		return redact.Secret{}, ErrShort
	}
	return redact.New(text), nil
}

// FromFile reads the secret in a file. If there is no such file, it makes one that only
// this user can read.
func FromFile(path string) (redact.Secret, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		secret, err := FromText(string(text))
		if err != nil {
			return redact.Secret{}, fmt.Errorf("%s: %w", path, err)
		}
		return secret, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return redact.Secret{}, fmt.Errorf("read the agent's token: %w", err)
	}
	made := rand.Text() + rand.Text()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("make a file for the agent's token: %w", err)
	}
	_, err = file.WriteString(made + "\n")
	return redact.New(made), errors.Join(err, file.Close())
}

// Make makes a secret in a new folder that only this user can read, and returns the
// file's path and a function that removes both.
func Make() (secret redact.Secret, path string, remove func(), err error) {
	folder, err := os.MkdirTemp("", "tokenvend-agent-") // mode 0700
	if err != nil {
		return secret, "", nil, fmt.Errorf("make a folder for the agent's token: %w", err)
	}
	path = filepath.Join(folder, "token")
	secret, err = FromFile(path)
	return secret, path, func() { _ = os.RemoveAll(folder) }, err
}
