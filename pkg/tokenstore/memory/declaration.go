package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// GetWithDeclaration reads an item and the declaration record of its connection, as
// they are at one instant. Missing ones have Version 0.
func (s *Store) GetWithDeclaration(ctx context.Context, key tokenstore.Key, _ bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	if err := s.check(ctx, "get with declaration"); err != nil {
		return tokenstore.Item{Key: key}, tokenstore.DeclarationRecord{Connection: key.Connection}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(key), s.declaration(key.Connection), nil
}

// ReadDeclarations reads the records of connections, in their order. A missing
// record has Version 0.
func (s *Store) ReadDeclarations(ctx context.Context, connections []string, _ bool) ([]tokenstore.DeclarationRecord, error) {
	if err := s.check(ctx, "read declarations"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]tokenstore.DeclarationRecord, len(connections))
	for i, connection := range connections {
		records[i] = s.declaration(connection)
	}
	return records, nil
}

// WriteDeclaration replaces the record of that version and returns it with its new
// version. tokenstore.ErrSuperseded comes with the current record. Repeating the
// same write succeeds.
func (s *Store) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	if err := s.check(ctx, "write declaration"); err != nil {
		return tokenstore.DeclarationRecord{Connection: d.Connection}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.declaration(d.Connection)
	switch {
	case d.AlreadyApplied(current):
		return current, nil
	case current.Version != d.Version:
		return current, fmt.Errorf("write declaration: %w", tokenstore.ErrSuperseded)
	}
	s.declarations[d.Connection] = d.Next()
	if d.Version == 0 {
		s.declared.move(tokenstore.Key{Connection: d.Connection}, "", wheel.RecordSlot(wheel.RecordShard(d.Connection)))
	}
	return s.declaration(d.Connection), nil
}

// DeclaredConnections returns one page of the connections of a shard that have a
// record, and the cursor of the next page, empty at the end.
func (s *Store) DeclaredConnections(ctx context.Context, shard int, next string) ([]string, string, error) {
	if err := s.check(ctx, "list declarations"); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, more := s.declared.page(wheel.RecordSlot(shard), next)
	connections := make([]string, len(keys))
	for i, key := range keys {
		connections[i] = key.Connection
	}
	return connections, more, nil
}

// declaration returns a copy of a record. The caller holds mu.
func (s *Store) declaration(connection string) tokenstore.DeclarationRecord {
	d := s.declarations[connection]
	d.Connection, d.Sealed = connection, slices.Clone(d.Sealed)
	return d
}
