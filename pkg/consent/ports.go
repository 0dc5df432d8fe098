package consent

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Sessions stores session records. The front channel has no other access to a
// store. Errors are those of tokenstore.
type Sessions interface {
	// Session reads a session consistently. A missing one has Version 0; one that
	// cannot be decoded is tokenstore.ErrCorrupt.
	Session(ctx context.Context, id string) (tokenstore.Session, error)
	// WriteSession replaces the session if its version is still s.Version, and
	// returns it as written; otherwise the error is tokenstore.ErrSuperseded. If
	// the next version already has the same text, that is an earlier attempt of
	// this write whose response was lost, and the write succeeds.
	WriteSession(ctx context.Context, s tokenstore.Session) (tokenstore.Session, error)
}

// Pending stores one document per principal that lists its pending sessions.
// Errors are those of tokenstore.
type Pending interface {
	// ReadDocument reads a document consistently. A missing one has Version 0.
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	// WriteDocument replaces the document if its version is still d.Version;
	// otherwise the error is tokenstore.ErrSuperseded.
	WriteDocument(ctx context.Context, d tokenstore.Document) (tokenstore.Document, error)
}

// Grants exchanges codes and stores grants; *vending.Core implements it. Errors
// are *problem.Error.
type Grants interface {
	// Delegated returns the current declaration of an authorization_code
	// connection that r.Caller may use for r.Subject. A connection that uses
	// client_credentials is an invalid_request.
	Delegated(ctx context.Context, r vending.Request) (connection.Connection, error)
	// Authorize exchanges the code and stores the grant. It calls a.Consume when
	// it is certain that the result can be stored, before it sends the code; an
	// error of Consume stops it and is returned.
	Authorize(ctx context.Context, a vending.Authorization) error
}

// Sealer encrypts what is stored; *seal.Sealer implements it. Errors are those of
// package seal.
type Sealer interface {
	// Seal encrypts plaintext and binds it to the associated data ad.
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	// Open decrypts what Seal returned for the same associated data.
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}
