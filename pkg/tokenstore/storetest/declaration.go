package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

func declarations(t *testing.T, f *fixture) {
	f.run(t, "a missing record has no version", missingDeclaration)
	f.run(t, "each write increments the version, and only the current one is accepted", declarationVersions)
	f.run(t, "CR-36 the same write repeated succeeds once", declarationRepeated)
	f.run(t, "CR-36 a write repeated after the next one is superseded", declarationOvertaken)
	f.run(t, "CR-21 of 50 writers one succeeds, and the others get its record", declarationRace)
	f.run(t, "a record stays unless its last write says when to delete it", declarationDeletion)
	f.run(t, "a record and the items of its connection are independent", declarationBesideItems)
	f.run(t, "250 names, in their order", manyDeclarations)
	f.run(t, "every character of a name, and names like keys", declarationNames)
	f.run(t, "CR-25 a shard lists each of its records once, and they are never due", declaredConnections)
	f.run(t, "random operations", randomDeclarations)
}

// declaration reads a record consistently, in both ways.
func declaration(t *testing.T, f *fixture, connection string) tokenstore.DeclarationRecord {
	t.Helper()
	item, beside, err := f.GetWithDeclaration(t.Context(), tokenstore.Key{Connection: connection}, true)
	if err != nil || item.Key.Connection != connection {
		t.Fatalf("GetWithDeclaration: item of %q, %v", item.Key.Connection, err)
	}
	records, err := f.ReadDeclarations(t.Context(), []string{connection}, true)
	if err != nil || len(records) != 1 {
		t.Fatalf("ReadDeclarations: %d records, %v", len(records), err)
	}
	diff(t, "read alone, and beside an item", beside, records[0])
	return records[0]
}

func mustDeclare(t *testing.T, f *fixture, d tokenstore.DeclarationRecord) tokenstore.DeclarationRecord {
	t.Helper()
	written, err := f.WriteDeclaration(t.Context(), d)
	if err != nil || written.Version != d.Version+1 {
		t.Fatalf("WriteDeclaration: version %d, %v", written.Version, err)
	}
	return written
}

func missingDeclaration(t *testing.T, f *fixture) {
	name := key(t).Connection
	diff(t, "record", tokenstore.DeclarationRecord{Connection: name}, declaration(t, f, name))
	none, err := f.ReadDeclarations(t.Context(), nil, false)
	if err != nil || len(none) != 0 {
		t.Errorf("ReadDeclarations of no names: %v, %v", none, err)
	}
}

func declarationVersions(t *testing.T, f *fixture) {
	current := tokenstore.DeclarationRecord{Connection: key(t).Connection}
	for i := range 3 {
		current.Sealed = []byte{0, 0xff, byte(i)}
		want := current
		want.Version++
		written := mustDeclare(t, f, current)
		diff(t, "written", want, written)
		diff(t, "stored", want, declaration(t, f, want.Connection))
		current = written
	}
	for _, version := range []int64{0, 1, 2, 4} {
		stale := tokenstore.DeclarationRecord{Connection: current.Connection, Version: version, Sealed: []byte("stale")}
		got, err := f.WriteDeclaration(t.Context(), stale)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("WriteDeclaration at version %d: %v, want ErrSuperseded", version, err)
		}
		diff(t, "the current record comes with the error", current, got)
	}
	current.Sealed[0] = 'x'
	diff(t, "a returned value is the caller's", []byte{0, 0xff, 2}, declaration(t, f, current.Connection).Sealed)
}

func declarationRepeated(t *testing.T, f *fixture) {
	d := tokenstore.DeclarationRecord{Connection: key(t).Connection, Sealed: []byte("x"), DeleteAfter: start}
	want := mustDeclare(t, f, d)
	diff(t, "repeated", want, mustDeclare(t, f, d))
	diff(t, "stored", want, declaration(t, f, d.Connection))
}

func declarationOvertaken(t *testing.T, f *fixture) {
	first := tokenstore.DeclarationRecord{Connection: key(t).Connection, Sealed: []byte("first")}
	next := mustDeclare(t, f, first)
	next.Sealed = []byte("second")
	want := mustDeclare(t, f, next)
	got, err := f.WriteDeclaration(t.Context(), first)
	if !errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("WriteDeclaration: %v, want ErrSuperseded", err)
	}
	diff(t, "current", want, got)
}

