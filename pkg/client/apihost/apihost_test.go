package apihost_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
)

func TestRegion(t *testing.T) {
	for host, want := range map[string]string{
		"abc123.execute-api.eu-west-1.amazonaws.com":               "eu-west-1",
		"abc123.execute-api.cn-north-1.amazonaws.com.cn":           "cn-north-1",
		"abc123.execute-api.eu-west-1.api.aws":                     "eu-west-1",
		"vpce-0123-4567.execute-api.eu-west-1.vpce.amazonaws.com":  "eu-west-1",
		"abc123-vpce-0123.execute-api.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"abc123.execute-api.eu-west-1.amazonaws.com.evil.example":  "",
		"execute-api.eu-west-1.amazonaws.com":                      "",
		"tokens.example.com":                                       "",
		"abc123.execute-api.eu-west-1.amazonaws.comx":              "",
		"dynamodb.eu-west-1.amazonaws.com":                         "",
		"127.0.0.1":                                                "",
	} {
		if got := apihost.Region(host); got != want {
			t.Errorf("%s: region %q, want %q", host, got, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.8.8": true, "::1": true,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, "10.0.0.1": false, "0.0.0.0": false, "": false, "2130706433": false,
	} {
		if got := apihost.IsLoopback(host); got != want {
			t.Errorf("%s: %t, want %t", host, got, want)
		}
	}
}
