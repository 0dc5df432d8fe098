package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Reader reads items. A missing item is the zero Item with its Key set, not an
// error. Errors are tokenstore.ErrUnavailable and tokenstore.ErrCorrupt.
type Reader interface {
	// Get reads one item, eventually consistent unless consistent is set.
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	// GetWithDeclaration reads one item and the declaration record of its connection
	// at once. The record is returned with the error of a corrupt item too.
	GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error)
	// Subjects reads the items of a connection's named subjects in the order of
	// their names, those after a name; next is empty on the last page. An item
	// that cannot be read has only its key.
	Subjects(ctx context.Context, connection string, limit int, after string) (items []tokenstore.Item, next string, err error)
}

// Leaser guards a refresh. Every method is one conditional write, recognizes
// its own earlier attempt when a response was lost, and is safe for concurrent use.
type Leaser interface {
	// Acquire takes the lease and returns the item as it is under it, so that no
	// second read is needed. tokenstore.ErrHeld comes with the item.
	Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error)
	// Commit stores a token, clears failure and rejection,
	// increments the version, and ends the lease if the owner still has it. Only the
	// version fences it: tokenstore.ErrSuperseded when that has changed.
	//
	// A Commit with Consumed stores a grant's tokens, fenced by the refresh token
	// that was used. If that matches and the version does not, only the grant is
	// stored, and the returned item has another token than the commit's.
	Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error)
	// StoreGrant stores the grant of a new consent and replaces any stored one. The
	// version fences it: tokenstore.ErrSuperseded, with the item, when that has
	// changed.
	StoreGrant(ctx context.Context, g tokenstore.StoreGrant) (tokenstore.Item, error)
	// Fail stores a failure and ends the lease; without the lease it does nothing.
	Fail(ctx context.Context, f tokenstore.Fail) error
	// Release ends the lease if the owner still has it.
	Release(ctx context.Context, r tokenstore.Release) error
}

// Editor changes what is stored outside a refresh.
type Editor interface {
	// Reject marks the current token as rejected and increments the version;
	// tokenstore.ErrSuperseded when version, token or forced refreshes have changed.
	Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error)
	// Drop removes token, failure and rejection, and increments the version, also of
	// an item that does not exist yet. It returns the item as it was before.
	Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error)
	// MarkUsed records that the token of that version was served. It does nothing
	// when the version has changed.
	MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error
	// SetForcedRefreshes replaces the record of forced refreshes;
	// tokenstore.ErrSuperseded when the stored record is not was; repeating it changes
	// nothing.
	SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []tokenstore.ForcedRefresh) error
	// AddVariant lists a scope variant on the connection's own item; repeating it
	// changes nothing.
	AddVariant(ctx context.Context, key tokenstore.Key, variant string) error
	// RemoveVariant removes it from the list; repeating it changes nothing.
	RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error
}

// Recorder reads and writes declaration records. A missing one has Version 0.
type Recorder interface {
	// ReadDeclarations reads the records of connections, in their order.
	ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error)
	// WriteDeclaration replaces the record of that Version and returns it with its new
	// one; tokenstore.ErrSuperseded when another process has written it.
	WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error)
}

// Store is everything the core needs of a store.
type Store interface {
	Reader
	Leaser
	Editor
	Recorder
}

// Secrets reads connections' secrets. Errors are those of clientsecret.
type Secrets = declaration.Secrets

// Minter requests tokens from a provider; *oauth.Client implements it. Errors are *oauth.Error.
type Minter interface {
	Token(ctx context.Context, r oauth.Request) (oauth.Token, error)
}

// Revoker revokes tokens at a provider; *oauth.Client implements it. Errors are *oauth.Error.
type Revoker interface {
	Revoke(ctx context.Context, r oauth.Revocation) error
}

// Sealer encrypts what is stored; *seal.Sealer implements it.
type Sealer interface {
	// Prefetch makes sure that the keyset is in memory.
	Prefetch(ctx context.Context) error
	// Seal encrypts plaintext and binds it to the associated data ad.
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	// Open is the inverse. It fails with seal.ErrCorrupt when the text is damaged
	// or was sealed with other associated data, and with seal.ErrUnavailable when the keyset cannot be
	// read or lacks the key.
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}
