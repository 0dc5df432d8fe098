package awsconfig

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// credentials reads the environment for every request, so that rotated ones are
// used at once.
func credentials(lookup Lookup) func(context.Context) (aws.Credentials, error) {
	return func(context.Context) (aws.Credentials, error) {
		var c aws.Credentials
		c.AccessKeyID, _ = lookup(accessKeyID)
		c.SecretAccessKey, _ = lookup(secretAccessKey)
		c.SessionToken, _ = lookup(sessionToken)
		c.Source = "environment"
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return aws.Credentials{}, errors.New(accessKeyID + " or " + secretAccessKey + " is no longer set")
		}
		return c, nil
	}
}
