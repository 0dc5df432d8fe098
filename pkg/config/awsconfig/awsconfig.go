// Package awsconfig reads the AWS SDK's standard environment variables and
// builds the two service clients from them by hand.
//
// The SDK's own config module is left out on purpose: its package
// initialisation is a large part of a cold start, and its further sources
// (profiles, instance metadata, web identity) have no place in a function. So a
// profile is not read: region and credentials must be in the environment.
//
// Nothing here can make the SDK log requests or answers: both carry secrets.
package awsconfig

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The variables that are read; their meaning is the SDK's.
const (
	region           = "AWS_REGION"
	regionFallback   = "AWS_DEFAULT_REGION"
	accessKeyID      = "AWS_ACCESS_KEY_ID"
	secretAccessKey  = "AWS_SECRET_ACCESS_KEY"
	sessionToken     = "AWS_SESSION_TOKEN"
	endpoint         = "AWS_ENDPOINT_URL"
	endpointDynamoDB = "AWS_ENDPOINT_URL_DYNAMODB"
	endpointSecrets  = "AWS_ENDPOINT_URL_SECRETS_MANAGER"
	ignoreEndpoints  = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
	useFIPS          = "AWS_USE_FIPS_ENDPOINT"
	useDualStack     = "AWS_USE_DUALSTACK_ENDPOINT"
	caBundle         = "AWS_CA_BUNDLE"
	maxAttempts      = "AWS_MAX_ATTEMPTS"
	retryMode        = "AWS_RETRY_MODE"
)

const (
	defaultMaxAttempts = 3
	highestMaxAttempts = 10

	regionHint     = "set it to the region of the table, for example eu-west-1"
	credentialHint = "set it; a profile can be exported with: aws configure export-credentials --format env"
)

// Lookup finds a variable, as os.LookupEnv does.
type Lookup func(name string) (value string, set bool)

// Config is what the environment says, validated. Make it with [Load].
type Config struct {
	Region string
	// DynamoDBEndpoint and SecretsManagerEndpoint replace the services' own
	// addresses; empty keeps those.
	DynamoDBEndpoint, SecretsManagerEndpoint string
	FIPS, DualStack                          bool
	// RootCAs are who servers' certificates must come from; nil is Amazon's own
	// roots, then the system's.
	RootCAs *x509.CertPool
	// MaxAttempts bounds the attempts of one call, the first included.
	MaxAttempts int
	RetryMode   aws.RetryMode
	// Credentials reads the environment anew for each request.
	Credentials aws.CredentialsProvider
	// Now is the wall clock that tells how long a connection was idle; nil is time.Now.
	Now func() time.Time
	// Jitter picks the pause before another attempt, below a bound; nil picks at random.
	Jitter func(bound time.Duration) time.Duration
}

// environment reads variables and collects what is wrong with them.
type environment struct {
	lookup   Lookup
	problems []error
}

// Load reads and checks the variables; no call is made. The error joins every
// problem found, one to a line, and names the variable of each.
func Load(lookup Lookup) (Config, error) {
	e := &environment{lookup: lookup}
	c := Config{
		Region:      e.region(),
		FIPS:        e.boolean(useFIPS),
		DualStack:   e.boolean(useDualStack),
		RootCAs:     e.rootCAs(),
		MaxAttempts: e.maxAttempts(),
		RetryMode:   e.retryMode(),
		Credentials: aws.CredentialsProviderFunc(credentials(lookup)),
	}
	if !e.boolean(ignoreEndpoints) {
		c.DynamoDBEndpoint = e.endpoint(endpointDynamoDB, c)
		c.SecretsManagerEndpoint = e.endpoint(endpointSecrets, c)
	}
	for _, name := range []string{accessKeyID, secretAccessKey} {
		if e.text(name) == "" {
			e.refuse(name, "is not set; "+credentialHint)
		}
	}
	if err := errors.Join(e.problems...); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (e *environment) refuse(name, why string) {
	e.problems = append(e.problems, fmt.Errorf("%s: %s", name, why))
}

// text reads a variable; as everywhere in the SDK, empty is not set.
func (e *environment) text(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e *environment) boolean(name string) bool {
	switch value := e.text(name); {
	case strings.EqualFold(value, "true"):
		return true
	case value != "" && !strings.EqualFold(value, "false"):
		e.refuse(name, "is neither true nor false")
	}
	return false
}

// region must be a plain host label, since it becomes part of a host's name.
func (e *environment) region() string {
	name, value := region, e.text(region)
	if value == "" {
		name, value = regionFallback, e.text(regionFallback)
	}
	if value == "" {
		e.refuse(region, "is not set, nor is "+regionFallback+"; "+regionHint)
		return ""
	}
	for _, r := range value {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			e.refuse(name, "is no region; "+regionHint)
			return ""
		}
	}
	return value
}

// endpoint reads a service's endpoint, or the one for all services.
func (e *environment) endpoint(name string, c Config) string {
	value := e.text(name)
	if value == "" {
		name, value = endpoint, e.text(endpoint)
	}
	if value == "" {
		return ""
	}
	if c.FIPS || c.DualStack {
		e.refuse(name, "cannot be combined with "+useFIPS+" or "+useDualStack+"; unset one of them")
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		e.refuse(name, "is no endpoint; it reads https://HOST or http://HOST:PORT, without user, query or fragment")
		return ""
	}
	return value
}

func (e *environment) rootCAs() *x509.CertPool {
	path := e.text(caBundle)
	if path == "" {
		return nil
	}
	bundle, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		e.refuse(caBundle, "names a file that cannot be read; give the path of a PEM file")
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		e.refuse(caBundle, "names a file without a usable certificate; give the path of a PEM file")
		return nil
	}
	return pool
}

func (e *environment) maxAttempts() int {
	value := e.text(maxAttempts)
	if value == "" {
		return defaultMaxAttempts
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > highestMaxAttempts {
		e.refuse(maxAttempts, fmt.Sprintf("is no whole number from 1 to %d", highestMaxAttempts))
	}
	return n
}

func (e *environment) retryMode() aws.RetryMode {
	switch mode := aws.RetryMode(strings.ToLower(e.text(retryMode))); mode {
	case "":
		return aws.RetryModeStandard
	case aws.RetryModeStandard, aws.RetryModeAdaptive:
		return mode
	default:
		e.refuse(retryMode, "is neither standard nor adaptive")
		return ""
	}
}
