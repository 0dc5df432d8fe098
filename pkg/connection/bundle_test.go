package connection_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// mixed is a bundle with valid members and every kind of invalid one.
const mixed = `{"connections":{
	"good":` + generic + `,
	"bad":{"provider":"oauth2","client_secret":"c4n4ry ","client_id":"id","token_url":"https://as.example.com/token"},
	"twice":` + generic + `,
	"Upper":` + generic + `,
	"text":"c4n4ry",
	"inner":{"client_id":"c4n4ry","client_id":"c4n4ry"},
	"twice":` + creativeForce + `,
	"also-good":` + creativeForce + `}}`

func TestExpandBundle(t *testing.T) {
	type row struct{ Name, Problem string }
	var got []row
	for _, e := range (connection.Parser{}).Expand(secretOf(mixed)) {
		r := row{Name: e.Name}
		if e.Err != nil {
			r.Problem = e.Err.Error()
		} else if string(e.Connection.Name) != e.Name {
			t.Errorf("entry %s holds connection %s", e.Name, e.Connection.Name)
		}
		got = append(got, r)
	}
	want := []row{
		{"crm.good", ""},
		{"crm.bad", `file crm.json, member bad: member "client_secret": ends with white space or a line break; remove it`},
		{"crm.twice", `file crm.json, member twice: is declared more than once; keep one`},
		{"crm.Upper", `file crm.json, member Upper: has a name that is not valid for a connection; use 1 to 64 lower-case letters, digits and hyphens, beginning and ending with a letter or digit`},
		{"crm.text", `file crm.json, member text: is a string; it must be an object`},
		{"crm.inner", `file crm.json, member inner: member "client_id": is repeated; keep one`},
		{"crm.also-good", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("BI-41 entries (-want +got):\n%s", diff)
	}
}

func TestExpandSingle(t *testing.T) {
	tests := []struct {
		name, secretName, text string
		wantName, problem      string
	}{
		{"one connection", "crm", generic, "crm", ""},
		{"BI-60 unreadable", "crm", "[", "crm", "ends too early"},
		{"BI-41 dotted secret name", "crm.eu", generic, "crm.eu", "not valid for a connection"},
		{"BI-41 upper-case secret name", "CRM", generic, "CRM", "not valid for a connection"},
		{"BI-41 secret name with a line break", "crm\n", generic, "crm?", "not valid for a connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := secretOf(tt.text)
			s.Name = tt.secretName
			entries := connection.Parser{}.Expand(s)
			if len(entries) != 1 || entries[0].Name != tt.wantName {
				t.Fatalf("entries = %+v, want one called %s", entries, tt.wantName)
			}
			err := entries[0].Err
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("error = %v, want %q", err, tt.problem)
			}
		})
	}
}

func TestExpandEmptyBundle(t *testing.T) {
	if entries := (connection.Parser{}).Expand(secretOf(`{"connections":{}}`)); len(entries) != 0 {
		t.Errorf("entries = %+v, want none", entries)
	}
}

func TestParseFindsTheMember(t *testing.T) {
	single, bundle := secretOf(creativeForce), secretOf(mixed)
	tests := []struct {
		name   string
		ask    connection.Name
		secret clientsecret.Secret
		none   bool
	}{
		{"a connection", "crm", single, false},
		{"a member", "crm.also-good", bundle, false},
		{"a bundle by its own name", "crm", bundle, true},
		{"a bundle that has a nameless member", "crm", secretOf(`{"connections":{"":` + creativeForce + `}}`), true},
		{"a member the bundle has not", "crm.missing", bundle, true},
		{"a member of a secret that is no bundle", "crm.also-good", single, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connection.Parser{}.Parse(tt.ask, tt.secret)
			if errors.Is(err, connection.ErrNoConnection) != tt.none || !tt.none && err != nil {
				t.Fatalf("Parse: %v; want ErrNoConnection %v", err, tt.none)
			}
			if !tt.none && (c.Name != tt.ask || c.Provider != "creative-force") {
				t.Errorf("connection = %+v", c)
			}
		})
	}
}

