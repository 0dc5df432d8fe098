package connection_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// edits are two values of each member, and which hashes distinguish them.
var edits = map[string]struct {
	a, b          any
	inputs, proof bool
}{
	"provider":                 {"oauth2", "creative-force", true, false},
	"client_id":                {"app", "app2", true, false},
	"client_secret":            {"hush", "hush2", false, true},
	"scope":                    {"a", "a b", true, false},
	"token_url":                {"https://idp.example.com/token", "https://idp.example.com/token2", true, false},
	"issuer":                   {"https://idp.example.com", "https://idp.example.com/2", true, false},
	"token_params":             {map[string]any{"a": "1"}, map[string]any{"a": "2"}, true, false},
	"response":                 {map[string]any{"access_token": "/a"}, map[string]any{"access_token": "/b"}, true, false},
	"default_expires_in":       {60, 61, true, false},
	"refresh_token_expires_in": {60, 61, true, false},
	"callers":                  {[]any{map[string]any{"principal": "arn:aws:iam::111122223333:role/a"}}, []any{map[string]any{"principal": "arn:aws:iam::111122223333:role/b"}}, false, false},
	"early_refresh":            {true, false, false, false},
	"revocation_url":           {"https://idp.example.com/revoke", "https://idp.example.com/revoke2", false, false},
	"authorization_url":        {"https://idp.example.com/a", "https://idp.example.com/b", false, false},
	"redirect_uri":             {"https://app.example.com/a", "https://app.example.com/b", false, false},
	"pkce":                     {true, false, false, false},
	"authorization_params":     {map[string]any{"a": "1"}, map[string]any{"a": "2"}, false, false},
}

func hashed(t *rapid.T, members map[string]any) connection.Connection {
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connection.Parser{}.Parse("crm", clientsecret.Secret{Name: "crm", ARN: "arn", VersionID: "1", Text: redact.New(string(text)), Origin: "secret crm"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHashes_CR21_CR37_anyEdit edits any set of members: each hash changes if and
// only if one of its members does.
func TestHashes_CR21_CR37_anyEdit(t *testing.T) {
	names := slices.Sorted(maps.Keys(edits))
	rapid.Check(t, func(t *rapid.T) {
		before := map[string]any{"grant_type": "authorization_code"}
		for _, name := range names {
			before[name] = edits[name].a
		}
		after, inputs, proof := maps.Clone(before), false, false
		edited := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "edited")
		for _, name := range edited {
			e := edits[name]
			after[name], inputs, proof = e.b, inputs || e.inputs, proof || e.proof
		}
		was, is := hashed(t, before), hashed(t, after)
		if (was.InputsHash != is.InputsHash) != inputs || (was.ProofHash != is.ProofHash) != proof {
			t.Errorf("edited %v: inputs changed %v, proof changed %v", edited, was.InputsHash != is.InputsHash, was.ProofHash != is.ProofHash)
		}
		if (was.ConfigHash != is.ConfigHash) != (len(edited) > 0) {
			t.Errorf("edited %v: the declaration's hash changed %v", edited, was.ConfigHash != is.ConfigHash)
		}
	})
}

func TestHashes_CR37_clientCredentials(t *testing.T) {
	parse := func(text string) connection.Connection {
		c, err := connection.Parser{}.Parse("crm", clientsecret.Secret{Name: "crm", ARN: "arn", VersionID: "1", Text: redact.New(text), Origin: "secret crm"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const base = `"provider":"oauth2","client_id":"a","client_secret":"s","token_url":"https://idp.example.com/t"`
	was := parse(`{` + base + `}`)
	for name, text := range map[string]string{
		"allowed_scopes says who may ask": `{` + base + `,"allowed_scopes":["x"]}`,
		"the order of members":            `{"client_secret":"s",` + `"token_url":"https://idp.example.com/t","provider":"oauth2","client_id":"a"}`,
		"white space":                     `{ ` + base + "\n}",
	} {
		t.Run("CR-37 no input is: "+name, func(t *testing.T) {
			if is := parse(text); is.InputsHash != was.InputsHash || is.ProofHash != was.ProofHash {
				t.Error("a hash changed")
			}
		})
	}
}
