package connection_test

import (
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// TestNotInThisRelease: what the service does not do is refused by name, never
// ignored, so that no operator expects an effect.
func TestNotInThisRelease(t *testing.T) {
	tests := []struct{ name, member, value, why string }{
		{"OC-10 discovery", "discovery", `"https://as.example.com/.well-known/openid-configuration"`, "is unknown"},
		{"OC-12 mutual TLS", "client_auth", `"tls_client_auth"`, "must be"},
		{"OC-12 a self-signed certificate", "client_auth", `"self_signed_tls_client_auth"`, "RFC 8705"},
		{"OC-12 mutual TLS by a certificate", "client_certificate", `"c4n4ry"`, "is unknown"},
		{"OC-13 DPoP", "dpop", `true`, "is unknown"},
		{"OC-16 token exchange", "grant_type", `"urn:ietf:params:oauth:grant-type:token-exchange"`, "token exchange (RFC 8693) is not in this release"},
		{"OC-16 device grant", "grant_type", `"urn:ietf:params:oauth:grant-type:device_code"`, "must be one that provider oauth2 offers"},
		{"OC-17 password grant", "grant_type", `"password"`, "must be one that provider oauth2 offers"},
		{"OC-17 implicit grant", "grant_type", `"implicit"`, "must be one that provider oauth2 offers"},
		{"OC-17 a password", "password", `"c4n4ry"`, "grant_type password only"},
		{"OC-05 authentication by trial", "client_auth", `"auto"`, "must be"},
		{"OC-21 no verification of certificates", "insecure_skip_verify", `true`, "is unknown"},
		{"AZ-44 a typo", "client_ids", `"id"`, "did you mean"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, with(t, generic, tt.member, tt.value), tt.member, tt.why) })
	}
}

// TestOneBadMember: an invalid member of a bundle does not affect the others.
func TestOneBadMember(t *testing.T) {
	for _, tt := range []struct {
		name    connection.Name
		problem string
	}{
		{"crm.good", ""}, {"crm.also-good", ""}, {"crm.bad", "client_secret"}, {"crm.text", "must be an object"}, {"crm.inner", "is repeated"},
	} {
		t.Run("AZ-44 "+string(tt.name), func(t *testing.T) {
			c, err := (connection.Parser{}).Parse(tt.name, secretOf(mixed))
			if tt.problem == "" && (err != nil || c.Name != tt.name) {
				t.Errorf("got %v, %v; want it to work", c.Name, err)
			}
			if tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("error %v, want %q", err, tt.problem)
			}
		})
	}
}

// TestLongestPath: API Gateway answers 414 when a method's ARN has
// 1600 bytes or more. No allowed name makes it that long.
func TestLongestPath(t *testing.T) {
	part := strings.Repeat("a", 64)
	name, err := connection.ParseName(part + "." + part)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := connection.ParseSubject(part)
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws-us-gov:execute-api:ap-southeast-2:111122223333:abcdefghij/" + strings.Repeat("s", 128) +
		"/DELETE/connections/" + string(name) + "/subjects/" + string(subject) + "/authorization/complete"
	if len(arn) >= 1600 {
		t.Errorf("AZ-04 the ARN has %d bytes", len(arn))
	}
	for what, parse := range map[string]func(string) error{
		"connection": func(text string) error { _, err := connection.ParseName(text); return err },
		"subject":    func(text string) error { _, err := connection.ParseSubject(text); return err },
	} {
		if parse(part+"a") == nil {
			t.Errorf("AZ-04 a %s of 65 characters is accepted", what)
		}
	}
}
