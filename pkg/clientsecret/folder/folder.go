// Package folder reads connections from files: <name>.json in one folder is what
// the secret <SECRET_PREFIX><name> is in Secrets Manager. The local run and tests
// use it.
//
// It imitates Secrets Manager where it matters: an edited file is a new version at
// once, the text before the edit is AWSPREVIOUS, and a file that is deleted and
// created again is another secret. It knows only the edits that this process has
// seen, and writes nothing.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/internal/cursor"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	suffix = ".json"
	// cursorScope distinguishes the cursors of this source from those of others.
	cursorScope = "folder"
)

// Config configures a [Source].
type Config struct {
	// Path is the folder. Each call opens it again, so that a folder that is replaced
	// as a whole (a checkout, a mounted volume) is noticed. Required.
	Path string
}

// Source reads secrets from a folder. It is safe for concurrent use.
type Source struct {
	path string

	// mu is held while a file is read and recorded: two reads that overlap an edit
	// would otherwise record it in the wrong order.
	mu      sync.Mutex
	history *history
}

// New returns a source; the folder is not opened before the first call.
func New(c Config) *Source {
	return &Source{path: c.Path, history: newHistory()}
}

// Load reads the file of the named secret. It ignores fresh, because nothing is
// cached here. The previous stage is the text before the last change that this
// process has seen. Errors are of the kinds of clientsecret and name the file.
func (s *Source) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if err := clientsecret.CheckName(name); err != nil {
		return clientsecret.Secret{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	root, err := s.open()
	if err != nil {
		return clientsecret.Secret{}, err
	}
	defer root.Close()
	secret, err := s.read(root, name)
	if err != nil || stage == clientsecret.Current {
		return secret, err
	}
	if previous, ok := s.history.previous(name); ok && stage == clientsecret.Previous {
		return previous.secret(name), nil
	}
	return clientsecret.Secret{}, fmt.Errorf("%s: %w: no version is %s", origin(name), clientsecret.ErrNotFound, stage)
}

// List returns up to limit (≥ 1) secrets in the order of their names, and the
// cursor of the next page, empty on the last one. It lists every *.json file that
// is not hidden, also those with a name that is not valid for a connection. Errors
// are clientsecret.ErrBadCursor, and ErrUnreadable when the folder cannot be read;
// the error of one file is in its entry.
func (s *Source) List(_ context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("list secrets: the limit %d is below 1", limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.after(next)
	if err != nil {
		return nil, "", err
	}
	root, err := s.open()
	if err != nil {
		return nil, "", err
	}
	defer root.Close()
	page := names[:min(limit, len(names))]
	entries := make([]clientsecret.Entry, 0, len(page))
	for _, name := range page {
		entries = append(entries, s.entry(root, name))
	}
	if len(page) == len(names) {
		return entries, "", nil
	}
	return entries, cursor.Encode(cursorScope, page[len(page)-1]), nil
}

// Versions returns up to limit (≥ 1) secrets with the id of their current
// version, and the cursor of the next page, in the order and with the errors of
// [Source.List].
func (s *Source) Versions(ctx context.Context, limit int, next string) ([]clientsecret.Version, string, error) {
	entries, next, err := s.List(ctx, limit, next)
	versions := make([]clientsecret.Version, 0, len(entries))
	for _, e := range entries {
		versions = append(versions, clientsecret.Version{Name: e.Name, ARN: e.ARN, VersionID: e.VersionID})
	}
	return versions, next, err
}

// after lists the names after the position of a cursor, in order.
func (s *Source) after(next string) ([]string, error) {
	last := ""
	if next != "" {
		position, err := cursor.Decode(cursorScope, next)
		if err != nil {
			return nil, err
		}
		last = position
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool { return name <= last }), nil
}

// names lists all secrets in order, and records which are missing.
func (s *Source) names() ([]string, error) {
	files, err := os.ReadDir(s.path)
	if err != nil {
		return nil, folderError(err)
	}
	var names []string
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), suffix)
		if ok && !strings.HasPrefix(name, ".") && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	s.history.retain(names)
	return names, nil
}

func (s *Source) entry(root *os.Root, name string) clientsecret.Entry {
	bare := clientsecret.Secret{Name: name, Origin: origin(name)}
	if err := clientsecret.CheckDot(bare.Origin, name); err != nil {
		return clientsecret.Entry{Secret: bare, Err: err}
	}
	secret, err := s.read(root, name)
	if err != nil {
		return clientsecret.Entry{Secret: bare, Err: err}
	}
	return clientsecret.Entry{Secret: secret}
}

func (s *Source) open() (*os.Root, error) {
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return nil, folderError(err)
	}
	return root, nil
}

// read reads one file and records it in the history.
func (s *Source) read(root *os.Root, name string) (clientsecret.Secret, error) {
	text, err := readFile(root, name+suffix)
	if errors.Is(err, fs.ErrNotExist) {
		s.history.markMissing(name)
		return clientsecret.Secret{}, fmt.Errorf("%s: %w", origin(name), clientsecret.ErrNotFound)
	}
	if err != nil {
		return clientsecret.Secret{}, fmt.Errorf("%s: %w: %s", origin(name), clientsecret.ErrUnreadable, reason(err))
	}
	if !utf8.Valid(text) {
		return clientsecret.Secret{}, fmt.Errorf("%s: %w: it is not UTF-8; write the JSON as text", origin(name), clientsecret.ErrNoText)
	}
	return s.history.record(name, redact.New(string(text))).secret(name), nil
}

func origin(name string) string { return "file " + name + suffix }

func folderError(err error) error {
	return fmt.Errorf("folder of connections: %w: %s", clientsecret.ErrUnreadable, reason(err))
}