func declarationRace(t *testing.T, f *fixture) {
	name := key(t).Connection
	var got [50]tokenstore.DeclarationRecord
	succeeded := 0
	for _, err := range race(len(got), func(i int) (err error) {
		got[i], err = f.WriteDeclaration(t.Context(), tokenstore.DeclarationRecord{Connection: name, Sealed: fmt.Append(nil, i)})
		return err
	}) {
		if err == nil {
			succeeded++
		} else if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("WriteDeclaration: %v, want ErrSuperseded", err)
		}
	}
	if succeeded != 1 {
		t.Errorf("%d succeeded, want 1", succeeded)
	}
	want := declaration(t, f, name)
	for i := range got {
		diff(t, fmt.Sprintf("returned to writer %d", i), want, got[i])
	}
}

func declarationDeletion(t *testing.T, f *fixture) {
	current := tokenstore.DeclarationRecord{Connection: key(t).Connection}
	for i, at := range []time.Time{start, {}, start.Add(time.Hour)} {
		current.Sealed, current.DeleteAfter = fmt.Append(nil, i), at
		current = mustDeclare(t, f, current)
		want := at
		if !at.IsZero() {
			want = at.Truncate(time.Second).UTC()
		}
		diff(t, "delete after", want, declaration(t, f, current.Connection).DeleteAfter)
	}
}

func declarationBesideItems(t *testing.T, f *fixture) {
	k := key(t)
	subject, variant := k, k
	subject.Subject, variant.Variant = "joe", "0123456789abcdef"
	d := mustDeclare(t, f, tokenstore.DeclarationRecord{Connection: k.Connection, Sealed: []byte("record")})
	for _, k := range []tokenstore.Key{k, subject, variant} {
		want := mustMint(t, f, k, "token_1")
		d.Sealed = []byte("record of " + k.Subject + k.Variant)
		d = mustDeclare(t, f, d)
		for _, consistent := range []bool{true, false} {
			item, record, err := f.GetWithDeclaration(t.Context(), k, consistent)
			if err != nil {
				t.Fatalf("GetWithDeclaration: %v", err)
			}
			diff(t, "item", want, item)
			diff(t, "record", d, record)
		}
	}
	items, next, err := f.Subjects(t.Context(), k.Connection, 10, "")
	if err != nil || next != "" || len(items) != 1 || items[0].Key != subject {
		t.Errorf("Subjects: %v, %q, %v, want the subject alone", items, next, err)
	}
}

func manyDeclarations(t *testing.T, f *fixture) {
	var names []string
	var want []tokenstore.DeclarationRecord
	for i := range 250 {
		d := tokenstore.DeclarationRecord{Connection: fmt.Sprintf("%s-%03d", key(t).Connection, (i*97)%250)}
		if i%5 != 0 { // the others are missing
			d.Sealed = []byte(d.Connection)
			d = mustDeclare(t, f, d)
		}
		names, want = append(names, d.Connection), append(want, d)
	}
	names, want = append(names, names[0], names[1]), append(want, want[0], want[1]) // named twice
	got, err := f.ReadDeclarations(t.Context(), names, true)
	if err != nil {
		t.Fatalf("ReadDeclarations: %v", err)
	}
	diff(t, "records", want, got)
}

func declarationNames(t *testing.T, f *fixture) {
	unique, long := key(t).Connection, strings.Repeat("a", 64)
	names := []string{
		"abcdefghijklmnopqrstuvwxyz-0123456789", "0-" + unique, unique + ".member", unique + ".a--0", long + "." + long,
		"connection", "declaration", "session", "renewer", "cursor", "token", "subject", "record",
	}
	var want []tokenstore.DeclarationRecord
	for _, name := range names {
		want = append(want, mustDeclare(t, f, tokenstore.DeclarationRecord{Connection: name, Sealed: []byte(name)}))
	}
	got, err := f.ReadDeclarations(t.Context(), names, true)
	if err != nil {
		t.Fatalf("ReadDeclarations: %v", err)
	}
	diff(t, "records", want, got)
	listed := slices.Concat(listDeclared(t, f)...)
	for _, name := range names {
		diff(t, "item of "+name, tokenstore.Item{Key: tokenstore.Key{Connection: name}}, get(t, f, tokenstore.Key{Connection: name}))
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
	}
}

