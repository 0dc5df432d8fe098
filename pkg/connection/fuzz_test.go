package connection_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// Any text parses to connections that stay equal when it is written differently, or
// to errors that stay equal when it is parsed again.
func FuzzSecretJSON(f *testing.F) {
	for _, seed := range []string{
		creativeForce, delegated, agileNow, generic, mixed, declared, consents, tenant,
		`{"provider":{"token_url":"https://{a}.example.{b}/{a}?x={a}#{a}","variables":{"a":{"pattern":"[a-z]+"},"b":{"values":["com"]}}},"variables":{"a":"x","b":"com"},"client_id":"a","client_secret":"b"}`,
		`{"provider":{"token_path":"/t","request":{"names":{"code":"x"},"headers":{"A":"{uuid}"}},"callback":{"extra":{"a":"b"}},"refresh_token":{"rotation":"grace","grace":1}},"base_url":"https://a.example.com"}`,
		`{"provider":"oauth2","grant_type":"jwt_bearer","client_id":{"secret":"s","pointer":"/a"},"headers":{"X":{"secret":"s"}},"assertion":{"subject":{"a":"b"},"claims":{"x":[{}]}},"$schema":"x"}`,
		`{"$schema":"x","connections":{"a":{"provider":{"response":{"success":{"pointer":"/a","equals":1e400},"ended":[1e9,-0]}}}}}`, "", "null", "[]", `{"connections":{"a":{}}}`, `{"connections":[]}`,
		`{"client_id":"a","client_id":"b"}`, "\xff\xfe{\x00}\x00", `{"client_secret":"\ud800"}`,
		`{"provider":"oauth2","client_id":"a","client_auth":"private_key_jwt","private_key":"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----"}`,
		`{"provider":"oauth2","token_params":{"a":["b",{}]},"response":{"scope":"/~"},"callers":[{"principal":"arn:aws:iam::111122223333:role/*"}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, second := connection.Parser{}.Expand(secretOf(text)), connection.Parser{}.Expand(secretOf(text))
		for i, e := range first {
			if e.Err != nil {
				if again := second[i].Err; again == nil || again.Error() != e.Err.Error() {
					t.Fatalf("problem = %v, the next time %v", e.Err, again)
				}
				continue
			}
			name, err := connection.ParseName(e.Name)
			if err != nil {
				t.Fatalf("accepted under the name %q", e.Name)
			}
			rewritten, err := connection.Parser{}.Parse(name, secretOf(rewrite(t, text)))
			if err != nil || rewritten.ConfigHash != e.Connection.ConfigHash {
				t.Fatalf("written again: hash %s, %v; want %s", rewritten.ConfigHash, err, e.Connection.ConfigHash)
			}
		}
	})
}

// rewrite changes white space, escapes and the order of members, and nothing else.
func rewrite(t *testing.T, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if len(again) > 64<<10 {
		t.Skip("too large when indented")
	}
	return string(again)
}

// The errors never show the value of a member.
func FuzzNoValueInErrors(f *testing.F) {
	shapes := []string{`%`, `[%]`, `{"a":%}`, `[{"principal":%,"scopes":[%],"subjects":[%]}]`, `{"access_token":%,"scope":[%]}`,
		`{"secret":%,"pointer":%}`, `{"X-A":%}`, `{"claims":{"a":%},"subject":%,"audience":[%]}`,
		`{"token_url":%,"scope":{"client_credentials":%},"request":{"body":%,"headers":{"X-A":%},"names":{"code":%}},"token_params":{"a":[%]}}`,
		`{"token_url":"https://{a}.example.com/{a}","variables":{"a":{"default":%}},"response":{"success":{"pointer":%,"equals":%},"extra":{"a":%},"ended":[%]}}`,
	}
	members := []string{
		"provider", "grant_type", "client_id", "client_secret", "client_auth", "private_key", "key_id", "scope", "allowed_scopes",
		"base_url", "token_url", "authorization_url", "revocation_url", "issuer", "redirect_uri", "pkce", "token_params",
		"authorization_params", "response", "default_expires_in", "refresh_token_expires_in", "early_refresh", "callers", "unknown",
		"$schema", "variables", "headers", "certificate", "signing_algorithm", "assertion", "username", "password", "token_timeout",
	}
	bases := []string{creativeForce, delegated, agileNow, generic, declared, consents, tenant}
	for i := range members {
		f.Add(i, i, i, "https://", "")
		f.Add(i, i+1, i+2, "-----BEGIN ", " -----")
		f.Add(i, i+2, i+1, "arn:aws:iam::", ":\x00*")
	}
	f.Fuzz(func(t *testing.T, base, member, shape int, before, after string) {
		quoted, err := json.Marshal(before + canary + after)
		if err != nil {
			t.Fatal(err)
		}
		value := strings.ReplaceAll(pick(shapes, shape), "%", string(quoted))
		text := with(t, pick(bases, base), pick(members, member), value)
		for _, e := range (connection.Parser{}).Expand(secretOf(text)) {
			if e.Err != nil && strings.Contains(e.Err.Error(), canary) {
				t.Fatalf("the error shows a value: %v", e.Err)
			}
		}
	})
}

func pick(from []string, i int) string { return from[int(uint(i)%uint(len(from)))] }
