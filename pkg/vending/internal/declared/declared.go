// Package declared reads and writes the declaration records that the fleet shares,
// and remembers them.
//
// Whoever writes a record first reads it, then the secret past every cache, and
// writes only if the record has not moved meanwhile. So no late writer restores an
// older declaration.
package declared

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/flight"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Store is what records need of the token store; vending.Store describes it.
type Store interface {
	ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error)
	WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error)
}

// Sealer protects what is stored; vending.Sealer describes it.
type Sealer interface {
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}

// Config configures Declarations.
type Config struct {
	Store  Store
	Sealer Sealer
	Loader declaration.Loader
	Clock  rules.Clock
	Random rules.Random
}

// Declarations reads and writes records. It is safe for concurrent use.
type Declarations struct {
	store  Store
	sealer Sealer
	loader declaration.Loader
	clock  rules.Clock
	random rules.Random

	cache    cache
	shared   flight.Group[connection.Name, InForce]
	restored rules.Throttle
}

const (
	// writeTries bounds starting over when others write the same record.
	writeTries = 4
	// joinable is the age at which another caller's Current is no longer joined.
	joinable = time.Second
	// restoredEvery bounds how often a process looks whether a gone declaration is back.
	restoredEvery = 10 * time.Second
)

// New returns Declarations that remember nothing yet.
func New(c Config) *Declarations {
	return &Declarations{store: c.Store, sealer: c.Sealer, loader: c.Loader, clock: c.Clock, random: c.Random,
		shared:   flight.Group[connection.Name, InForce]{MaxAge: joinable, Now: c.Clock.Now},
		restored: rules.Throttle{Every: restoredEvery}}
}

// InForce is a declaration and its record.
type InForce struct {
	connection.Connection
	// Record names the version of the secret that Connection was read from. Without a
	// table it is the record of the connection alone.
	Record declaration.Record
}

// Unrecorded is a declaration without a stored record.
func Unrecorded(conn connection.Connection) InForce {
	return InForce{Connection: conn, Record: declaration.Of(conn)}
}

// Take opens a stored record that was read at an instant, and remembers it. A
// record that cannot be opened counts as missing, so that it is written again.
func (d *Declarations) Take(ctx context.Context, stored tokenstore.DeclarationRecord, readAt time.Time) (declaration.Record, error) {
	r, err := d.open(ctx, stored)
	if err == nil {
		d.cache.put(stored.Connection, r, readAt)
	}
	return r, err
}

func (d *Declarations) open(ctx context.Context, stored tokenstore.DeclarationRecord) (declaration.Record, error) {
	if len(stored.Sealed) == 0 {
		return declaration.Record{StoredVersion: stored.Version}, nil
	}
	var r declaration.Record
	text, err := d.sealer.Open(ctx, stored.Sealed, declaration.Identity(stored.Connection)...)
	if err == nil {
		r, err = declaration.Decode(text)
	} else if !errors.Is(err, seal.ErrCorrupt) {
		return r, rules.KeysetUnavailable(err)
	}
	if err != nil {
		audit.From(ctx).Warn(audit.DeclarationCorrupt)
	}
	r.StoredVersion = stored.Version
	return r, nil
}

// Read reads the record of a connection consistently; a missing one is zero. Every
// error is a *problem.Error, or of the kinds of tokenstore.
func (d *Declarations) Read(ctx context.Context, name connection.Name) (declaration.Record, error) {
	records, err := d.read(ctx, string(name))
	if err != nil {
		return declaration.Record{}, err
	}
	return records[0], nil
}

