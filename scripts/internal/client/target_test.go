package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

func TestNew(t *testing.T) {
	const gateway, custom = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1", "https://tokens.example.com"
	account := func(chosen bool) client.Account {
		return client.Account{Chosen: chosen, Load: func(context.Context) (aws.Config, error) {
			return aws.Config{Region: "eu-north-1", Credentials: key("ASIAEXAMPLE", "hush", "session")}, nil
		}}
	}
	for _, c := range []struct {
		name, url             string
		chosen                bool
		wantURL, key, session string
		region                string
	}{
		{"the local run", "http://127.0.0.1:8080/v1/", false, "http://127.0.0.1:8080/v1", "local", "", "us-east-1"},
		{"the local run by name", "http://localhost:8080/v1", false, "http://localhost:8080/v1", "local", "", "us-east-1"},
		{"the local run over IPv6", "http://[::1]:8080/v1", false, "http://[::1]:8080/v1", "local", "", "us-east-1"},
		{"loopback with chosen credentials", "http://127.0.0.1:8080/v1", true, "http://127.0.0.1:8080/v1", "ASIAEXAMPLE", "session", "eu-north-1"},
		{"a deployment", gateway, false, gateway, "ASIAEXAMPLE", "session", "eu-west-1"},
		{"a custom domain", custom, false, custom, "ASIAEXAMPLE", "session", "eu-north-1"},
	} {
		t.Run("BI-01 "+c.name, func(t *testing.T) {
			got, err := client.New(t.Context(), c.url, account(c.chosen))
			if err != nil {
				t.Fatal(err)
			}
			credentials, err := got.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.URL != c.wantURL || credentials.AccessKeyID != c.key || credentials.SessionToken != c.session || got.Region != c.region {
				t.Errorf("%s, %s, region %s", got.URL, credentials.AccessKeyID, got.Region)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, address := range map[string]string{
		"no scheme":                  "127.0.0.1:8080",
		"a password":                 "https://a:b@tokens.example.com/v1",
		"a query":                    "https://tokens.example.com/v1?a=b",
		"plain HTTP off loopback":    "http://tokens.example.com/v1",
		"another scheme on loopback": "ftp://127.0.0.1/v1",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := client.New(t.Context(), address, client.Account{}); !errors.Is(err, client.ErrURL) {
				t.Errorf("error %v, want ErrURL", err)
			}
		})
	}
}
