package connection_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

func TestNormalizeScope(t *testing.T) {
	tests := []struct {
		name, scope, want string
		refused           bool
	}{
		{"empty is not asked for", "", "", false},
		{"one", "read", "read", false},
		{"sorted", "write read", "read write", false},
		{"once each", "b a b", "a b", false},
		{"case counts", "a A", "A a", false},
		{"BI-47 star", "*", "*", false},
		{"every allowed end", "!#[]~", "!#[]~", false},
		{"BI-47 quote", `a"b`, "", true},
		{"BI-47 backslash", `a\b`, "", true},
		{"BI-47 control", "a\tb", "", true},
		{"BI-47 DEL", "a\x7f", "", true},
		{"BI-47 non-ASCII", "é", "", true},
		{"two spaces", "a  b", "", true},
		{"space first", " a", "", true},
		{"space last", "a ", "", true},
		{"only a space", " ", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := connection.NormalizeScope(tt.scope)
			if tt.refused != errors.Is(err, connection.ErrScope) || got != tt.want {
				t.Errorf("NormalizeScope = %q, %v; want %q, refused %v", got, err, tt.want, tt.refused)
			}
		})
	}
}

func TestNormalizeScopeProperties(t *testing.T) {
	token := rapid.StringMatching(`[!#-\[\]-~]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		tokens := rapid.SliceOfN(token, 1, 8).Draw(t, "tokens")
		want, err := connection.NormalizeScope(strings.Join(tokens, " "))
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		shuffled := rapid.Permutation(append(tokens, tokens...)).Draw(t, "shuffled")
		got, err := connection.NormalizeScope(strings.Join(shuffled, " "))
		if err != nil || got != want {
			t.Fatalf("another way to write it gives %q, %v; want %q", got, err, want)
		}
		if !slices.IsSorted(strings.Split(got, " ")) {
			t.Fatalf("%q is not sorted", got)
		}
	})
}

func TestEffectiveScope(t *testing.T) {
	fixed := connection.Connection{Scope: "z a"}
	open := connection.Connection{Scope: "z a", AllowedScopes: []string{"read", "write"}}
	tests := []struct {
		name      string
		c         connection.Connection
		requested string
		want      string
		problem   string
	}{
		{"own scope, as declared", open, "", "z a", ""},
		{"one of those allowed", open, "write", "write", ""},
		{"normalised", open, "write read write", "read write", ""},
		{"one token outside", open, "read admin", "", "choose from read write"},
		{"its own scope is not a choice", open, "a z", "", "choose from read write"},
		{"case counts", open, "Read", "", "choose from"},
		{"no choice", fixed, "a", "", "cannot choose a scope"},
		{"malformed", open, "read  write", "", "one space between"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.c.EffectiveScope(tt.requested)
			if tt.problem == "" {
				if err != nil || got != tt.want {
					t.Errorf("EffectiveScope = %q, %v; want %q", got, err, tt.want)
				}
				return
			}
			if !errors.Is(err, connection.ErrScope) || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("EffectiveScope = %q, %v; want ErrScope with %q", got, err, tt.problem)
			}
		})
	}
}
