package provider_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// The documented facts are repeated here on purpose, so that an edit of the
// catalogue is deliberate.
func TestCatalogue(t *testing.T) {
	want := []provider.Provider{
		{
			Name:       "agile-now",
			TokenPath:  "/oAuth/rest/v2/Token", // the server is case-sensitive
			GrantTypes: []string{"client_credentials"},
			ClientAuth: provider.ClientSecretPost, DefaultExpiresIn: 3599 * time.Second,
		},
		{
			Name:       "cliquify",
			TokenURL:   "https://oauth.cliquify.me/oauth/access-token",
			GrantTypes: []string{"client_credentials"},
			ClientAuth: provider.ClientSecretPost, DefaultExpiresIn: 30 * 24 * time.Hour,
			Response: provider.Shape{
				AccessToken: "/token/access_token", TokenType: "/token/token_type", ExpiresIn: "/token/expires_in", Success: "/success",
			},
		},
		{
			Name:             "creative-force",
			TokenURL:         "https://accounts.creativeforce.io/connect/token",
			AuthorizationURL: "https://accounts.creativeforce.io/connect/authorize",
			ClientAuth:       provider.ClientSecretPost, DefaultExpiresIn: time.Hour,
			RefreshToken: provider.RefreshToken{ExpiresIn: 30 * 24 * time.Hour},
			Request:      provider.RequestShape{RepeatScope: true},
			Scope:        map[string]string{"client_credentials": "cfgateway", "authorization_code": "cfgateway offline_access"},
		},
		{
			Name:       "oauth2",
			GrantTypes: []string{"client_credentials", "authorization_code", "jwt_bearer"},
			ClientAuth: provider.ClientSecretBasic,
		},
	}
	display := cmpopts.IgnoreFields(provider.Provider{}, "Title", "Documentation", "Verified")
	for _, w := range want {
		got, ok := provider.Lookup(w.Name)
		if !ok {
			t.Errorf("Lookup(%q): not found", w.Name)
		}
		if diff := cmp.Diff(w, got, display); diff != "" {
			t.Errorf("%s (-want +got):\n%s", w.Name, diff)
		}
	}
}

// TestEveryEntryIsRead: Lookup panics on an invalid file, so this test reads each.
func TestEveryEntryIsRead(t *testing.T) {
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			p, ok := provider.Lookup(name)
			if !ok || p.Name != name || p.Title == "" || len(p.Documentation) == 0 {
				t.Errorf("Lookup = %+v, %v", p, ok)
			}
			if name == provider.Inline {
				t.Error("the name is that of declared providers; choose another")
			}
		})
	}
}

func TestLookupUnknown(t *testing.T) {
	for _, name := range []string{"", "Creative-Force", "oauth2.json", "../catalogue/oauth2"} {
		if p, ok := provider.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %v, want none", name, p)
		}
	}
}

func TestNamesAreSorted(t *testing.T) {
	if names := provider.Names(); !slices.IsSorted(names) {
		t.Errorf("Names = %v, want them sorted", names)
	}
}

func TestEveryProviderHasAVector(t *testing.T) {
	for _, file := range catalogueFiles(t) {
		if _, err := os.Stat(filepath.Join("vectors", filepath.Base(file))); err != nil {
			t.Errorf("%s has no documented exchange under vectors/: %v", file, err)
		}
	}
	vectors, _ := filepath.Glob("vectors/*.json")
	for _, file := range vectors {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !slices.Contains(provider.Names(), name) {
			t.Errorf("%s belongs to no provider of the catalogue", file)
		}
	}
}

func catalogueFiles(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("catalogue/*.json")
	if err != nil || len(found) == 0 {
		t.Fatalf("no catalogue files: %v", err)
	}
	return found
}
