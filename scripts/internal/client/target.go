package client

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Target returns the client of the API at an address, with the keys for it: the
// local run's on loopback, elsewhere those of the AWS SDK's own variables, which
// lookup finds. Keys of an account are never used towards this very machine, nor
// those of the local run towards others. Errors say what to set.
func Target(address string, lookup func(string) (string, bool)) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("-url must be the API's address with its stage, such as https://API.execute-api.REGION.amazonaws.com/v1")
	}
	c := &Client{URL: strings.TrimSuffix(address, "/")}
	if isLoopback(u.Hostname()) {
		c.Region, c.Credentials = "us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}
		return c, nil
	}
	if u.Scheme != "https" {
		return nil, errors.New("-url must be https, but for the local run's: what is sent there opens a consent")
	}
	variable := func(name string) string { value, _ := lookup(name); return value }
	c.Credentials = aws.Credentials{AccessKeyID: variable("AWS_ACCESS_KEY_ID"), SecretAccessKey: variable("AWS_SECRET_ACCESS_KEY"),
		SessionToken: variable("AWS_SESSION_TOKEN")}
	if c.Credentials.AccessKeyID == "" || c.Credentials.SecretAccessKey == "" {
		return nil, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set to sign requests to a deployment")
	}
	c.Region = cmp.Or(regionOf(u.Hostname()), variable("AWS_REGION"), variable("AWS_DEFAULT_REGION"))
	if c.Region == "" {
		return nil, errors.New("AWS_REGION must be set: the address does not tell the API's region")
	}
	return c, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// gatewayHost is the name that API Gateway gives an API.
var gatewayHost = regexp.MustCompile(`^[^.]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

func regionOf(host string) string {
	found := gatewayHost.FindStringSubmatch(host)
	if found == nil {
		return ""
	}
	return found[1]
}
