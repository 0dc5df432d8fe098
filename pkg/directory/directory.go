// Package directory lists connections and reports the state of each: whether it
// is ready, failing, misconfigured, or waits for a user's consent.
//
// It reads declarations and stored items and changes neither. A status contains
// no secret and no token.
package directory

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Store reads items. A missing item is the zero Item with its Key set, not an
// error. Errors are tokenstore.ErrUnavailable and tokenstore.ErrCorrupt.
type Store interface {
	// Get reads one item, eventually consistent unless consistent is set.
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	// Subjects reads the items of a connection's named subjects in the order of
	// their names, those after a name; next is empty on the last page. An item
	// that cannot be read has only its key.
	Subjects(ctx context.Context, connection string, limit int, after string) (items []tokenstore.Item, next string, err error)
	// ReadDeclarations reads the declaration records of connections, in their order. A
	// missing one has Version 0.
	ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error)
}

// Opener opens what is stored sealed; *seal.Sealer implements it.
type Opener interface {
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}

// Lister lists secrets. Errors are those of clientsecret.
type Lister interface {
	// List returns up to limit secrets and the cursor of the next page, empty on the last.
	List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error)
}

// Config is what a Directory is made of.
type Config struct {
	Store   Store
	Sealer  Opener
	Secrets declaration.Secrets
	Lister  Lister
	Parser  connection.Parser
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Directory lists connections and their states. It is safe for concurrent use.
type Directory struct {
	declarations declaration.Loader
	store        Store
	sealer       Opener
	lister       Lister
	now          func() time.Time
}

// New returns a Directory.
func New(c Config) *Directory {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return &Directory{
		declarations: declaration.Loader{Secrets: c.Secrets, Parser: c.Parser},
		store:        c.Store, sealer: c.Sealer, lister: c.Lister,
		now: func() time.Time { return now().Round(0).UTC() }, // no monotonic reading: it may stop while frozen
	}
}

// Status returns the state of one connection, with up to limit of its subjects
// after the cursor next. A misconfigured connection has a status. One that does
// not exist is a *problem.Error, as is every other error.
func (d *Directory) Status(ctx context.Context, name connection.Name, limit int, next string) (Status, error) {
	conn, err := d.declarations.Load(ctx, name, false)
	if problem.Is(err, problem.ConnectionMisconfigured) {
		return misconfigured(string(name), errors.Unwrap(err)), nil
	}
	if err != nil {
		return Status{}, problem.Of(err)
	}
	if next != "" && !conn.Delegated() {
		return Status{}, badCursor(nil)
	}
	return d.status(ctx, conn, page{limit: limit, next: next})
}

func misconfigured(name string, err error) Status {
	return Status{Connection: name, State: Misconfigured, Problem: err.Error()}
}
