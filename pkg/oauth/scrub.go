package oauth

import (
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	// maxDescription is the longest description kept, in characters; maxScanned is
	// how much of one is read, in bytes.
	maxDescription, maxScanned = 256, 4 << 10
	// window is the shortest part of a request value that is recognised, in bytes.
	window = 8
	// minEcho is the shortest parameter that is masked, in bytes; the secret is
	// masked whatever its length. A shorter one is more likely part of a word.
	minEcho = 4
	// minToken is the shortest word that is treated as a token, in bytes.
	minToken = 20
)

// echoScrubber removes the values of a request from what the server sends:
// servers echo them in error descriptions.
type echoScrubber struct {
	form          url.Values
	auth          Authentication
	authorization string
}

// scrub makes a server's text safe for operators to read: of bounded length,
// without control or direction characters, with every part of the request masked
// in the encodings that an echo may have, and with words that look like tokens
// masked. Control characters are removed first, so that they cannot split an
// echo. The text is cut last, so that no part of an echo remains.
func (s echoScrubber) scrub(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text[:min(len(text), maxScanned)])
	runes := []rune(strings.ToValidUTF8(maskTokens(s.maskEchoes(text)), ""))
	return string(runes[:min(len(runes), maxDescription)])
}

func (s echoScrubber) maskEchoes(text string) string {
	if text == "" {
		return ""
	}
	marked := make([]bool, len(text))
	lower := asciiLower(text)
	for _, value := range s.values() {
		markEcho(marked, lower, asciiLower(value))
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !marked[i]:
			out.WriteByte(text[i])
		case i == 0 || !marked[i-1]:
			out.WriteString(redact.Secret{}.String())
		}
	}
	return out.String()
}

// values are the texts to recognise. The grant type and the like are fixed words
// of the protocol and stay readable. So does the redirect URI, which an operator
// has to compare.
func (s echoScrubber) values() []string {
	var values []string
	add := func(text string, shortest int) {
		if len(text) >= shortest {
			values = append(values, encodings(text)...)
		}
	}
	add(s.auth.ClientSecret.Reveal(), 1)
	add(s.auth.ClientID, minEcho)
	add(s.auth.ClientID+":"+s.auth.ClientSecret.Reveal(), minEcho)
	for _, value := range s.auth.Headers {
		add(value.Reveal(), 1)
	}
	_, credentials, _ := strings.Cut(s.authorization, " ")
	add(credentials, minEcho)
	for name, params := range s.form {
		shortest := minEcho
		switch name {
		case "grant_type", "client_assertion_type", "redirect_uri":
			continue
		case "code", "code_verifier", "refresh_token", "password":
			shortest = 1
		}
		for _, value := range params {
			add(value, shortest)
		}
	}
	return values
}

func encodings(text string) []string {
	forms := []string{
		text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text),
		base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// markEcho marks where text repeats a part of value: all of a short value, any
// window of a long one. Its time is linear in both lengths.
func markEcho(marked []bool, text, value string) {
	size := min(window, len(value))
	at := map[string][]int{}
	for i := 0; i+size <= len(text); i++ {
		at[text[i:i+size]] = append(at[text[i:i+size]], i)
	}
	for i := 0; i+size <= len(value); i++ {
		part := value[i : i+size]
		for _, start := range at[part] {
			for j := range size {
				marked[start+j] = true
			}
		}
		delete(at, part)
	}
}

// asciiLower keeps the length, which strings.ToLower may not.
func asciiLower(text string) string {
	lower := []byte(text)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return string(lower)
}

// maskTokens masks words that may be a token which the request did not carry but
// the server quotes. Request ids are kept, because operators need them.
func maskTokens(text string) string {
	var out strings.Builder
	for text != "" {
		end := strings.IndexFunc(text, func(r rune) bool { return !isTokenRune(r) })
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		if looksLikeToken(word) {
			word = redact.Secret{}.String()
		}
		rest := strings.IndexFunc(text[end:], isTokenRune)
		if rest < 0 {
			rest = len(text) - end
		}
		out.WriteString(word + text[end:end+rest])
		text = text[end+rest:]
	}
	return out.String()
}

// isTokenRune accepts the characters of a b64token (RFC 6750 §2.1) except the
// slash, which would match complete URLs.
func isTokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+=", r)
}

// looksLikeToken accepts long words of letters and digits that are not a UUID.
func looksLikeToken(word string) bool {
	isUUID := len(word) == 36 && strings.Count(word, "-") == 4 && strings.Trim(word, "0123456789abcdefABCDEF-") == ""
	return len(word) >= minToken && !isUUID && strings.ContainsAny(word, "0123456789") &&
		strings.ContainsFunc(word, unicode.IsLetter)
}
