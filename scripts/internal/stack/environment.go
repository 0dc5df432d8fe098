package stack

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/config"
)

// URLVariable holds the API's URL for commands that are given no --url.
const URLVariable = "TOKENVEND_URL"

// CheckEnvironment refuses every variable that is set and contradicts the stack. The
// error joins all contradictions; each names the variable and the output.
func (s Stack) CheckEnvironment(lookup func(string) (string, bool)) error {
	var problems []error
	for _, c := range []struct {
		variable, output string
		same             func(a, b string) bool
	}{
		{URLVariable, outputURL, sameURL},
		{string(config.PublicBaseURL), outputURL, sameURL},
		{string(config.SecretPrefix), outputPrefix, sameText},
		{string(config.TokenTable), outputTable, sameText},
		{string(config.SealingSecretID), outputSealingKeyset, sameText},
		{string(config.ProviderAllowCIDRs), outputNetworks, sameNetworks},
	} {
		value, _ := lookup(c.variable)
		if value == "" || c.same(value, s.Outputs[c.output]) {
			continue
		}
		problems = append(problems, fmt.Errorf("%s is %q, but the output %s of the stack %s is %q; unset the variable, or name the stack that it belongs to",
			c.variable, value, c.output, s.Name, s.Outputs[c.output]))
	}
	return errors.Join(problems...)
}

func sameText(a, b string) bool { return a == b }

func sameURL(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// sameNetworks compares sets: order and separators do not matter.
func sameNetworks(a, b string) bool {
	first, errFirst := networks(a)
	second, errSecond := networks(b)
	order := func(x, y netip.Prefix) int { return cmp.Compare(x.String(), y.String()) }
	slices.SortFunc(first, order)
	slices.SortFunc(second, order)
	return errFirst == nil && errSecond == nil && slices.Equal(first, second)
}
