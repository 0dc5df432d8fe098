package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// form is an encoding of text in output. write returns the spellings of a piece of
// text, each at least as long as the piece.
type form struct {
	name  string
	write func(piece string) []string
}

// forms are ordered by how specific their names are: a piece that is equal in two
// of them is reported as the first.
var forms = []form{
	{"plain text", func(p string) []string { return []string{p} }},
	{"base64", inBase64},
	{"URL encoding", func(p string) []string {
		query, path := url.QueryEscape(p), url.PathEscape(p)
		return []string{query, path, lowerEscapes(query), lowerEscapes(path)}
	}},
	{"JSON escapes", func(p string) []string {
		text, _ := json.Marshal(p) // a string always can be
		return []string{strings.Trim(string(text), `"`), inUnicodeEscapes(p, "%04x"), inUnicodeEscapes(p, "%04X")}
	}},
	{"a quoted Go string", func(p string) []string {
		return []string{strings.Trim(strconv.Quote(p), `"`), strings.Trim(strconv.QuoteToASCII(p), `"`)}
	}},
	{"HTML escapes", func(p string) []string { return []string{html.EscapeString(p)} }},
	{"hex", func(p string) []string {
		text := hex.EncodeToString([]byte(p))
		return []string{text, strings.ToUpper(text)}
	}},
	{"a list of bytes", func(p string) []string { return []string{inDecimals(p, " "), inDecimals(p, ",")} }},
	{"reverse", func(p string) []string {
		runes := []rune(p)
		slices.Reverse(runes)
		return []string{string(runes)}
	}},
	{"another case", func(p string) []string { return []string{strings.ToLower(p), strings.ToUpper(p)} }},
}

// windows cuts text into pieces of one length; the last overlaps its neighbour.
func windows(text string) []string {
	runes := []rune(text)
	var pieces []string
	for at := 0; at+window <= len(runes); at += window {
		pieces = append(pieces, string(runes[at:at+window]))
	}
	return append(pieces, string(runes[max(0, len(runes)-window):]))
}

// inBase64 is the part of a longer encoded text that depends on a piece alone: its
// bytes may begin at any of three positions in a group of four letters.
func inBase64(piece string) []string {
	var all []string
	for before := range 3 {
		bits := 8 * (before + len(piece))
		first, last := (8*before+5)/6, bits/6 // letters that depend on the piece alone
		padded := append(make([]byte, before), piece...)
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			all = append(all, encoding.EncodeToString(padded)[first:last])
		}
	}
	return all
}

// lowerEscapes writes the digits of percent escapes in lower case.
func lowerEscapes(text string) string {
	parts := strings.Split(text, "%")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToLower(parts[i][:2]) + parts[i][2:]
	}
	return strings.Join(parts, "%")
}

func inUnicodeEscapes(text, digits string) string {
	var out strings.Builder
	for _, r := range text {
		fmt.Fprintf(&out, `\u`+digits, r)
	}
	return out.String()
}

func inDecimals(text, separator string) string {
	numbers := make([]string, len(text))
	for i := range len(text) {
		numbers[i] = strconv.Itoa(int(text[i]))
	}
	return strings.Join(numbers, separator)
}
