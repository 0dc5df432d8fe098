package provider_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// The documented facts are repeated here on purpose, so that an edit of the
// catalogue is deliberate.
func TestCatalogue(t *testing.T) {
	want := []provider.Provider{
		{
			Name:       "agile-now",
			TokenPath:  "/oAuth/rest/v2/Token", // the server is case-sensitive
			ClientAuth: provider.ClientSecretPost, DefaultExpiresIn: 3599 * time.Second,
		},
		{
			Name:       "cliquify",
			TokenURL:   "https://oauth.cliquify.me/oauth/access-token",
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
		{Name: "oauth2", ClientAuth: provider.ClientSecretBasic},
	}
	var got []provider.Provider
	for _, name := range provider.Names() {
		p, ok := provider.Lookup(name)
		if !ok {
			t.Errorf("Lookup(%q): not found, although Names has it", name)
		}
		got = append(got, p)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("catalogue (-want +got):\n%s", diff)
	}
}

func TestLookupUnknown(t *testing.T) {
	for _, name := range []string{"", "Creative-Force", "oauth2.json", "../catalogue/oauth2"} {
		if p, ok := provider.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %v, want none", name, p)
		}
	}
}

func TestCatalogueFilesAreStrictJSON(t *testing.T) {
	for _, file := range catalogueFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := strictjson.Parse(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestResponsePointersAreWellFormed(t *testing.T) {
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		s := p.Response
		for _, pointer := range []string{
			s.AccessToken, s.TokenType, s.ExpiresIn, s.RefreshToken, s.RefreshTokenExpiresIn, s.Scope, s.Success, s.Error, s.ErrorDescription,
		} {
			if err := strictjson.CheckPointer(pointer); err != nil {
				t.Errorf("%s: a response pointer %v", name, err)
			}
		}
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
