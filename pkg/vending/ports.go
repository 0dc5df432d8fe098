package vending

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Reader reads items. A missing item is the zero Item with its Key set, not an
// error. Errors are tokenstore.ErrUnavailable and tokenstore.ErrCorrupt.
type Reader interface {
	// Get reads one item, eventually consistent unless consistent is asked for.
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	// Subjects reads the items of a connection's named subjects in the order of
	// their names, those after a name; next is empty on the last page. An item
	// that cannot be read comes with its key alone.
	Subjects(ctx context.Context, connection string, limit int, after string) (items []tokenstore.Item, next string, err error)
}

// Leaser guards a refresh. Every method is one conditional write that recognises
// its own effect when an answer was lost, and is safe for concurrent use.
type Leaser interface {
	// Acquire takes the lease and returns the item as it stands under it, so
	// that no second read is needed. tokenstore.ErrHeld comes with the item.
	Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error)
	// Commit stores a token, forgets failure, rejection and RequiredSecretVersion, moves the
	// version and ends the lease if it is still the owner's. The version alone
	// fences it: tokenstore.ErrSuperseded when that has moved.
	Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error)
	// Commit with Consumed stores a grant's tokens, fenced by the refresh token that
	// was consumed: when only that still stands, the grant alone is stored, and the
	// item comes back with another token than the commit's.
	// StoreGrant stores the grant of a new consent over whatever was there. The version
	// fences it: tokenstore.ErrSuperseded, with the item, when that has moved.
	StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error)
	// Fail remembers a failure and ends the lease; a lost lease makes it a no-op.
	Fail(ctx context.Context, f tokenstore.Fail) error
	// Release ends the lease if it is still the owner's.
	Release(ctx context.Context, r tokenstore.Release) error
}

// Editor changes what is stored outside a refresh.
type Editor interface {
	// Reject marks the current token as reported dead and moves the version;
	// tokenstore.ErrSuperseded when version or token is another by now.
	Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error)
	// Drop forgets token, failure and rejection, and moves the version, also of
	// an item that does not exist yet; it returns the item as it stood before.
	Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error)
	// MarkUsed notes that the token of that version was served; a version that
	// has moved makes it a no-op.
	MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error
	// SetForcedRefreshes replaces the instants of forced refreshes; tokenstore.ErrSuperseded
	// when they are not was any more.
	SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []time.Time) error
	// AddVariant notes on the connection's own item that a scope variant
	// exists; repeating it changes nothing.
	AddVariant(ctx context.Context, key tokenstore.Key, variant string) error
	// RemoveVariant takes that note back; repeating it changes nothing.
	RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error
}

// Store is everything the core asks of a store.
type Store interface {
	Reader
	Leaser
	Editor
}

// Secrets delivers connections' secrets. Errors are those of clientsecret.
type Secrets interface {
	// Load reads the version of the named secret that carries the stage. With
	// fresh set it goes past every cache.
	Load(ctx context.Context, name string, stage clientsecret.Stage, fresh bool) (clientsecret.Secret, error)
}

// Minter asks a provider for a token; *oauth.Client is one. Errors are *oauth.Error.
type Minter interface {
	Token(ctx context.Context, r oauth.Request) (oauth.Token, error)
}

// Revoker tells a provider that a token is no longer wanted; *oauth.Client is one.
type Revoker interface {
	Revoke(ctx context.Context, r oauth.Revocation) error
}

// Sealer protects what is stored; *seal.Sealer is one.
type Sealer interface {
	// Prefetch makes sure that the keyset is at hand.
	Prefetch(ctx context.Context) error
	// Seal encrypts plaintext, bound to what it belongs to.
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	// Open is the inverse. It fails with seal.ErrCorrupt when the text is
	// damaged or belongs elsewhere, seal.ErrUnavailable when the keyset cannot
	// be had or lacks the key.
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}
