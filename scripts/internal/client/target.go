package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
)

// Account is where the credentials of requests come from.
type Account struct {
	// Load returns the operator's AWS configuration. It is called only when these
	// credentials sign.
	Load func(context.Context) (aws.Config, error)
	// Chosen says that the operator has named a profile or set credentials, so they
	// also sign requests to a loopback URL.
	Chosen bool
}

// The key and region that the local run accepts.
const (
	localKey    = "local"
	localRegion = "us-east-1"
)

// ErrURL says that a URL is not that of an API.
var ErrURL = errors.New("the API's URL must include its stage, such as https://API.execute-api.REGION.amazonaws.com/v1, and must use https unless it is on loopback")

// New returns the client of the API at a URL. At a loopback URL the local run's key
// signs, unless the operator has chosen other credentials. That key is never used
// elsewhere.
func New(ctx context.Context, address string, account Account) (*Client, error) {
	u, err := parse(address)
	if err != nil {
		return nil, err
	}
	c := &Client{URL: strings.TrimSuffix(address, "/")}
	local := apihost.IsLoopback(u.Hostname())
	if local && !account.Chosen {
		c.Region = localRegion
		c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: localKey, SecretAccessKey: localKey}, nil
		})
		return c, nil
	}
	config, err := account.Load(ctx)
	if err != nil {
		return nil, err
	}
	c.Credentials, c.Region = config.Credentials, cmp.Or(apihost.Region(u.Hostname()), config.Region)
	if local {
		c.Hint = "the request was signed with your AWS credentials; the local run accepts its own key, which signs when no --profile is given and AWS_ACCESS_KEY_ID is not set"
	}
	return c, nil
}

// parse refuses plain HTTP except on loopback: what is sent can complete a consent.
func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, ErrURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !apihost.IsLoopback(u.Hostname())) {
		return nil, ErrURL
	}
	return u, nil
}
