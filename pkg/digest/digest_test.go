package digest_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/digest"
)

// The values are fixed because deployed stacks have stored them.
func TestStoredDigestsStay(t *testing.T) {
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"empty", digest.Full(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"token id", digest.Short("token_1"), "ccee1a67bb5b1c0b"},
		{"fingerprint of a refresh token", digest.Short("refresh_1"), "116086665fd76ca7"},
		{"variant of a scope", digest.Short("read write"), "1db268bf1ff3f15c"},
		{"client of a grant", digest.Short("oauth2", "https://login.example.com/token", "https://login.example.com", "client"), "7450c8ef53dedc1a"},
		{"cause of a failure", digest.Short("v1", "0123456789abcdef0123456789abcdef", "fedcba9876543210"), "6c7aa76d3556d7ff"},
		{"version of a secret in the renewer's index", digest.Short("arn:aws:secretsmanager:eu-west-1:111122223333:secret:crm-AbCdEf", "v1"), "b4efe80a9f49bd91"},
		{"body of a token response", digest.Short(`{"error":"invalid_client"}`), "7fea647e5f15c86f"},
		{"declaration", digest.Long(`{"provider":"oauth2"}`), "dc394c67b2dd175ba52ec41eedc45ca9"},
		{"incarnation of a secret", digest.Short("arn:aws:secretsmanager:eu-west-1:111122223333:secret:crm-AbCdEf"), "0a70dae5aed1541c"},
		{"version of a file", digest.Long(`{"client_id":"c"}`), "050d29276660a3e01c8c6e4b77e322db"},
		{"state of a consent", digest.Full("0123456789abcdefghijklmnopqrstuvwxyz"), "74e7e5bb9d22d6db26bf76946d40fff3ea9f0346b884fd0694920fccfad15e33"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestPartsAreSeparated(t *testing.T) {
	if digest.Short("ab", "c") == digest.Short("a", "bc") {
		t.Error("two ways to split a text have one digest")
	}
}
