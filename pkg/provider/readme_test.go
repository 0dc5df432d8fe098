package provider_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

var update = flag.Bool("update", false, "write README.md")

const readmeHead = `# The catalogue of providers

An entry is one file in [catalogue](catalogue): endpoints, and where the server differs from RFC 6749. What its vendor documents of a request and the answer is in the file of the same name in
[vectors](vectors), which a test replays through the client of the token endpoint.

%d entries, %d of them verified: compared, member by member, with the vendor's pages on the date in the table. The others are *not verified*; try such a connection before you rely on it.

A connection names the entry in ` + "`provider`" + `, and gives what the table says besides ` + "`client_id` and `client_secret`" + `. Names without a further word are those of ` + "`variables`" + `:

` + "```json" + `
{"provider": "shopify", "variables": {"shop": "acme"}, "client_id": "…", "client_secret": "…"}
` + "```" + `

A server that is not here is declared in the connection, in the same format; see [the connection's members](../../functions/README.md). Table: ` + "`go generate ./pkg/provider`" + `.

| provider | name | grants | a connection also gives | verified |
|---|---|---|---|---|
`

// TestReadmeIsGenerated: the table is what the entries say.
func TestReadmeIsGenerated(t *testing.T) {
	var rows strings.Builder
	verified := 0
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		date := p.Verified
		if date == "" {
			date = "no"
		} else {
			verified++
		}
		fmt.Fprintf(&rows, "| [%s](catalogue/%s.json) | [%s](%s) | %s | %s | %s |\n",
			name, name, p.Title, p.Documentation[0], strings.Join(grantsOf(p), ", "), givenTo(p), date)
	}
	want := fmt.Sprintf(readmeHead, len(provider.Names()), verified) + rows.String()
	const file = "README.md"
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the entries say (%v); run: go generate ./pkg/provider", file, err)
	}
}

func grantsOf(p provider.Provider) []string {
	switch {
	case p.GrantTypes == nil:
		return []string{"client_credentials", "authorization_code"}
	case len(p.GrantTypes) == 0:
		return []string{"none"}
	}
	return p.GrantTypes
}

// givenTo is what an operator states for an entry.
func givenTo(p provider.Provider) string {
	grants := grantsOf(p)
	if grants[0] == "none" {
		return p.Note
	}
	var required, optional []string
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		if p.Variables[name].Default == "" {
			required = append(required, "`"+name+"`")
		} else {
			optional = append(optional, "`"+name+"`")
		}
	}
	add := func(when bool, text string) {
		if when {
			required = append(required, text)
		}
	}
	add(p.TokenPath != "", "member `base_url`")
	add(p.TokenPath == "" && p.TokenURL == "", "member `token_url`")
	add(p.AuthorizationURL == "" && slices.Contains(grants, "authorization_code"), "member `authorization_url` for authorization_code")
	add(slices.Contains(grants, "password"), "members `username`, `password`")
	add(p.ClientAuth == provider.PrivateKeyJWT, "member `private_key`, no secret")
	add(p.ClientAuth != provider.PrivateKeyJWT && slices.Contains(grants, "jwt_bearer"), "member `private_key` for jwt_bearer")
	add(p.ClientAuth == provider.NoClientAuth, "no secret")
	given := strings.Join(required, ", ")
	if len(optional) > 0 {
		given = strings.TrimPrefix(given+"; if it differs: "+strings.Join(optional, ", "), "; ")
	}
	return cmp.Or(given, "nothing")
}
