package connection_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// edit is a member with a value, and whether a token would be requested otherwise:
// with other inputs, or with another proof of the client.
type edit struct {
	value         string
	inputs, proof bool
}

// editsOfProvider are edits of a declared provider, one for each member.
var editsOfProvider = map[string]edit{
	"title":                 {`"a"`, false, false},
	"documentation":         {`"https://docs.example.com/"`, false, false},
	"note":                  {`"a"`, false, false},
	"variables":             {`{"v":{"default":"a"}}`, true, false}, // used by the issuer of the base
	"token_path":            {"", true, false},
	"token_url":             {`"https://as.example.com/other"`, true, false},
	"refresh_url":           {`"https://as.example.com/r"`, true, false},
	"authorization_url":     {`"https://as.example.com/other"`, false, false},
	"revocation_url":        {`"https://as.example.com/r"`, false, false},
	"issuer":                {`"https://as.example.com/{v}/other"`, true, false},
	"grant_types":           {`["authorization_code"]`, true, false},
	"client_auth":           {`"client_secret_post"`, true, false},
	"scope":                 {`{"authorization_code":"a"}`, true, false},
	"scope_separator":       {`","`, true, false},
	"scope_aliases":         {`{"a":"b"}`, true, false},
	"request":               {`{"body":"json"}`, true, false},
	"token_params":          {`{"a":"b"}`, true, false},
	"refresh_params":        {`{"a":"b"}`, true, false},
	"authorization_params":  {`{"a":"b"}`, false, false},
	"response":              {`{"user":"/u"}`, true, false},
	"callback":              {`{"code":"c"}`, false, false},
	"default_expires_in":    {`"never"`, true, false},
	"refresh_token":         {`{"rotation":"kept"}`, true, false},
	"early_refresh":         {`false`, false, false},
	"pkce":                  {`false`, false, false},
	"new_token_revokes_old": {`true`, true, false},
	"revocation_ends_grant": {`true`, false, false},
	"present":               {`{"prefix":"x "}`, false, false},
	"max_renewal_groups":    {`2`, false, false},
}

// TestHashes_CR37_everyProviderMember: each member of a declared provider is an input of
// tokens or not, on purpose.
func TestHashes_CR37_everyProviderMember(t *testing.T) {
	base := inProvider(t, inProvider(t, consents, "variables", `{"v":{"default":"b"}}`), "issuer", `"https://as.example.com/{v}"`)
	for _, name := range object.NamesOf(provider.Fields()) {
		e, ok := editsOfProvider[name]
		switch {
		case !ok:
			t.Errorf("say in this test whether %s changes which token the provider issues", name)
		case e.value != "": // token_path excludes the token_url of the base
			t.Run("CR-37 "+name, func(t *testing.T) { judge(t, base, inProvider(t, base, name, e.value), e) })
		}
	}
}

// TestHashes_CR37_newMembers are members of a connection that anyEdit does not edit.
func TestHashes_CR37_newMembers(t *testing.T) {
	key := jwtClient(t, pkcs8(t, rsaKey(t, 2048)))
	for name, tt := range map[string]struct {
		base string
		edit edit
	}{
		"variables":         {tenant, edit{`{"shop":"other"}`, true, false}},
		"headers":           {generic, edit{`{"X-Key":"c4n4ry"}`, true, false}},
		"key_id":            {key, edit{`"a"`, false, true}},
		"signing_algorithm": {key, edit{`"PS256"`, false, true}},
		"assertion":         {key, edit{`{"lifetime":30}`, true, false}},
		"token_timeout":     {generic, edit{`15`, false, false}},
		"$schema":           {generic, edit{`"a"`, false, false}},
	} {
		t.Run("CR-37 "+name, func(t *testing.T) { judge(t, tt.base, with(t, tt.base, name, tt.edit.value), tt.edit) })
	}
}

func judge(t *testing.T, before, after string, e edit) {
	t.Helper()
	hashes := func(text string) connection.Connection {
		c, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	was, is := hashes(before), hashes(after)
	if (was.InputsHash != is.InputsHash) != e.inputs || (was.ProofHash != is.ProofHash) != e.proof {
		t.Errorf("inputs changed %v, proof changed %v; want %v, %v", was.InputsHash != is.InputsHash, was.ProofHash != is.ProofHash, e.inputs, e.proof)
	}
}
