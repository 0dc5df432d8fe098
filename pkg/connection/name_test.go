package connection_test

import (
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, text := range []string{"a", "7", "crm", "crm-prod", "a--b", long, "crm.eu", "0.0", long + "." + long} {
		t.Run("AZ-02 accepts "+text, func(t *testing.T) {
			name, err := connection.ParseName(text)
			if err != nil || string(name) != text {
				t.Errorf("ParseName = %q, %v; want the text as it is", name, err)
			}
		})
	}
	refused := []string{
		"", ".", "a.", ".a", "a..b", "a.b.c", "-a", "a-", "a.-b", "a-.b", "a.b-", "A", "a_b", "a b", "a%62", "a%2Fb", "%2e%2e",
		"../secret", "a/b", "*", "a*", "a?", "${x}", "{a}", "a\x00", "a\r\n", "а", "é", "😀", "a\u200b",
		long + "a", long + "a.b", "b." + long + "a", strings.Repeat("a", 2000),
	}
	for _, text := range refused {
		t.Run("AZ-02 refuses "+text, func(t *testing.T) {
			name, err := connection.ParseName(text)
			if err == nil || name != "" {
				t.Fatalf("ParseName = %q, %v; want an error", name, err)
			}
			if !strings.Contains(err.Error(), "1 to 64 lower-case letters") {
				t.Errorf("error = %q; want the rule", err)
			}
		})
	}
}

func TestNameParts(t *testing.T) {
	tests := []struct {
		name           connection.Name
		secret, member string
		isMember       bool
	}{
		{"crm", "crm", "", false},
		{"crm.eu", "crm", "eu", true},
	}
	for _, tt := range tests {
		t.Run("AZ-43 "+string(tt.name), func(t *testing.T) {
			if got := tt.name.Secret(); got != tt.secret {
				t.Errorf("Secret = %q, want %q", got, tt.secret)
			}
			if got, ok := tt.name.Member(); got != tt.member || ok != tt.isMember {
				t.Errorf("Member = %q, %v; want %q, %v", got, ok, tt.member, tt.isMember)
			}
		})
	}
}

func TestParseSubject(t *testing.T) {
	for text, ok := range map[string]bool{
		"default": true, "anna-2": true, "a.b": false, "": false, "Anna": false, "a/b": false, strings.Repeat("a", 65): false,
	} {
		t.Run("AZ-02 "+text, func(t *testing.T) {
			got, err := connection.ParseSubject(text)
			if (err == nil) != ok || ok && string(got) != text {
				t.Errorf("ParseSubject = %q, %v; want ok %v", got, err, ok)
			}
		})
	}
	if _, err := connection.ParseSubject(string(connection.DefaultSubject)); err != nil {
		t.Errorf("the default subject is refused: %v", err)
	}
}
