package cursor_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/internal/cursor"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scope, position := rapid.String().Draw(t, "scope"), rapid.String().Draw(t, "position")
		got, err := cursor.Decode(scope, cursor.Encode(scope, position))
		if err != nil || got != position {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestAnotherScopeIsRefused(t *testing.T) {
	if _, err := cursor.Decode("b", cursor.Encode("a", "x")); !errors.Is(err, clientsecret.ErrBadCursor) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAA")
	f.Add(cursor.Encode("s", "crm"))
	f.Add(cursor.Encode("s", "crm") + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		position, err := cursor.Decode("s", text)
		if err == nil && cursor.Encode("s", position) != text {
			t.Errorf("%q was accepted and is not what Encode writes", text)
		}
		if err != nil && !errors.Is(err, clientsecret.ErrBadCursor) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
