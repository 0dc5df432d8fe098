package seal_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

const (
	firstKey  = "first-key-0123456789-0123456789-0123456789"
	secondKey = "second-key-0123456789-0123456789-012345678"
	oneKey    = `{"primary":"k1","k1":"` + firstKey + `"}`
	added     = `{"primary":"k1","k1":"` + firstKey + `","k2":"` + secondKey + `"}`
	rotated   = `{"primary":"k2","k1":"` + firstKey + `","k2":"` + secondKey + `"}`
	retired   = `{"primary":"k2","k2":"` + secondKey + `"}`
)

// identity is the identity of the tests' texts: item, attribute, version.
var identity = []string{"connection/crm", "token", "generation-1"}

// fixed returns one keyset.
func fixed(text string) func(context.Context) (redact.Secret, error) {
	return func(context.Context) (redact.Secret, error) { return redact.New(text), nil }
}

func sealer(keyset string) *seal.Sealer { return seal.New(seal.Config{Keyset: fixed(keyset)}) }

func mustSeal(t *testing.T, s *seal.Sealer, plaintext string, ad ...string) []byte {
	t.Helper()
	sealed, err := s.Seal(t.Context(), []byte(plaintext), ad...)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func TestRoundTrip(t *testing.T) {
	s := sealer(oneKey)
	rapid.Check(t, func(rt *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(rt, "plaintext")
		ad := rapid.SliceOf(rapid.String()).Draw(rt, "ad")
		sealed, err := s.Seal(t.Context(), plaintext, ad...)
		if err != nil {
			rt.Fatalf("Seal: %v", err)
		}
		opened, err := s.Open(t.Context(), sealed, ad...)
		if err != nil || !bytes.Equal(opened, plaintext) {
			rt.Fatalf("Open: %q, %v", opened, err)
		}
	})
}

// TestFormat pins the format: what was sealed by an earlier build must open.
func TestFormat(t *testing.T) {
	s := seal.New(seal.Config{Keyset: fixed(oneKey), Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 12))})
	got := hex.EncodeToString(mustSeal(t, s, "token_1", identity...))
	const want = "0102" + "6b31" + "070707070707070707070707" + "48512aacd47bd057e7e07ec50a81559baff8022b7a371e"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sealed text (-want +got):\n%s", d)
	}
}

func TestSealHidesAndVaries(t *testing.T) {
	s := sealer(oneKey)
	first, second := mustSeal(t, s, "token_1", identity...), mustSeal(t, s, "token_1", identity...)
	if bytes.Equal(first, second) {
		t.Error("AZ-52 two seals of one text are the same: the nonce is not random")
	}
	if bytes.Contains(first, []byte("token_1")) {
		t.Error("AZ-52 the sealed text shows the plaintext")
	}
	if size := len(first) - len("token_1"); size > 2+2+12+16 {
		t.Errorf("sealing adds %d bytes, want at most 32 under a short key id", size)
	}
}

func TestOpenDamaged(t *testing.T) {
	s := sealer(oneKey)
	sealed := mustSeal(t, s, "token_1", identity...)
	for i := range sealed {
		for _, bit := range []byte{0x01, 0x80} {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= bit
			_, err := s.Open(t.Context(), damaged, identity...)
			wantFailure(t, "BI-73 bit flipped", err)
		}
		_, err := s.Open(t.Context(), sealed[:i], identity...)
		wantCorrupt(t, "BI-73 truncated", err)
	}
	_, err := s.Open(t.Context(), append(bytes.Clone(sealed), 0), identity...)
	wantCorrupt(t, "BI-73 lengthened", err)
	_, err = s.Open(t.Context(), nil, identity...)
	wantCorrupt(t, "BI-73 empty", err)
	_, err = sealer(`{"primary":"k1","k1":"`+secondKey+`"}`).Open(t.Context(), sealed, identity...)
	wantCorrupt(t, "BI-73 another key of that name", err)
}

// wantFailure accepts ErrUnavailable too: a flipped bit in the key id may name
// another key, and an unknown key may become known.
func wantFailure(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrCorrupt) && !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrCorrupt or ErrUnavailable", what, err)
	}
}

