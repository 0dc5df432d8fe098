package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// ReadDocument reads a document; a missing document has Version 0.
func (s *Store) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	if err := s.check(ctx, "read document"); err != nil {
		return tokenstore.Document{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.documents[name]
	d.Name, d.Text = name, slices.Clone(d.Text)
	return d, nil
}

// WriteDocument replaces the document of that version. Repeating the same write
// succeeds.
func (s *Store) WriteDocument(ctx context.Context, d tokenstore.Document) (tokenstore.Document, error) {
	if err := s.check(ctx, "write document"); err != nil {
		return tokenstore.Document{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.documents[d.Name]
	if current.Version != d.Version && !(current.Version == d.Version+1 && slices.Equal(current.Text, d.Text)) {
		return tokenstore.Document{}, fmt.Errorf("write document: %w", tokenstore.ErrSuperseded)
	}
	d.Version++
	d.Text = slices.Clone(d.Text)
	s.documents[d.Name] = d
	return d, nil
}
