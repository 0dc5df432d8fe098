package provider_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
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

A server that is not here is declared in the connection, in the same format; see [the connection's members](../../functions/README.md). ` + "`tokenvend providers new`" + ` asks what it is like, tries it, and prints the object. Table: ` + "`go generate ./pkg/provider`" + `.

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
			name, name, p.Title, p.Documentation[0], cmp.Or(strings.Join(p.Grants(), ", "), "none"), givenTo(p), date)
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

// givenTo is what an operator states for an entry.
func givenTo(p provider.Provider) string {
	if len(p.Grants()) == 0 {
		return p.Note
	}
	var required, optional []string
	secret := false
	for _, g := range p.Given() {
		name, isVariable := strings.CutPrefix(g.Member, "variables/")
		switch {
		case isVariable && g.Default != "":
			optional = append(optional, "`"+name+"`")
		case isVariable:
			required = append(required, "`"+name+"`")
		case g.Member == "client_secret":
			secret = true
		case g.Grant != "":
			required = append(required, "member `"+g.Member+"` for "+g.Grant)
		default:
			required = append(required, "member `"+g.Member+"`")
		}
	}
	if !secret {
		required = append(required, "no secret")
	}
	given := strings.Join(required, ", ")
	if len(optional) > 0 {
		given = strings.TrimPrefix(given+"; if it differs: "+strings.Join(optional, ", "), "; ")
	}
	return cmp.Or(given, "nothing")
}
