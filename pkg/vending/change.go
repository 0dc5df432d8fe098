package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

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
// and dropped otherwise, or when they cannot be reissued. former are the
// connections that the secret was known to declare: those that it no longer
// declares lose their tokens. Every error is a *problem.Error.
func (c *Core) Reconcile(ctx context.Context, secret string, former []string) (Change, error) {
	s, err := c.declarations.secrets.Load(ctx, secret, clientsecret.Current, true)
	switch {
	case errors.Is(err, clientsecret.ErrNotFound):
		s = clientsecret.Secret{}
	case err != nil:
		return Change{}, problem.Of(secretProblem(connection.Name(secret), err))
	}
	change := Change{ARN: s.ARN, VersionID: s.VersionID}
	declared := map[string]bool{}
	for _, e := range c.expand(s) {
		declared[e.Name] = true
		change.Connections = append(change.Connections, e.Name)
		if err := c.reconcile(ctx, e, s.VersionID, &change); err != nil {
			return change, problem.Of(err)
		}
	}
	for _, name := range former {
		if declared[name] {
			continue
		}
		if err := c.reconcile(ctx, connection.Entry{Name: name, Err: connection.ErrNoConnection}, s.VersionID, &change); err != nil {
			return change, problem.Of(err)
		}
	}
	return change, nil
}

func (c *Core) expand(s clientsecret.Secret) []connection.Entry {
	if s.VersionID == "" {
		return nil
	}
	return c.declarations.parser.Expand(s)
}

// reconcile looks at the tokens of one connection. What has no valid
// declaration any more has no right to a token either.
func (c *Core) reconcile(ctx context.Context, declared connection.Entry, version string, change *Change) error {
	if _, err := connection.ParseName(declared.Name); err != nil {
		return nil // never had a token
	}
	own := tokenstore.Key{Connection: declared.Name}
	e, err := c.read(ctx, own, true)
	if err != nil {
		return unavailable(err)
	}
	for _, v := range e.item.Variants {
		key := tokenstore.Key{Connection: declared.Name, Variant: v}
		variant, err := c.read(ctx, key, true)
		if err != nil {
			return unavailable(err)
		}
		if err := c.settle(ctx, declared, variant, version, change); err != nil {
			return err
		}
	}
	return c.settle(ctx, declared, e, version, change)
}

// settle reissues or drops one token, unless the declaration in force minted it.
func (c *Core) settle(ctx context.Context, declared connection.Entry, e entry, version string, change *Change) error {
	conn := declared.Connection
	if e.item.Token.ID == "" {
		return nil
	}
	if declared.Err == nil && e.item.Token.Declaration == conn.Hash && e.item.Generation == conn.Generation {
		return nil
	}
	if declared.Err == nil && e.item.Used && e.token.Valid(c.now()) {
		if renewed, err := c.renewal(conn, e, e.token.ID).Run(ctx); err == nil && renewed {
			change.Reissued++
			return nil
		}
	}
	change.Dropped++
	return c.drop(ctx, e.item.Key, version)
}

// drop forgets a token here and in the table.
func (c *Core) drop(ctx context.Context, key tokenstore.Key, mustLoad string) error {
	if _, err := c.store.Drop(ctx, tokenstore.Drop{Key: key, MustLoad: mustLoad, Now: c.now()}); err != nil {
		return unavailable(err)
	}
	c.memory.forget(key)
	return nil
}
