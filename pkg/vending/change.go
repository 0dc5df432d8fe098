package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Changed is a secret that has another version than before.
type Changed struct {
	// Secret is its name.
	Secret string
	// Seen says that it was looked at before; Former are the connections that it
	// declared then.
	Seen   bool
	Former []string
}

// Change is what a look at one secret made of its connections.
type Change struct {
	// Connections are the names that the secret declares now.
	Connections []string
	// ARN and VersionID are those of the version that was looked at; empty when
	// there is none.
	ARN, VersionID string
	// Reissued and Dropped count the tokens that a replaced declaration had minted.
	Reissued, Dropped int
}

// Reconcile makes what is stored agree with the current version of a secret.
// Tokens that another declaration minted are reissued if somebody uses them,
// and dropped otherwise, or when they cannot be reissued. Connections that the
// secret no longer declares lose theirs. Every error is a *problem.Error; the
// secret is then to be looked at again.
func (c *Core) Reconcile(ctx context.Context, changed Changed) (Change, error) {
	c.flushPending(ctx)
	s, err := c.declarations.Secret(ctx, changed.Secret)
	if err != nil {
		return Change{}, problem.Of(err)
	}
	change := Change{ARN: s.ARN, VersionID: s.VersionID}
	declared := map[string]bool{}
	for _, e := range c.expand(s) {
		declared[e.Name] = true
		change.Connections = append(change.Connections, e.Name)
		if err := c.reconcile(ctx, e, visitOf(changed, s, &change)); err != nil {
			return change, problem.Of(err)
		}
	}
	for _, name := range changed.Former {
		if declared[name] {
			continue
		}
		gone := connection.Entry{Name: name, Err: connection.ErrNoConnection}
		if err := c.reconcile(ctx, gone, visitOf(changed, s, &change)); err != nil {
			return change, problem.Of(err)
		}
	}
	return change, nil
}

// reconciliation is what settling one token has to know of the change, and
// where it counts what it did.
type reconciliation struct {
	// version is the secret's current one; empty when it is gone.
	version string
	// seen: the secret was looked at before, so this is a change of it.
	seen   bool
	change *Change
	// failed: the provider has just refused, which is not to be forgotten with
	// the token.
	failed bool
}

func visitOf(changed Changed, s clientsecret.Secret, change *Change) reconciliation {
	return reconciliation{version: s.VersionID, seen: changed.Seen, change: change}
}

func (c *Core) expand(s clientsecret.Secret) []connection.Entry {
	if s.VersionID == "" {
		return nil
	}
	return c.declarations.Parser.Expand(s)
}

// reconcile looks at the tokens of one connection. What has no valid
// declaration any more has no right to a token either.
func (c *Core) reconcile(ctx context.Context, declared connection.Entry, r reconciliation) error {
	if _, err := connection.ParseName(declared.Name); err != nil {
		return nil // never had a token
	}
	own := tokenstore.Key{Connection: declared.Name}
	e, err := c.read(ctx, own, true)
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		return c.reconcileSubjects(ctx, declared, r) // nobody is served by it, and nobody else is to suffer
	case err != nil:
		return rules.Unavailable(err)
	}
	for _, v := range e.item.Variants {
		key := tokenstore.Key{Connection: declared.Name, Variant: v}
		variant, err := c.read(ctx, key, true)
		if err != nil {
			return rules.Unavailable(err)
		}
		if err := c.reconcileToken(ctx, declared, variant, r); err != nil {
			return err
		}
	}
	if err := c.reconcileSubjects(ctx, declared, r); err != nil {
		return err
	}
	return c.reconcileToken(ctx, declared, e, r)
}

// subjectsPage is how many subjects are read at once.
const subjectsPage = 100