// listDeclared reads all pages of all shards.
func listDeclared(t *testing.T, f *fixture) (shards [][]string) {
	t.Helper()
	for shard := range wheel.Shards {
		var all []string
		next := ""
		for page := 0; page == 0 || next != ""; page++ {
			names, more, err := f.DeclaredConnections(t.Context(), shard, next)
			if err != nil || page > 100 {
				t.Fatalf("DeclaredConnections: page %d, %v", page, err)
			}
			all, next = append(all, names...), more
		}
		shards = append(shards, all)
	}
	return shards
}

func declaredConnections(t *testing.T, f *fixture) {
	want := make([][]string, wheel.Shards)
	for i := range 130 * wheel.Shards { // more than a page in a shard
		d := tokenstore.DeclarationRecord{Connection: fmt.Sprintf("%s-%03d", key(t).Connection, i), Sealed: []byte("x")}
		for range 1 + i%2 { // written once or twice
			d = mustDeclare(t, f, d)
		}
		shard := wheel.RecordShard(d.Connection)
		want[shard] = append(want[shard], d.Connection)
	}
	got := listDeclared(t, f)
	for shard := range got {
		got[shard] = slices.DeleteFunc(got[shard], func(name string) bool { return !strings.HasPrefix(name, key(t).Connection+"-") })
		slices.Sort(got[shard])
		if keys := allDue(t, f, wheel.RecordSlot(shard)); len(keys) != 0 {
			t.Errorf("due: %v", keys)
		}
	}
	diff(t, "connections by shard", want, got)
}

// randomDeclarations compares random writes and reads of two connections with a model.
func randomDeclarations(t *testing.T, f *fixture) {
	history := 0
	rapid.Check(t, func(rt *rapid.T) {
		history++
		model := map[string]tokenstore.DeclarationRecord{}
		for range steps {
			before := modelled(model, fmt.Sprint(key(t).Connection, "-", history, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "connection")))
			d := before
			d.Version = max(0, before.Version+rapid.SampledFrom([]int64{0, 0, 0, -1, 1}).Draw(rt, "offset"))
			d.Sealed = []byte(rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "sealed"))
			want, wantErr := before, tokenstore.ErrSuperseded
			switch {
			case d.AlreadyApplied(before):
				wantErr = nil
			case d.Version == before.Version:
				want, wantErr = d.Next(), nil
				model[d.Connection] = want
			}
			got, err := f.WriteDeclaration(t.Context(), d)
			if !errors.Is(err, wantErr) {
				rt.Fatalf("WriteDeclaration: %v, want %v", err, wantErr)
			}
			if d := cmp.Diff(want, got); d != "" {
				rt.Errorf("WriteDeclaration returned (-want +got):\n%s", d)
			}
			stored, err := f.ReadDeclarations(t.Context(), []string{d.Connection}, true)
			if d := cmp.Diff([]tokenstore.DeclarationRecord{modelled(model, d.Connection)}, stored); d != "" || err != nil {
				rt.Errorf("stored: %v (-want +got):\n%s", err, d)
			}
		}
	})
}

func modelled(model map[string]tokenstore.DeclarationRecord, connection string) tokenstore.DeclarationRecord {
	d := model[connection]
	d.Connection = connection
	return d
}

func declarationCalls(s Store, k tokenstore.Key) calls {
	return calls{
		"GetWithDeclaration": func(ctx context.Context) error {
			_, _, err := s.GetWithDeclaration(ctx, k, false)
			return err
		},
		"ReadDeclarations": func(ctx context.Context) error {
			_, err := s.ReadDeclarations(ctx, []string{k.Connection}, true)
			return err
		},
		"WriteDeclaration": func(ctx context.Context) error {
			_, err := s.WriteDeclaration(ctx, tokenstore.DeclarationRecord{Connection: k.Connection, Sealed: []byte("x")})
			return err
		},
		"DeclaredConnections": func(ctx context.Context) error { _, _, err := s.DeclaredConnections(ctx, 0, ""); return err },
	}
}
