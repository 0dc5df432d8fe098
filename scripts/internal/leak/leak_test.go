package leak_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/leak"
)

// secret holds what encodings treat with care.
const secret = `Q7v+x/Zr=2%bM&w<é"k\9tLp4`

func search(t *testing.T, canaries ...leak.Canary) *leak.Search {
	t.Helper()
	s := leak.NewSearch()
	for _, c := range canaries {
		if err := s.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestForms: a secret is found however it is written.
func TestForms(t *testing.T) {
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	runes := []rune(secret)
	slices.Reverse(runes)
	tests := []struct{ name, text, form string }{
		{"AZ-54 as it is", "x" + secret + "x", "plain text"},
		{"AZ-54 its first half", secret[:len(secret)/2+2], "plain text"},
		{"AZ-54 its second half", string([]rune(secret)[12:]), "plain text"},
		{"AZ-54 standard base64", base64.StdEncoding.EncodeToString([]byte(secret)), "base64"},
		{"AZ-54 base64 for URLs, unpadded", base64.RawURLEncoding.EncodeToString([]byte(secret)), "base64"},
		{"AZ-54 base64 behind one byte", base64.StdEncoding.EncodeToString([]byte("x" + secret)), "base64"},
		{"AZ-54 base64 behind two bytes, as in Basic", base64.StdEncoding.EncodeToString([]byte("a:" + secret)), "base64"},
		{"AZ-54 a query parameter", "?client_secret=" + url.QueryEscape(secret), "URL encoding"},
		{"AZ-54 a path", "/" + url.PathEscape(secret), "URL encoding"},
		{"AZ-54 a query parameter in lower case", strings.ReplaceAll(url.QueryEscape(secret), "%2B", "%2b"), "URL encoding"},
		{"AZ-54 JSON", string(quoted), "JSON escapes"},
		{"AZ-54 JSON of ASCII alone", fmt.Sprintf("%+q", secret), "a quoted Go string"},
		{"AZ-54 hex", hex.EncodeToString([]byte(secret)), "hex"},
		{"AZ-54 hex in upper case", strings.ToUpper(hex.EncodeToString([]byte(secret))), "hex"},
		{"AZ-54 bytes printed as a list", fmt.Sprint([]byte(secret)), "a list of bytes"},
		{"AZ-54 reversed", string(runes), "reverse"},
		{"AZ-54 in lower case", strings.ToLower(secret), "another case"},
		{"AZ-54 HTML", "&#34;" + strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&#34;").Replace(secret), "HTML escapes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := search(t, leak.Canary{Name: "client secret", Text: secret}).Find([]byte("before " + tt.text + " after"))
			if !slices.ContainsFunc(found, func(f leak.Finding) bool { return f.Canary == "client secret" && f.Form == tt.form }) {
				t.Errorf("found %v, want it in %s", found, tt.form)
			}
			if strings.Contains(fmt.Sprint(found), "Q7v") {
				t.Error("the report repeats the secret")
			}
		})
	}
}

func TestSearch(t *testing.T) {
	t.Run("AZ-54 clean text", func(t *testing.T) {
		s := search(t, leak.Canary{Name: "client secret", Text: secret})
		if found := s.Find([]byte(strings.Repeat("nothing to see here Q7v+x/Zr=; ", 1000))); len(found) > 0 {
			t.Errorf("found %v", found)
		}
	})
	t.Run("AZ-54 the position of a finding", func(t *testing.T) {
		s := search(t, leak.Canary{Name: "a", Text: "0123456789abcdef"}, leak.Canary{Name: "b", Text: "ghijklmnopqrstuv"})
		found := s.Find([]byte("..ghijklmnopqrstuv..0123456789abcdef"))
		if len(found) != 2 || found[0].String() != "b in plain text at byte 2" || found[1].Offset != 20 {
			t.Errorf("found %v", found)
		}
	})
	t.Run("INV-5 AZ-54 in two writes", func(t *testing.T) {
		var out bytes.Buffer
		var found []leak.Finding
		stream := search(t, leak.Canary{Name: "a", Text: "0123456789abcdef"}).Stream(&out, func(f leak.Finding) { found = append(found, f) })
		for _, piece := range []string{strings.Repeat("line\n", 2000), "0123", "456789", "ab"} {
			_, _ = io.WriteString(stream, piece) // a buffer does not fail
		}
		if len(found) == 0 || found[0].Canary != "a" || out.Len() != 10_012 {
			t.Errorf("found %v, %d bytes were passed on", found, out.Len())
		}
	})
	t.Run("AZ-54 a canary that chance could write", func(t *testing.T) {
		if err := leak.NewSearch().Add(leak.Canary{Name: "pin", Text: "1234"}); err == nil || strings.Contains(err.Error(), "1234") {
			t.Errorf("error %v", err)
		}
	})
}
