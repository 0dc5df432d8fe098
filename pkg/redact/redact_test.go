package redact_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

const canary = "hush-4xQ7vT2m"

// holder is a struct with secrets in its fields, printed as a whole.
type holder struct {
	Name   string
	Secret redact.Secret
	hidden redact.Secret
	List   []redact.Secret
	Map    map[string]redact.Secret
	Any    any
	Link   *redact.Secret
}

func held() holder {
	s := redact.New(canary)
	return holder{Name: "crm", Secret: s, hidden: s, List: []redact.Secret{s}, Map: map[string]redact.Secret{"a": s}, Any: s, Link: &s}
}

func TestEveryVerb(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%d", "%c", "%U", "%t", "%e", "%p", "%T %v", "%20s", "%-40.3s", "%!"} {
		t.Run("AZ-53 "+verb, func(t *testing.T) {
			for _, value := range []any{redact.New(canary), new(redact.New(canary)), []redact.Secret{redact.New(canary)}, errors.Join(fmt.Errorf("wrap %v", redact.New(canary)))} {
				if text := fmt.Sprintf(verb, value, value); shows(text) {
					t.Errorf("%T shows its text", value)
				}
			}
		})
	}
}

func TestEveryEncoder(t *testing.T) {
	tests := map[string]func(*bytes.Buffer, holder) error{
		"JSON": func(out *bytes.Buffer, h holder) error { return json.NewEncoder(out).Encode(h) },
		"a key": func(out *bytes.Buffer, h holder) error {
			return json.NewEncoder(out).Encode(map[redact.Secret]int{h.Secret: 1})
		},
		"XML": func(out *bytes.Buffer, h holder) error {
			return xml.NewEncoder(out).EncodeElement(h.Secret, xml.StartElement{Name: xml.Name{Local: "s"}})
		},
		"slog": func(out *bytes.Buffer, h holder) error { logTo(slog.NewJSONHandler(out, nil), h); return nil },
		"text": func(out *bytes.Buffer, h holder) error { logTo(slog.NewTextHandler(out, nil), h); return nil },
		"Sprint": func(out *bytes.Buffer, h holder) error {
			_, err := fmt.Fprint(out, h.Secret, h.List, h.Map, h.Any, *h.Link)
			return err
		},
	}
	for name, encode := range tests {
		t.Run("AZ-53 "+name, func(t *testing.T) {
			var out bytes.Buffer
			if err := encode(&out, held()); err != nil {
				t.Fatal(err)
			}
			if text := out.String(); shows(text) || !strings.Contains(text, "[REDACTED]") {
				t.Errorf("printed %q", strings.ReplaceAll(text, canary, "the secret"))
			}
		})
	}
}

func logTo(h slog.Handler, held holder) {
	slog.New(h).Info("m", "secret", held.Secret, "list", held.List, "whole", held.Any)
}

// TestStructs: fmt calls no method of an unexported field, and must not print its
// text either.
func TestStructs(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		t.Run("AZ-53 in a struct by "+verb, func(t *testing.T) {
			if shows(fmt.Sprintf(verb, held())) {
				t.Error("the struct shows a secret in it")
			}
		})
	}
}

func TestReveal(t *testing.T) {
	if s := redact.New(canary); s.Reveal() != canary || s.IsZero() {
		t.Error("the text is not given back")
	}
	if !(redact.Secret{}).IsZero() || !redact.New("").IsZero() || (redact.Secret{}).Reveal() != "" {
		t.Error("the zero value is not the empty secret")
	}
	if first, again, other := redact.New("a"), redact.New("a"), redact.New("b"); first != again || first == other {
		t.Error("secrets do not compare by their text")
	}
}

// shows reports whether text contains the secret, plain or in hexadecimal.
func shows(text string) bool {
	hex := fmt.Sprintf("%x", canary)
	return strings.Contains(text, canary) || strings.Contains(strings.ToLower(strings.ReplaceAll(text, " ", "")), hex)
}
