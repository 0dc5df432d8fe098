package tokenvend

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
)

// chain resolves credentials at each request.
type chain struct {
	given    aws.CredentialsProvider // nil: the SDK's default chain
	loopback bool                    // the service is on this machine

	mu     sync.Mutex
	loaded *aws.Config // keeps credentials that expire, which the SDK renews in time
}

// What the local run accepts. It is public and opens nothing else.
const localKey, localRegion = "local", "us-east-1"

// retrieve returns credentials and the region of the AWS configuration. Credentials
// without an end are read again each time, because another program may rotate them.
func (c *chain) retrieve(ctx context.Context) (credentials aws.Credentials, region string, err error) {
	if c.given != nil {
		credentials, err = c.given.Retrieve(ctx)
		return credentials, "", err
	}
	if c.loopback && os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
		return aws.Credentials{AccessKeyID: localKey, SecretAccessKey: localKey}, localRegion, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded == nil {
		loaded, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return credentials, "", err
		}
		c.loaded = &loaded
	}
	region = c.loaded.Region
	credentials, err = c.loaded.Credentials.Retrieve(ctx)
	if err != nil || !credentials.CanExpire {
		c.loaded = nil
	}
	return credentials, region, err
}

// sign adds the headers of Signature Version 4 for execute-api. The signer encodes the
// path once more by default, as API Gateway expects.
func (c *Client) sign(ctx context.Context, request *http.Request, body []byte) error {
	credentials, region, err := c.chain.retrieve(ctx)
	if err != nil {
		return fmt.Errorf("get AWS credentials: %w", err)
	}
	if region = cmp.Or(c.region, region); region == "" {
		return errors.New("the host name contains no AWS region: set Config.Region or AWS_REGION")
	}
	hash := sha256.Sum256(body)
	return v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "execute-api", region, c.now())
}

// secure reports whether what is sent to the URL is protected in transit: https, or http to
// this machine.
func secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && apihost.IsLoopback(u.Hostname())
}

// withoutRedirects copies the client: a redirect would carry a signed request, which
// may name a token, to another server.
func withoutRedirects(given *http.Client) *http.Client {
	client := http.Client{Timeout: timeout}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
