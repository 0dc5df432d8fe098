// Package config turns the environment of a function into one validated value,
// before anything is called.
//
// It reads the variables of tokenvend; awsconfig reads region, endpoints and
// credentials under the names of the AWS SDK. A function lists the variables that
// it needs and gets no others. All errors are reported at once, each with its
// variable and how to fix it; an invalid value never becomes a default.
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

// The variables. An empty one counts as not set, except SECRET_PREFIX.
const (
	// TokenTable is the name of the DynamoDB table. Required.
	TokenTable Variable = "TOKEN_TABLE"
	// SecretPrefix precedes a connection's name in Secrets Manager; the default is
	// tokenvend/. Empty is refused: every secret would be a connection.
	SecretPrefix Variable = "SECRET_PREFIX"
	// SealingSecretID is the name or ARN of the sealing keyset. Required.
	SealingSecretID Variable = "SEALING_SECRET_ID"
	// PublicBaseURL is the public base URL of the consent page and the callback; the
	// default is derived from the request that starts a consent.
	PublicBaseURL Variable = "PUBLIC_BASE_URL"
	// LogLevel is debug, info, warn or error; the default is info.
	LogLevel Variable = "LOG_LEVEL"
	// ProviderAllowCIDRs are private or loopback networks in which providers are
	// allowed, separated by commas or spaces; the default is none.
	ProviderAllowCIDRs Variable = "PROVIDER_ALLOW_CIDRS"
	// SecretReferences are ARNs of secrets that connections may refer to, with the
	// wildcards of IAM, separated by commas or spaces; the default is none.
	SecretReferences Variable = "SECRET_REFERENCES"
	// MetricsNamespace is the CloudWatch namespace of the metrics; the default is
	// tokenvend. Two stacks in one region with the same one share every alarm.
	MetricsNamespace Variable = "METRICS_NAMESPACE"
	// Monitoring says which metrics are published: full, basic (those of the alarms
	// that wake people) or none; the default is full.
	Monitoring Variable = "MONITORING"
)

// Config is the validated environment. Fields of variables that the function does
// not need are zero.
type Config struct {
	TokenTable      string
	SecretPrefix    string
	SealingSecretID string
	// PublicBaseURL has no trailing slash. Empty: it is derived from the request.
	PublicBaseURL      string
	LogLevel           slog.Level
	ProviderAllowCIDRs []netip.Prefix
	SecretReferences   []string
	MetricsNamespace   string
	Monitoring         string
}

// Lookup returns a variable, as os.LookupEnv does.
type Lookup func(name string) (value string, set bool)

// parser checks the value of one variable and stores it in the configuration. Its
// error says what is wrong with the value and does not repeat it.
type parser func(value string, set bool, c *Config) error

// parsers are the variables in the order in which errors are reported.
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
		{SecretReferences, parseSecretReferences},
		{MetricsNamespace, parseMetricsNamespace},
		{Monitoring, parseMonitoring},
	}
}

// Load reads the variables that a function needs. It joins all errors, one on each
// line.
func Load(lookup Lookup, needs ...Variable) (Config, error) {
	var c Config
	var errs []error
	for _, p := range parsers() {
		if !slices.Contains(needs, p.variable) {
			continue
		}
		value, set := lookup(string(p.variable))
		if err := p.parse(value, set, &c); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.variable, err))
		}
	}
	errs = append(errs, checkKeysetOutsidePrefix(c))
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	return c, nil
}

// checkKeysetOutsidePrefix refuses a sealing keyset below the prefix of the
// connections. A principal that may edit connections could then replace the
// keyset, and it would be listed as a connection.
func checkKeysetOutsidePrefix(c Config) error {
	if c.SecretPrefix == "" || c.SealingSecretID == "" || !under(c.SealingSecretID, c.SecretPrefix) {
		return nil
	}
	return fmt.Errorf("%s: the secret is below %s, where it would be a connection; use a name outside that prefix",
		SealingSecretID, SecretPrefix)
}
