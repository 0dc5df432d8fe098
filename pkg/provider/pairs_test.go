package provider_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// leastPairs is how many pairs of a provider and a grant must be short to declare.
const leastPairs = 99

// maxOwnMembers is how many members a short declaration has beside the provider, the
// grant type and the client's own.
const maxOwnMembers = 4

// TestPairs_BI43_short: what an integration between businesses needs is declared in a
// few members. A row that says refused names the member at fault: the service does
// not have what the provider wants.
func TestPairs_BI43_short(t *testing.T) {
	short := 0
	for _, row := range readPairs(t) {
		t.Run(row.Name, func(t *testing.T) {
			_, grantStated := row.Declaration["grant_type"]
			own := len(row.Declaration) - 1
			if grantStated {
				own--
			}
			if own > maxOwnMembers {
				t.Errorf("the declaration has %d members of its own, want at most %d", own, maxOwnMembers)
			}
			err := row.parse(t)
			var problem *connection.ValidationError
			switch {
			case row.Refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case row.Refused != "" && (!errors.As(err, &problem) || problem.Member != row.Refused || !strings.Contains(problem.Text, "offers no OAuth grant: ")):
				t.Errorf("error %v, want the member %s and the reason", err, row.Refused)
			case err == nil:
				short++
			}
		})
	}
	if short < leastPairs {
		t.Errorf("%d pairs can be declared shortly, want at least %d", short, leastPairs)
	}
}

type pair struct {
	Name        string         `json:"name"`
	Declaration map[string]any `json:"declaration"`
	Refused     string         `json:"refused"`
}

func readPairs(t *testing.T) []pair {
	t.Helper()
	text, err := os.ReadFile("testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []pair
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// parse parses the declaration with the client's own members.
func (p pair) parse(t *testing.T) error {
	t.Helper()
	members := map[string]any{"client_id": "client-id-of-the-pair", "client_secret": "client-secret-of-the-pair"}
	for name, value := range p.Declaration {
		members[name] = value
	}
	switch members["grant_type"] {
	case "password":
		members["username"], members["password"] = "user-of-the-pair", "password-of-the-pair"
	case "jwt_bearer":
		members["private_key"] = privateKey()
	}
	if members["client_auth"] == "private_key_jwt" {
		members["private_key"] = privateKey()
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	_, err = connection.Parser{}.Parse("pair", clientsecret.Secret{Name: "pair", Origin: "the pair", Text: redact.New(string(text))})
	return err
}