func wantCorrupt(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrCorrupt) || errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrCorrupt", what, err)
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrUnavailable) || errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
}

func TestOpenElsewhere(t *testing.T) {
	s := sealer(oneKey)
	sealed := mustSeal(t, s, "token_1", "connection/crm", "token", "generation-1")
	for _, tc := range []struct {
		name string
		ad   []string
	}{
		{"AZ-52 another item", []string{"connection/erp", "token", "generation-1"}},
		{"AZ-52 another attribute", []string{"connection/crm", "refresh_token", "generation-1"}},
		{"CR-38 another generation", []string{"connection/crm", "token", "generation-2"}},
		{"AZ-52 a boundary moved", []string{"connection/crmt", "oken", "generation-1"}},
		{"AZ-52 parts joined", []string{"connection/crm" + "token" + "generation-1"}},
		{"AZ-52 a part more", []string{"connection/crm", "token", "generation-1", ""}},
		{"AZ-52 a part less", []string{"connection/crm", "token"}},
		{"AZ-52 parts swapped", []string{"token", "connection/crm", "generation-1"}},
		{"AZ-52 no parts", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.Open(t.Context(), sealed, tc.ad...)
			wantCorrupt(t, "Open", err)
		})
	}
}

func TestRotation(t *testing.T) {
	old := mustSeal(t, sealer(oneKey), "token_1", identity...)
	for _, tc := range []struct {
		name, keyset string
		open         bool
	}{
		{"AZ-52 a key was added", added, true},
		{"AZ-52 the new key is primary", rotated, true},
		{"FI-36 the old key was taken away too early", retired, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opened, err := sealer(tc.keyset).Open(t.Context(), old, identity...)
			if !tc.open {
				wantUnavailable(t, "Open", err)
				return
			}
			if err != nil || string(opened) != "token_1" {
				t.Errorf("Open: %q, %v", opened, err)
			}
		})
	}
	t.Run("AZ-52 the new primary seals", func(t *testing.T) {
		resealed := mustSeal(t, sealer(rotated), "token_1", identity...)
		if _, err := sealer(retired).Open(t.Context(), resealed, identity...); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestKeyID(t *testing.T) {
	sealed := mustSeal(t, sealer(rotated), "token_1", identity...)
	for _, c := range []struct {
		name, want string
		text       []byte
		ok         bool
	}{
		{"AZ-52 the key it was sealed with", "k2", sealed, true},
		{"AZ-52 cut short", "", sealed[:8], false},
		{"AZ-52 another text", "", []byte(`{"sealed":"with nothing at all, and long"}`), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := seal.KeyID(c.text); got != c.want || ok != c.ok {
				t.Errorf("%q, %t, want %q, %t", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestSealWithoutRandomness(t *testing.T) {
	s := seal.New(seal.Config{Keyset: fixed(oneKey), Rand: strings.NewReader("too short")})
	_, err := s.Seal(t.Context(), []byte("token_1"), identity...)
	wantUnavailable(t, "AZ-52 a nonce cut short", err)
}

func FuzzOpen(f *testing.F) {
	// One nonce: the processes of the fuzzer must seal identically.
	s := seal.New(seal.Config{Keyset: fixed(added), Rand: bytes.NewReader(make([]byte, 12))})
	sealed, err := s.Seal(f.Context(), []byte("token_1"), identity...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:20])
	f.Add([]byte{1, 255})
	f.Add([]byte("\x01\x02k9............................"))
	f.Fuzz(func(t *testing.T, text []byte) {
		opened, err := s.Open(t.Context(), text, identity...)
		switch {
		case bytes.Equal(text, sealed):
			if err != nil || string(opened) != "token_1" {
				t.Errorf("Open: %q, %v", opened, err)
			}
		case err == nil:
			t.Errorf("%x opened, but was never sealed", text)
		default:
			wantFailure(t, "Open", err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := sealer(oneKey)
	sealed, err := s.Seal(b.Context(), bytes.Repeat([]byte("x"), 450), identity...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(b.Context(), sealed, identity...); err != nil {
			b.Fatal(err)
		}
	}
}
