package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Changed is a secret whose current version has changed.
type Changed struct {
	// Secret is its name.
	Secret string
	// Seen reports that it was reconciled before; Former are the connections that
	// it declared then.
	Seen   bool
	Former []string
}

// Change is the result of reconciling one secret.
type Change struct {
	// Connections are the names that the secret declares now.
	Connections []string
	// ARN and VersionID are those of the version that was read; empty when there is
	// none. Without Connections too, the secret does not exist.
	ARN, VersionID string
	// Reissued and Dropped count the tokens of replaced declarations.
	Reissued, Dropped int
}

// Reconcile updates the stored tokens of a secret's connections to its current
// version. Tokens that were issued under another declaration are reissued if they
// are in use, and dropped otherwise or if they cannot be reissued. The tokens of
// connections that the secret no longer declares are dropped. Every error is a
// *problem.Error, after which the secret has to be reconciled again.
func (c *Core) Reconcile(ctx context.Context, changed Changed) (Change, error) {
	c.FlushPending(ctx)
	s, entries, err := c.declarations.Declared(ctx, changed.Secret)
	if err != nil {
		return Change{}, problem.Of(err)
	}
	change := Change{ARN: s.ARN, VersionID: s.VersionID}
	r := reconciliation{core: c, version: s.VersionID, seen: changed.Seen, change: &change}
	declared := map[string]bool{}
	for _, e := range entries {
		declared[e.Name] = true
		change.Connections = append(change.Connections, e.Name)
		if err := r.connection(ctx, e); err != nil {
			return change, problem.Of(err)
		}
	}
	for _, name := range changed.Former {
		if declared[name] {
			continue
		}
		if err := r.connection(ctx, connection.Entry{Name: name, Err: connection.ErrNoConnection}); err != nil {
			return change, problem.Of(err)
		}
	}
	return change, nil
}

// reconciliation is what reconciling one token must know of the change, and where
// it is counted.
type reconciliation struct {
	core *Core
	// version is the secret's current one; empty when there is none.
	version string
	// seen: the secret was reconciled before, so this is a change of it.
	seen   bool
	change *Change
}

// connection reconciles the tokens of one connection. Without a valid declaration
// they are dropped.
func (r reconciliation) connection(ctx context.Context, declared connection.Entry) error {
	if _, err := connection.ParseName(declared.Name); err != nil {
		return nil // never had a token
	}
	records := r.core.records
	own, err := records.Get(ctx, tokenstore.Key{Connection: declared.Name}, true)
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		return r.subjects(ctx, declared) // it serves no caller, and must not keep the subjects from being reconciled
	case err != nil:
		return rules.Unavailable(err)
	}
	for _, v := range own.Item.Variants {
		variant, err := records.Get(ctx, tokenstore.Key{Connection: declared.Name, Variant: v}, true)
		if err != nil {
			return rules.Unavailable(err)
		}
		if err := r.token(ctx, declared, variant); err != nil {
			return err
		}
	}
	if err := r.subjects(ctx, declared); err != nil {
		return err
	}
	return r.token(ctx, declared, own)
}

// subjectsPage is how many subjects are read at once.
const subjectsPage = 100

// subjects reconciles the tokens of a connection's named subjects, whatever its
// grant type is by now.
func (r reconciliation) subjects(ctx context.Context, declared connection.Entry) error {
	for after := ""; ; {
		items, next, err := r.core.store.Subjects(ctx, declared.Name, subjectsPage, after)
		if err != nil {
			return rules.Unavailable(err)
		}
		for _, item := range items {
			if err := r.subject(ctx, declared, item); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

func (r reconciliation) subject(ctx context.Context, declared connection.Entry, item tokenstore.Item) error {
	if item.Version == 0 {
		audit.From(ctx).Warn(audit.GrantCorrupt)
		return nil
	}
	rec, err := r.core.records.Open(ctx, item)
	if err != nil {
		return err
	}
	return r.token(ctx, declared, rec)
}

// token reissues or drops one token, unless the declaration in force minted it.
func (r reconciliation) token(ctx context.Context, declared connection.Entry, rec record.Record) error {
	if rec.Item.Token.ID == "" {
		return r.empty(ctx, rec.Item)
	}
	if inForce(declared, rec.Item) {
		return nil
	}
	now, refused := r.core.clock.Now(), false
	if declared.Err == nil && rec.Item.Used && rec.Token.Valid(now) && rules.Renewable(rec.Item, declared.Connection, rec.Token, now) {
		reissued, err := r.reissue(ctx, declared, rec)
		if err == nil && reissued {
			r.change.Reissued++
		}
		if err == nil {
			return nil
		}
		refused = problem.Of(err).Provider != nil // that is not to be forgotten with the token
	}
	r.change.Dropped++
	_, err := r.core.records.Drop(ctx, tokenstore.Drop{Key: rec.Item.Key, RequiredSecretVersion: r.version, KeepFailure: refused,
		RenewSlot: rules.KeepAliveSlot(rec.Item.Key, rec.Item.Grant)})
	return err
}

// empty reconciles an item without a token. When its secret has changed it is
// dropped all the same: that fences a process that mints with a copy of the
// former declaration, which then reads the secret again. A secret that is seen
// for the first time has no former declaration, and to fence its first token
// would only have it minted twice. But while a token is being minted the secret
// has to be reconciled again.
func (r reconciliation) empty(ctx context.Context, item tokenstore.Item) error {
	switch {
	case r.seen:
		return r.core.records.DropToken(ctx, item, r.version)
	case item.Lease.Owner != "" && item.Lease.Until.After(r.core.clock.Now()):
		return rules.InProgress("a token is being minted while its secret is reconciled for the first time")
	}
	return nil
}

// inForce reports whether the declaration in force minted the token of item.
func inForce(declared connection.Entry, item tokenstore.Item) bool {
	return declared.Err == nil && mintedBy(item, declared.Connection)
}

// mintedBy reports whether item has a token that conn's declaration minted.
func mintedBy(item tokenstore.Item, conn connection.Connection) bool {
	return item.Token.ID != "" && item.Token.ConfigHash == conn.ConfigHash && item.SecretIncarnation == conn.SecretIncarnation
}

// reissue replaces rec's token, unless another process has done so. It fails when
// the token is not replaced, also while another process is refreshing it, perhaps
// with a former declaration.
func (r reconciliation) reissue(ctx context.Context, declared connection.Entry, rec record.Record) (bool, error) {
	reissued, err := newRenewal(r.core.leases, declared.Connection, rec, "").Run(ctx)
	if err != nil || reissued {
		return reissued, err
	}
	current, err := r.core.records.Get(ctx, rec.Item.Key, true)
	if err == nil && !inForce(declared, current.Item) {
		err = lease.ErrBusy
	}
	return false, err
}
