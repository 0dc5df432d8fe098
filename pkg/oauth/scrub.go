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
	// maxDescription is the longest description kept, in characters; maxRead
	// the longest looked at, in bytes.
	maxDescription, maxRead = 256, 4 << 10
	// window is the shortest piece of what we sent that is recognised, in bytes.
	window = 8
	// minEcho is the shortest parameter, besides the secret, that is masked at
	// all, in bytes: less is more likely to be part of a word.
	minEcho = 4
	// minToken is the shortest word that is taken for a token, in bytes.
	minToken = 20
)

// sent is what a request carried. Servers echo it in error descriptions.
type sent struct {
	form          url.Values
	id            string
	secret        redact.Secret
	authorization string
}

// clean makes a server's text fit for operators: bounded, without control or
// direction characters, without words that look like tokens, and with every
// piece of what we sent masked, in the encodings that an echo may come in. Control characters go first, so that
// they cannot split an echo; the cut comes last, so that it cannot hide one.
func (s sent) clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text[:min(len(text), maxRead)])
	runes := []rune(strings.ToValidUTF8(maskTokens(s.mask(text)), ""))
	return string(runes[:min(len(runes), maxDescription)])
}

func (s sent) mask(text string) string {
	if text == "" {
		return ""
	}
	covered := make([]bool, len(text))
	lower := asciiLower(text)
	for _, echo := range s.echoes() {
		cover(covered, lower, asciiLower(echo))
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !covered[i]:
			out.WriteByte(text[i])
		case i == 0 || !covered[i-1]:
			out.WriteString(redact.Secret{}.String())
		}
	}
	return out.String()
}

// echoes are the texts to recognise. The grant type and the like are the
// protocol's own words and stay readable, as does the redirect URI, which an
// operator has to compare.
func (s sent) echoes() []string {
	var echoes []string
	add := func(text string, shortest int) {
		if len(text) >= shortest {
			echoes = append(echoes, encodings(text)...)
		}
	}
	add(s.secret.Reveal(), 1)
	add(s.id, minEcho)
	add(s.id+":"+s.secret.Reveal(), minEcho)
	_, credentials, _ := strings.Cut(s.authorization, " ")
	add(credentials, minEcho)
	for name, values := range s.form {
		shortest := minEcho
		switch name {
		case "grant_type", "client_assertion_type", "redirect_uri":
			continue
		case "code", "code_verifier", "refresh_token":
			shortest = 1
		}
		for _, value := range values {
			add(value, shortest)
		}
	}
	return echoes
}

func encodings(text string) []string {
	forms := []string{
		text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text),
		base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// cover marks where text repeats a piece of echo: the whole of a short one,
// any window of a long one. It takes time in proportion to both lengths.
func cover(covered []bool, text, echo string) {
	size := min(window, len(echo))
	at := map[string][]int{}
	for i := 0; i+size <= len(text); i++ {
		at[text[i:i+size]] = append(at[text[i:i+size]], i)
	}
	for i := 0; i+size <= len(echo); i++ {
		piece := echo[i : i+size]
		for _, start := range at[piece] {
			for j := range size {
				covered[start+j] = true
			}
		}
		delete(at, piece)
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

// maskTokens masks words that may be a token which the request did not carry,
// but a talkative server quotes. Ids of requests are left, for operators need
// them.
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

// isTokenRune accepts the characters of a b64token (RFC 6750 §2.1) but for the
// slash, which would take in whole URLs.
func isTokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+=", r)
}

// looksLikeToken: long, of letters and digits, and no UUID.
func looksLikeToken(word string) bool {
	isUUID := len(word) == 36 && strings.Count(word, "-") == 4 && strings.Trim(word, "0123456789abcdefABCDEF-") == ""
	return len(word) >= minToken && !isUUID && strings.ContainsAny(word, "0123456789") &&
		strings.ContainsFunc(word, unicode.IsLetter)
}
