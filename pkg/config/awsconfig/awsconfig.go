// Package awsconfig reads the standard environment variables of the AWS SDK and
// builds the two service clients from them.
//
// It does not use the SDK's config module: its package initialisation is a large
// part of a cold start, and its other sources (profiles, instance metadata, web
// identity) do not apply to a function. Region and credentials must be in the
// environment; a profile is not read.
//
// The SDK never logs requests or responses: both contain secrets.
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

// The variables. Their meaning is that of the SDK.
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

// Lookup returns a variable, as os.LookupEnv does.
type Lookup func(name string) (value string, set bool)

// Config is the validated environment. [Load] makes it.
type Config struct {
	Region string
	// DynamoDBEndpoint and SecretsManagerEndpoint replace the addresses of the
	// services; empty keeps them.
	DynamoDBEndpoint, SecretsManagerEndpoint string
	FIPS, DualStack                          bool
	// RootCAs verify the certificates of servers; nil is Amazon's roots, then the
	// system's.
	RootCAs *x509.CertPool
	// MaxAttempts bounds the attempts of one call, including the first.
	MaxAttempts int
	RetryMode   aws.RetryMode
	// Credentials reads the environment again for each request.
	Credentials aws.CredentialsProvider
	// Now is the wall clock that measures how long a connection was idle; nil is time.Now.
	Now func() time.Time
	// Jitter chooses the pause before another attempt, below a bound; nil is random.
	Jitter func(bound time.Duration) time.Duration
}

// environment reads variables and collects their errors.
type environment struct {
	lookup Lookup
	errs   []error
}

// Load reads and checks the variables, without any call. It joins all errors, one
// on each line, each with its variable.
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
			e.report(name, "is not set; "+credentialHint)
		}
	}
	if err := errors.Join(e.errs...); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (e *environment) report(name, why string) {
	e.errs = append(e.errs, fmt.Errorf("%s: %s", name, why))
}

// text reads a variable. As in the SDK, empty counts as not set.
func (e *environment) text(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e *environment) boolean(name string) bool {
	switch value := e.text(name); {
	case strings.EqualFold(value, "true"):
		return true
	case value != "" && !strings.EqualFold(value, "false"):
		e.report(name, "is neither true nor false")
	}
	return false
}

// region must be a plain host label, because it becomes part of a host name.
func (e *environment) region() string {
	name, value := region, e.text(region)
	if value == "" {
		name, value = regionFallback, e.text(regionFallback)
	}
	if value == "" {
		e.report(region, "is not set, nor is "+regionFallback+"; "+regionHint)
		return ""
	}
	for _, r := range value {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			e.report(name, "is not a region; "+regionHint)
			return ""
		}
	}
	return value
}

// endpoint reads the endpoint of a service, or the one for all services.
func (e *environment) endpoint(name string, c Config) string {
	value := e.text(name)
	if value == "" {
		name, value = endpoint, e.text(endpoint)
	}
	if value == "" {
		return ""
	}
	if c.FIPS || c.DualStack {
		e.report(name, "cannot be combined with "+useFIPS+" or "+useDualStack+"; unset one of them")
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		e.report(name, "is not an endpoint; write https://HOST or http://HOST:PORT, without user, query or fragment")
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
		e.report(caBundle, "names a file that cannot be read; use the path of a PEM file")
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		e.report(caBundle, "names a file without a usable certificate; use the path of a PEM file")
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
		e.report(maxAttempts, fmt.Sprintf("is not a whole number from 1 to %d", highestMaxAttempts))
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
		e.report(retryMode, "is neither standard nor adaptive")
		return ""
	}
}
