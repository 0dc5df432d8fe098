package provider_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// TestGiven_BI43_isEnough declares a connection with the members that Given names,
// and with all but one of them, which the parser must then miss.
func TestGiven_BI43_isEnough(t *testing.T) {
	tried := 0
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		for _, grant := range p.Grants() {
			members, fits := declarationOf(p, grant)
			if !fits {
				continue // a value for a pattern is not made here
			}
			tried++
			t.Run(name+" "+grant, func(t *testing.T) {
				if err := (pair{Declaration: members}).parse(t); err != nil {
					t.Errorf("refused: %v", err)
				}
				for _, g := range p.Given() {
					if top, _, _ := strings.Cut(g.Member, "/"); g.Default == "" && members[top] != nil {
						missing(t, members, top, g.Member)
					}
				}
			})
		}
	}
	if tried < 50 {
		t.Errorf("%d pairs were tried", tried)
	}
}

// missing parses the members without one of them.
func missing(t *testing.T, members map[string]any, top, member string) {
	t.Helper()
	if slices.Contains([]string{"client_secret", "private_key", "username", "password"}, top) {
		return // the pair has its own
	}
	without := map[string]any{}
	for name, value := range members {
		if name != top {
			without[name] = value
		}
	}
	var problem *connection.ValidationError
	if err := (pair{Declaration: without}).parse(t); !errors.As(err, &problem) || problem.Member != member {
		t.Errorf("without %s: %v", member, err)
	}
}

// declarationOf is a declaration with what Given names; it does not fit where a
// variable must match a pattern.
func declarationOf(p provider.Provider, grant string) (members map[string]any, fits bool) {
	members = map[string]any{"provider": p.Name, "grant_type": grant}
	variables := map[string]any{}
	for _, g := range p.Given() {
		name, isVariable := strings.CutPrefix(g.Member, "variables/")
		switch v := p.Variables[name]; {
		case g.Grant != "" && g.Grant != grant:
		case !isVariable && strings.HasSuffix(g.Member, "_url"):
			members[g.Member] = "https://login.example.com/" + g.Member
		case !isVariable && g.Member == "private_key":
			members[g.Member] = privateKey()
		case !isVariable:
			members[g.Member] = fmt.Sprintf("%s-of-the-pair", g.Member)
		case g.Default != "":
		case len(v.Values) > 0:
			variables[name] = v.Values[0]
		case v.Pattern == "" && !v.Host:
			variables[name] = "acme"
		default:
			return nil, false
		}
	}
	if len(variables) > 0 {
		members["variables"] = variables
	}
	return members, true
}