// reconcileSubjects looks at the tokens of a connection's named subjects, whatever
// its grant type is by now.
func (c *Core) reconcileSubjects(ctx context.Context, declared connection.Entry, r reconciliation) error {
	for after := ""; ; {
		items, next, err := c.store.Subjects(ctx, declared.Name, subjectsPage, after)
		if err != nil {
			return rules.Unavailable(err)
		}
		for _, item := range items {
			if err := c.reconcileSubject(ctx, declared, item, r); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

func (c *Core) reconcileSubject(ctx context.Context, declared connection.Entry, item tokenstore.Item, r reconciliation) error {
	if item.Version == 0 {
		audit.From(ctx).Warn(audit.GrantCorrupt)
		return nil
	}
	e, err := c.open(ctx, item)
	if err != nil {
		return err
	}
	return c.reconcileToken(ctx, declared, e, r)
}

// reconcileToken reissues or drops one token, unless the declaration in force minted it.
func (c *Core) reconcileToken(ctx context.Context, declared connection.Entry, e record, r reconciliation) error {
	if e.item.Token.ID == "" {
		return c.reconcileEmpty(ctx, e, r)
	}
	if inForce(declared, e.item) {
		return nil
	}
	if declared.Err == nil && e.item.Used && e.token.Valid(c.clock.Now()) && c.renewable(declared.Connection, e) {
		reissued, err := c.reissue(ctx, declared, e)
		if err == nil && reissued {
			r.change.Reissued++
		}
		if err == nil {
			return nil
		}
		r.failed = problem.Of(err).Provider != nil
	}
	r.change.Dropped++
	return c.dropped(ctx, tokenstore.Drop{Key: e.item.Key, RequiredSecretVersion: r.version, KeepFailure: r.failed, RenewSlot: rules.KeepAliveSlot(e.item.Key, e.item.Grant)})
}

// reconcileEmpty looks after an item without a token. When its secret has changed
// it is dropped all the same: whoever is minting for it with a copy of the
// former declaration is fenced then, and has to look again. A secret that is
// seen for the first time has no former declaration, and fencing its first
// token would only have it minted twice; but one that is being minted is worth
// another look when it is there.
func (c *Core) reconcileEmpty(ctx context.Context, e record, r reconciliation) error {
	switch {
	case r.seen:
		return c.drop(ctx, e.item, r.version)
	case e.item.Lease.Owner != "" && e.item.Lease.Until.After(c.clock.Now()):
		return rules.InProgress("a token is being minted while its secret is looked at for the first time")
	}
	return nil
}

// inForce reports whether a stored token stands for the declaration.
func inForce(declared connection.Entry, item tokenstore.Item) bool {
	return declared.Err == nil && item.Token.ID != "" &&
		item.Token.ConfigHash == declared.Connection.ConfigHash && item.SecretIncarnation == declared.Connection.SecretIncarnation
}

// reissue replaces e's token, unless somebody else has done so. It fails when
// the token is not replaced, also while somebody is about to: who knows with
// which declaration.
func (c *Core) reissue(ctx context.Context, declared connection.Entry, e record) (bool, error) {
	reissued, err := c.renewal(declared.Connection, e, "").Run(ctx)
	if err != nil || reissued {
		return reissued, err
	}
	now, err := c.read(ctx, e.item.Key, true)
	if err == nil && !inForce(declared, now.item) {
		err = errBusy
	}
	return false, err
}

// noVersion is what the next minter must load of a secret that there is none
// of: no copy will do, so it looks, and finds out.
const noVersion = "none"

// drop forgets a token here and in the table. Minters must use version from
// then on; empty is a secret that is gone.
func (c *Core) drop(ctx context.Context, item tokenstore.Item, version string) error {
	return c.dropped(ctx, tokenstore.Drop{Key: item.Key, RequiredSecretVersion: version, RenewSlot: rules.KeepAliveSlot(item.Key, item.Grant)})
}

func (c *Core) dropped(ctx context.Context, d tokenstore.Drop) error {
	_, err := c.dropItem(ctx, d)
	return err
}

// dropItem is dropped for who needs the item as it stood before.
func (c *Core) dropItem(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	if d.RequiredSecretVersion == "" {
		d.RequiredSecretVersion = noVersion
	}
	d.Now = c.clock.Now()
	before, err := c.store.Drop(ctx, d)
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		return before, rules.CorruptGrant(ctx, d.Key, err)
	case err != nil:
		return before, rules.Unavailable(err)
	}
	if slot := rules.KeepAliveSlot(d.Key, before.Grant); slot != "" && d.RenewSlot == "" && !d.Grant && d.RequiredSecretVersion != noVersion {
		d.RenewSlot = slot // the grant came after the item was read, and must stay on the wheel
		return c.dropItem(ctx, d)
	}
	// Knowing the version keeps a replica that lags from bringing the token back.
	c.memory.put(d.Key, record{item: tokenstore.Item{Key: d.Key, Version: before.Version + 1}, readAt: c.clock.Now()})
	return before, nil
}
