package vending

import (
	"context"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// judge returns the declaration record that decides about what was found of a
// connection. The first request writes it. While the table does not answer and none
// is known, it is that of the declaration as it was just loaded. Without a valid
// declaration there is none, and the error says why.
func (c *Core) judge(ctx context.Context, name connection.Name, found record.Found) (declaration.Record, error) {
	switch r := found.Declared; {
	case found.Unknown:
		return c.loaded(ctx, name)
	case r.Gone != "":
		return c.declared.Restored(ctx, name, r)
	case r.MintID != "":
		return r, nil
	}
	current, err := c.declared.CurrentShared(ctx, name)
	if declared.TableDown(err) {
		return c.loaded(ctx, name)
	}
	return current.Record, unavailable(err)
}

// loaded is the record of a declaration as it is loaded.
func (c *Core) loaded(ctx context.Context, name connection.Name) (declaration.Record, error) {
	conn, err := c.loader.Load(ctx, name, false)
	return declaration.Of(conn), err
}

// judged is what was found of a key, and the record that decides about it. A token that
// the record does not accept counts as none, once both were read consistently: a
// replica may lag.
func (c *Core) judged(ctx context.Context, key tokenstore.Key, found record.Found) (record.Record, declaration.Record, error) {
	name := connection.Name(key.Connection)
	r, err := c.judge(ctx, name, found)
	if err != nil || !found.Token.Valid(c.clock.Now()) || rules.Accepted(r, key.Subject, found.Token) {
		return found.Record, r, err
	}
	if !found.Unknown {
		if found, err = c.records.Find(ctx, key, true); err != nil {
			return found.Record, r, rules.Unavailable(err)
		}
		if r, err = c.judge(ctx, name, found); err != nil {
			return found.Record, r, err
		}
	}
	if !rules.Accepted(r, key.Subject, found.Token) {
		return found.WithoutToken(), r, nil
	}
	return found.Record, r, nil
}

// matching is the declaration that r names, if the caller may use it.
func (c *Core) matching(ctx context.Context, request Request, r declaration.Record) (declared.InForce, error) {
	var found declared.InForce
	var err error
	if r.StoredVersion > 0 {
		found, err = c.declared.Matching(ctx, request.Connection, r)
	}
	if r.StoredVersion == 0 || declared.TableDown(err) {
		var conn connection.Connection
		conn, err = c.loader.Load(ctx, request.Connection, false)
		found = declared.Unrecorded(conn)
	}
	if err == nil {
		err = request.access().Permit(found.Connection)
	}
	return found, unavailable(err)
}

// unavailable maps the errors of the table for the caller, and leaves those of a
// declaration and nil as they are.
func unavailable(err error) error {
	if errors.Is(err, tokenstore.ErrUnavailable) {
		return rules.Unavailable(err)
	}
	return err
}
