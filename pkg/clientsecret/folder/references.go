package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// referencesFolder is the folder, inside that of the connections, with the files of
// the secrets that connections refer to.
const referencesFolder = "references"

// suffixLength is that of the suffix that Secrets Manager adds to a name in an ARN.
const suffixLength = len("-AbCdEf")

// References reads the secrets that connections refer to: the file
// references/<name> in the folder of the connections is the secret <name>. It allows
// every file there. It is a clientsecret.Loader and safe for concurrent use.
type References struct {
	path string

	mu      sync.Mutex // as in Source
	history *history
}

// NewReferences returns the references of a folder.
func NewReferences(c Config) *References { return &References{path: c.Path, history: newHistory()} }

// Load reads the file of a secret by name or ARN, as [Source.Load] does.
func (r *References) Load(_ context.Context, id string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	name := fileOf(id)
	where := "file " + path.Join(referencesFolder, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return clientsecret.Secret{}, folderError(err)
	}
	defer root.Close()
	text, err := readFile(root, path.Join(referencesFolder, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.history.markMissing(name)
		return clientsecret.Secret{}, fmt.Errorf("%s: %w; create it", where, clientsecret.ErrNotFound)
	case err != nil:
		return clientsecret.Secret{}, fmt.Errorf("%s: %w: %s", where, clientsecret.ErrUnreadable, reason(err))
	}
	found := r.history.record(name, redact.New(string(text)))
	if stage == clientsecret.Previous {
		previous, ok := r.history.previous(name)
		if !ok {
			return clientsecret.Secret{}, fmt.Errorf("%s: %w: no version is %s", where, clientsecret.ErrNotFound, stage)
		}
		found = previous
	}
	s := found.secret(name)
	s.Name, s.Origin = id, where
	return s, nil
}

// Version returns the current version of one secret; it has no VersionID if there is
// none.
func (r *References) Version(ctx context.Context, id string) (clientsecret.Version, error) {
	found, err := r.Load(ctx, id, clientsecret.Current, true)
	if errors.Is(err, clientsecret.ErrNotFound) {
		err = nil
	}
	return clientsecret.Version{Name: id, ARN: found.ARN, VersionID: found.VersionID}, err
}

// fileOf is the name of a secret's file. It stays inside the folder.
func fileOf(id string) string {
	name := clientsecret.SecretNameOf(id)
	if end := len(name) - suffixLength; name != id && end > 0 && name[end] == '-' {
		name = name[:end]
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