func (d *Declarations) read(ctx context.Context, names ...string) ([]declaration.Record, error) {
	at := d.clock.Now()
	stored, err := d.store.ReadDeclarations(ctx, names, true)
	if err != nil {
		return nil, err
	}
	records := make([]declaration.Record, len(names))
	for i := range names {
		if records[i], err = d.Take(ctx, stored[i], at); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Survey reads the records of connections, eventually consistent and in their order,
// and remembers none of them.
func (d *Declarations) Survey(ctx context.Context, names []string) ([]declaration.Record, error) {
	stored, err := d.store.ReadDeclarations(ctx, names, false)
	if err != nil {
		return nil, err
	}
	records := make([]declaration.Record, len(names))
	for i := range stored {
		if records[i], err = d.open(ctx, stored[i]); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// write writes a record over the version that it was made from, and remembers it.
func (d *Declarations) write(ctx context.Context, name string, r declaration.Record) (declaration.Record, error) {
	text, err := r.Encode()
	if err != nil {
		return r, err
	}
	sealed, err := d.sealer.Seal(ctx, text, declaration.Identity(name)...)
	if err != nil {
		return r, rules.KeysetUnavailable(err)
	}
	stored, err := d.store.WriteDeclaration(ctx, tokenstore.DeclarationRecord{Connection: name, Version: r.StoredVersion, Sealed: sealed})
	if err != nil {
		return r, err
	}
	r.StoredVersion = stored.Version
	d.cache.put(name, r, d.clock.Now())
	return r, nil
}

// Current returns the declaration in force and its record. It reads the record, then
// the secret past every cache, and writes the record if the two differ. Errors are
// those of declaration.Loader and of tokenstore.
func (d *Declarations) Current(ctx context.Context, name connection.Name) (InForce, error) {
	for range writeTries {
		r, err := d.Read(ctx, name)
		if err != nil {
			return InForce{}, err
		}
		found, err := d.settle(ctx, name, r)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return found, err
		}
	}
	return InForce{}, rules.InProgress("the connection's declaration is being changed by others")
}

// CurrentShared is Current, which concurrent callers of one process share: for the
// first request of a connection, and after its secret has changed.
func (d *Declarations) CurrentShared(ctx context.Context, name connection.Name) (InForce, error) {
	entry := new(audit.Entry)
	found, led, err := d.shared.Do(ctx, name, func(ctx context.Context) (InForce, error) {
		return d.Current(audit.With(ctx, entry), name)
	})
	switch {
	case led:
		audit.From(ctx).Merge(entry)
	case errors.Is(err, flight.ErrNoResult):
		err = rules.InProgress("the invocation ended before the connection's declaration was read")
	}
	return found, err
}

// settle reads the secret after the record r, and writes the record if it differs.
func (d *Declarations) settle(ctx context.Context, name connection.Name, r declaration.Record) (InForce, error) {
	o := declaration.Observation{At: d.clock.Now()}
	conn, err := d.loader.Load(ctx, name, true)
	if err != nil {
		return InForce{}, err
	}
	o.Entry = connection.Entry{Name: string(name), Connection: conn}
	o.Secret.Name, o.Secret.VersionID, o.Secret.CreatedAt = name.Secret(), conn.SecretVersion, conn.SecretCreatedAt
	if o.MintID, err = d.mintID(string(name), conn.SecretVersion); err != nil {
		return InForce{}, err
	}
	next, write := r.Next(o)
	if write {
		if next, err = d.write(ctx, string(name), next); err != nil {
			return InForce{}, err
		}
	}
	if !next.Names(conn) {
		return InForce{}, rules.InProgress("the current version of the connection's secret cannot be read yet")
	}
	return InForce{Connection: conn, Record: next}, nil
}

// mintID is 64 random bits. They are hashed with what they are for, so that a weak
// source of randomness does not give two declarations one id.
func (d *Declarations) mintID(name, version string) (string, error) {
	id, err := d.random.MintID()
	return digest.Short(id, name, version), err
}

// Reload is Current, and the declaration alone while the table does not answer.
func (d *Declarations) Reload(ctx context.Context, name connection.Name) (InForce, error) {
	found, err := d.Current(ctx, name)
	if !TableDown(err) {
		return found, err
	}
	conn, err := d.loader.Load(ctx, name, true)
	return Unrecorded(conn), err
}

// TableDown reports whether an error says that the table does not answer. A table
// that throttles is in use by the rest of the fleet, and is not bypassed.
func TableDown(err error) bool {
	return errors.Is(err, tokenstore.ErrUnavailable) && !errors.Is(err, tokenstore.ErrThrottled)
}

// Matching returns the declaration that r names: a cached copy of it if there is one,
// and otherwise the current one, with its record.
func (d *Declarations) Matching(ctx context.Context, name connection.Name, r declaration.Record) (InForce, error) {
	conn, err := d.loader.Load(ctx, name, false)
	switch {
	case err != nil:
		return InForce{}, err
	case r.MintID != "" && r.Names(conn):
		return InForce{Connection: conn, Record: r}, nil
	}
	return d.CurrentShared(ctx, name)
}

// UnderLease reads the record of conn consistently, and returns the declaration that
// it names, conn itself if possible.
func (d *Declarations) UnderLease(ctx context.Context, conn connection.Connection) (InForce, error) {
	r, err := d.Read(ctx, conn.Name)
	if err != nil {
		return InForce{}, err
	}
	if r.MintID != "" && r.Names(conn) {
		return InForce{Connection: conn, Record: r}, nil
	}
	return d.Current(ctx, conn.Name)
}

// Restored returns the record of a connection whose declaration was gone, if it is
// back. From time to time that is looked for, so that it works at once. The error
// is that of the gone declaration.
func (d *Declarations) Restored(ctx context.Context, name connection.Name, r declaration.Record) (declaration.Record, error) {
	if d.restored.Try(tokenstore.Key{Connection: string(name)}, d.clock.Now()) > 0 {
		return r, r.Problem(name)
	}
	current, err := d.CurrentShared(ctx, name)
	switch {
	case err == nil:
		return current.Record, nil
	case declaration.Gone(err):
		return r, err
	}
	return r, r.Problem(name)
}
