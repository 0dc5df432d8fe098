// Package config turns the environment of a function into one validated value,
// before anything is called.
//
// It reads what is tokenvend's own; region, endpoints and credentials are read
// by awsconfig, under the AWS SDK's names. A function names the variables it
// needs and is given no others. Every problem is reported at once, each naming
// its variable and how to mend it; a bad value never becomes a default.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
)

// Variable is the name of an environment variable.
type Variable string

// The variables that exist. Unless said otherwise, one that is set to nothing
// counts as not set.
const (
	// TokenTable is the DynamoDB table's name. Required where needed.
	TokenTable Variable = "TOKEN_TABLE"
	// SecretPrefix is what stands before a connection's name in Secrets Manager;
	// not set it is tokenvend/. Empty is refused: every secret would be a connection.
	SecretPrefix Variable = "SECRET_PREFIX"
	// SealingSecretID is the name or ARN of the sealing keyset. Required where needed.
	SealingSecretID Variable = "SEALING_SECRET_ID"
	// PublicBaseURL is the public base of the consent page and the callback;
	// not set it follows from the call that starts a consent.
	PublicBaseURL Variable = "PUBLIC_BASE_URL"
	// LogLevel is debug, info, warn or error; not set it is info.
	LogLevel Variable = "LOG_LEVEL"
	// ProviderAllowCIDRs are networks that a provider may be in although private
	// or loopback, separated by commas or spaces; not set there are none.
	ProviderAllowCIDRs Variable = "PROVIDER_ALLOW_CIDRS"
)

// Config is what the environment says. Fields of variables that were not asked
// for are zero.
type Config struct {
	TokenTable      string
	SecretPrefix    string
	SealingSecretID string
	// PublicBaseURL has no slash at its end. Empty: the base follows from the call.
	PublicBaseURL      string
	LogLevel           slog.Level
	ProviderAllowCIDRs []netip.Prefix
}

// Lookup finds a variable, as os.LookupEnv does.
type Lookup func(name string) (value string, set bool)

// parser checks one variable's value and puts it into the configuration. Its
// error says what is wrong with the value, and does not repeat it.
type parser func(value string, set bool, c *Config) error

// parsers are the variables in the order in which problems are reported.
func parsers() []struct {
	variable Variable
	parse    parser
} {
	return []struct {
		variable Variable
		parse    parser
	}{
		{TokenTable, parseTokenTable},
		{SecretPrefix, parseSecretPrefix},
		{SealingSecretID, parseSealingSecretID},
		{PublicBaseURL, parsePublicBaseURL},
		{LogLevel, parseLogLevel},
		{ProviderAllowCIDRs, parseProviderAllowCIDRs},
	}
}

// Load reads the variables that a function needs. The error joins every problem
// found, one to a line.
func Load(lookup Lookup, needs ...Variable) (Config, error) {
	var c Config
	var problems []error
	for _, p := range parsers() {
		if !slices.Contains(needs, p.variable) {
			continue
		}
		value, set := lookup(string(p.variable))
		if err := p.parse(value, set, &c); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", p.variable, err))
		}
	}
	problems = append(problems, checkApart(c))
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// checkApart refuses a keyset that lies among the connections: whoever may edit
// connections could then replace it, and it would be listed as one.
func checkApart(c Config) error {
	if c.SecretPrefix == "" || c.SealingSecretID == "" || !under(c.SealingSecretID, c.SecretPrefix) {
		return nil
	}
	return fmt.Errorf("%s: the secret lies under %s, where it would be a connection; give it a name outside",
		SealingSecretID, SecretPrefix)
}
