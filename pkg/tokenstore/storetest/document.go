package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func documents(t *testing.T, f *fixture) {
	f.run(t, "a missing document has no version", missingDocument)
	f.run(t, "each write increments the version, and only the current one is accepted", documentVersions)
	f.run(t, "CR-36 the same write repeated succeeds once", documentRepeated)
	f.run(t, "CR-25 of 50 writers one succeeds", documentsRace)
}

func missingDocument(t *testing.T, f *fixture) {
	name := key(t).Connection
	got, err := f.ReadDocument(t.Context(), name)
	if err != nil {
		t.Fatalf("ReadDocument: %v", err)
	}
	diff(t, "document", tokenstore.Document{Name: name}, got)
}

func documentVersions(t *testing.T, f *fixture) {
	name := key(t).Connection
	document := tokenstore.Document{Name: name}
	for i := range 3 {
		document.Text = []byte{0, byte(i)}
		written, err := f.WriteDocument(t.Context(), document)
		if err != nil || written.Version != int64(i+1) {
			t.Fatalf("WriteDocument: version %d, %v", written.Version, err)
		}
		document = written
	}
	stale := tokenstore.Document{Name: name, Version: 1, Text: []byte("stale")}
	if _, err := f.WriteDocument(t.Context(), stale); !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("WriteDocument: %v, want ErrSuperseded", err)
	}
	got, err := f.ReadDocument(t.Context(), name)
	if err != nil {
		t.Fatalf("ReadDocument: %v", err)
	}
	diff(t, "document", document, got)
}

func documentRepeated(t *testing.T, f *fixture) {
	document := tokenstore.Document{Name: key(t).Connection, Text: []byte("x")}
	for range 2 {
		if got, err := f.WriteDocument(t.Context(), document); err != nil || got.Version != 1 {
			t.Errorf("WriteDocument: version %d, %v, want 1", got.Version, err)
		}
	}
}

func documentsRace(t *testing.T, f *fixture) {
	name := key(t).Connection
	var mu sync.Mutex
	succeeded := 0
	race(50, func(i int) error {
		_, err := f.WriteDocument(t.Context(), tokenstore.Document{Name: name, Text: fmt.Append(nil, i)})
		if err == nil {
			mu.Lock()
			succeeded++
			mu.Unlock()
		}
		return err
	})
	if succeeded != 1 {
		t.Errorf("%d succeeded, want 1", succeeded)
	}
}