func TestMemberIsOnlyItsOwnJSON(t *testing.T) {
	single, err := connection.Parser{}.Parse("crm", secretOf(creativeForce))
	if err != nil {
		t.Fatal(err)
	}
	member, err := connection.Parser{}.Parse("crm.also-good", secretOf(mixed))
	if err != nil {
		t.Fatal(err)
	}
	if member.ConfigHash != single.ConfigHash {
		t.Error("CR-21 a member's hash depends on what stands around it")
	}
	if _, err := (connection.Parser{}).Parse("crm.twice", secretOf(mixed)); err == nil || errors.Is(err, connection.ErrNoConnection) {
		t.Errorf("BI-41 member declared twice: %v, want a problem", err)
	}
}

func TestRefusesBundleShape(t *testing.T) {
	tests := []struct{ name, text, member, why string }{
		{"BI-52 a member beside connections", `{"connections":{},"provider":"c4n4ry"}`, "provider", "beside connections"},
		{"BI-64 connections twice", `{"connections":{},"connections":{}}`, "connections", "is repeated"},
		{"connections a list", `{"connections":["c4n4ry"]}`, "connections", "an object of connections"},
		{"connections null", `{"connections":null}`, "connections", "an object of connections"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.text, tt.member, tt.why) })
	}
	t.Run("BI-52 a bundle in a bundle", func(t *testing.T) {
		_, err := connection.Parser{}.Parse("crm.a", secretOf(`{"connections":{"a":{"connections":{}}}}`))
		var problem *connection.ValidationError
		if !errors.As(err, &problem) || problem.Member != "connections" || !strings.Contains(problem.Text, "is unknown") {
			t.Errorf("error = %v, want connections unknown", err)
		}
	})
}

func TestTenThousandConnections(t *testing.T) {
	const bundles, members, badBundle, badMember = 100, 100, 57, 31
	var good int
	var bad []string
	for i := range bundles {
		var texts []string
		for j := range members {
			text := fmt.Sprintf(`{"provider":"oauth2","client_id":"id-%d-%d","client_secret":"c4n4ry","token_url":"https://as.example.com/t"}`, i, j)
			if i == badBundle && j == badMember {
				text = strings.Replace(text, "client_id", "clientid", 1)
			}
			texts = append(texts, fmt.Sprintf(`"m%d":%s`, j, text))
		}
		s := secretOf(`{"connections":{` + strings.Join(texts, ",") + `}}`)
		s.Name = fmt.Sprintf("b%d", i)
		for _, e := range (connection.Parser{}).Expand(s) {
			if e.Err != nil {
				bad = append(bad, e.Name)
				continue
			}
			good++
		}
	}
	if want := []string{"b57.m31"}; good != bundles*members-1 || !cmp.Equal(bad, want) {
		t.Errorf("BI-55 %d connections work, invalid are %v; want all but %v", good, bad, want)
	}
}

func TestBundleOfTheLargestSize(t *testing.T) {
	var b strings.Builder
	for i := range 150 {
		fmt.Fprintf(&b, `,"member-%03d":{"provider":"creative-force","client_id":"%036d","client_secret":"%064d","scope":"cfgateway","early_refresh":true,"callers":[{"principal":"arn:aws:iam::111122223333:role/application-%d"}]}`, i, i, i, i)
	}
	text := `{"connections":{` + b.String()[1:] + `}}`
	s := secretOf(text)
	s.Text = redact.New(text + strings.Repeat(" ", 64<<10-len(text)))
	entries := connection.Parser{}.Expand(s)
	if len(entries) != 150 {
		t.Fatalf("%d entries, want 150", len(entries))
	}
	for _, e := range entries {
		if e.Err != nil {
			t.Errorf("%s: %v", e.Name, e.Err)
		}
	}
}
