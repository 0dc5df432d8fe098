package client_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

func TestTarget(t *testing.T) {
	const gateway = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"
	keys := map[string]string{"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "session"}
	with := func(name, value string) map[string]string {
		all := map[string]string{name: value}
		for n, v := range keys {
			all[n] = v
		}
		return all
	}
	for _, c := range []struct {
		name, url        string
		variables        map[string]string
		wantURL, key     string
		session, whereIs string
	}{
		{"the local run", "http://127.0.0.1:8080/v1/", with("AWS_REGION", "eu-north-1"), "http://127.0.0.1:8080/v1", "local", "", "us-east-1"},
		{"the local run by name", "http://localhost:8080/v1", nil, "http://localhost:8080/v1", "local", "", "us-east-1"},
		{"the local run over IPv6", "http://[::1]:8080/v1", nil, "http://[::1]:8080/v1", "local", "", "us-east-1"},
		{"a deployment", gateway, with("AWS_REGION", "eu-north-1"), gateway, "ASIAEXAMPLE", "session", "eu-west-1"},
		{"a domain of one's own", "https://tokens.example.com", with("AWS_REGION", "eu-north-1"), "https://tokens.example.com", "ASIAEXAMPLE", "session", "eu-north-1"},
		{"the other variable", "https://tokens.example.com", with("AWS_DEFAULT_REGION", "eu-north-1"), "https://tokens.example.com", "ASIAEXAMPLE", "session", "eu-north-1"},
	} {
		t.Run("BI-01 "+c.name, func(t *testing.T) {
			got, err := client.Target(c.url, func(name string) (string, bool) { value, set := c.variables[name]; return value, set })
			if err != nil {
				t.Fatal(err)
			}
			if got.URL != c.wantURL || got.Credentials.AccessKeyID != c.key || got.Credentials.SessionToken != c.session || got.Region != c.whereIs {
				t.Errorf("%s, %s, region %s", got.URL, got.Credentials.AccessKeyID, got.Region)
			}
		})
	}
}
