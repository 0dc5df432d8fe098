package consent

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Sessions keeps the records of sessions. It is all that the public side is
// given of a store. Errors are those of tokenstore.
type Sessions interface {
	// Session reads a session, consistently; one that does not exist has Version
	// 0, one that cannot be understood is tokenstore.ErrCorrupt.
	Session(ctx context.Context, id string) (tokenstore.Session, error)
	// WriteSession replaces a session of that Version, and returns it as written;
	// tokenstore.ErrSuperseded when the version is another by now. A write whose
	// text stands already at the next version is its own, the answer to which was lost.
	WriteSession(ctx context.Context, s tokenstore.Session) (tokenstore.Session, error)
}

// Pending keeps each principal's roster of pending sessions. Errors are those
// of tokenstore.
type Pending interface {
	// ReadDocument reads a note, consistently; one that does not exist has Version 0.
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	// WriteDocument replaces a note of that Version; tokenstore.ErrSuperseded when it
	// is another by now.
	WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error)
}

// Grants is what the flow asks of the core; *vending.Core is one. Errors are
// *problem.Error.
type Grants interface {
	// Delegated returns the declaration in force of a delegated connection that
	// r.Caller may use for r.Subject. A connection that acts for itself is an
	// invalid_request.
	Delegated(ctx context.Context, r vending.Request) (connection.Connection, error)
	// Authorize exchanges the code and stores the grant. It calls a.Consume once it
	// is certain that the result can be stored, before the code is sent; an error
	// of Consume stops it and is returned.
	Authorize(ctx context.Context, a vending.Authorization) error
}

// Sealer protects what is stored; *seal.Sealer is one. Errors are those of seal.
type Sealer interface {
	// Seal encrypts plaintext, bound to what it belongs to.
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	// Open is the inverse.
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}
