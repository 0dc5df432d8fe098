package declared

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Secret is a secret whose records are to be compared with it.
type Secret struct {
	Name string
	// Former are connections that it is known to have declared.
	Former []string
	// Event is what reported a change; zero is none.
	Event declaration.Event
}

// Synced is the result of a comparison.
type Synced struct {
	// Secret is the version that was read; zero when there is no such secret.
	Secret clientsecret.Secret
	// Entries are what it declares. InForce are the valid ones with their records.
	Entries []connection.Entry
	InForce []InForce
	// Unrecorded are connections without a record: they never had a valid declaration.
	Unrecorded []string
	// Written counts the records that were written.
	Written int
}

// Sync compares a secret's records with the secret, and writes those that differ:
// those of a bundle's members first, and the bundle's own last. Until that is
// written the bundle counts as changed. Every error is a *problem.Error, or of the
// kinds of tokenstore.
func (d *Declarations) Sync(ctx context.Context, s Secret) (Synced, error) {
	written := 0
	for range writeTries {
		run := &comparison{Declarations: d, secret: s}
		err := run.compare(ctx)
		if written += run.synced.Written; !errors.Is(err, tokenstore.ErrSuperseded) {
			run.synced.Written = written
			return run.synced, err
		}
	}
	return Synced{}, rules.InProgress("the secret's declarations are being changed by others")
}

// comparison is one comparison of a secret with its records.
type comparison struct {
	*Declarations
	secret Secret
	synced Synced

	observed declaration.Observation
	// unread is why a declaration's referenced secret cannot be read now.
	unread  error
	records map[string]declaration.Record
	entries map[string]connection.Entry
}

// readsMost bounds reading a bundle again because it names other members by then.
const readsMost = 3

func (c *comparison) compare(ctx context.Context) error {
	c.records = map[string]declaration.Record{}
	if err := c.know(ctx, c.secret.Name); err != nil {
		return err
	}
	if err := c.know(ctx, slices.Concat(c.secret.Former, c.records[c.secret.Name].Members)...); err != nil {
		return err
	}
	for range readsMost {
		if err := c.readSecret(ctx); err != nil {
			return err
		}
		unknown := slices.DeleteFunc(slices.Sorted(maps.Keys(c.entries)), func(name string) bool { _, ok := c.records[name]; return ok })
		if len(unknown) == 0 {
			return c.write(ctx)
		}
		if err := c.know(ctx, unknown...); err != nil {
			return err
		}
	}
	return tokenstore.ErrSuperseded
}

// recordsAtOnce bounds one read of records.
const recordsAtOnce = 100

// know reads the records of connections that were not read yet.
func (c *comparison) know(ctx context.Context, names ...string) error {
	names = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(names))), func(name string) bool {
		_, err := connection.ParseName(name)
		_, known := c.records[name]
		return err != nil || known // an invalid name never had a token
	})
	for chunk := range slices.Chunk(names, recordsAtOnce) {
		records, err := c.read(ctx, chunk...)
		if err != nil {
			return err
		}
		for i, name := range chunk {
			c.records[name] = records[i]
		}
	}
	return nil
}

// readSecret reads what the secret declares, after the records.
func (c *comparison) readSecret(ctx context.Context) (err error) {
	c.observed = declaration.Observation{At: c.clock.Now(), MayEnd: true, Event: c.secret.Event}
	s, entries, err := c.loader.Declared(ctx, c.secret.Name)
	if err != nil {
		return err
	}
	c.synced.Secret, c.synced.Entries, c.observed.Secret = s, entries, s
	c.entries = map[string]connection.Entry{}
	for _, e := range entries {
		if _, err := connection.ParseName(e.Name); err == nil {
			c.entries[e.Name] = e
		}
	}
	return nil
}

// write writes the records that differ.
func (c *comparison) write(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(c.records)) {
		if name == c.secret.Name {
			continue
		}
		if err := c.writeOne(ctx, name); err != nil {
			return err
		}
	}
	if err := c.writeOne(ctx, c.secret.Name); err != nil {
		return err
	}
	return c.unread
}

func (c *comparison) writeOne(ctx context.Context, name string) error {
	o := c.observed
	o.Entry = c.entry(name)
	id, err := c.mintID(name, c.observed.Secret.VersionID)
	if err != nil {
		return err
	}
	o.MintID = id
	r, known := c.records[name]
	if !known {
		return nil // the secret's name is not valid for a connection
	}
	next, write := r.Next(o)
	if name == c.secret.Name && c.isBundle() {
		next, write = r.Bundle(o, c.members())
	}
	if write {
		if next, err = c.Declarations.write(ctx, name, next); err != nil {
			return err
		}
		c.synced.Written++
	}
	switch {
	case next.Empty():
		c.synced.Unrecorded = append(c.synced.Unrecorded, name)
	case o.Entry.Err == nil && next.Names(o.Entry.Connection):
		c.synced.InForce = append(c.synced.InForce, InForce{Connection: o.Entry.Connection, Record: next})
	case errors.As(o.Entry.Err, new(connection.Unread)):
		c.unread = declaration.Unread(connection.Name(name), o.Entry.Err)
	case next.NotedVersion != "":
		return rules.InProgress("an older version of the secret was read, which a later read has to confirm")
	}
	return nil
}

// isBundle reports whether the record of the secret's own name lists members.
func (c *comparison) isBundle() bool {
	own, declared := c.entries[c.secret.Name]
	if declared && own.Err == nil {
		return false
	}
	return len(c.records[c.secret.Name].Members) > 0 || !declared && c.synced.Secret.VersionID != ""
}

func (c *comparison) members() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.entries)), func(name string) bool { return name == c.secret.Name })
}

// entry is what the secret declares under a name. What is wrong with the secret as a
// whole is wrong with each connection that it declared.
func (c *comparison) entry(name string) connection.Entry {
	if e, ok := c.entries[name]; ok {
		return e
	}
	err := connection.ErrNoConnection
	switch whole := c.entries[c.secret.Name]; {
	case c.synced.Secret.VersionID == "" && len(c.synced.Entries) == 0:
		err = clientsecret.ErrNotFound
	case whole.Err != nil:
		err = whole.Err
	case name == c.secret.Name:
		err = nil // a bundle, which is readable
	}
	return connection.Entry{Name: name, Err: err}
}
