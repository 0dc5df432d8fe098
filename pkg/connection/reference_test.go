package connection_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// others are secrets that a declaration may refer to, by name.
type others map[string]string

func (o others) Load(_ context.Context, id string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	text, ok := o[id]
	switch {
	case id == "throttled":
		return clientsecret.Secret{}, fmt.Errorf("secret throttled: %w", clientsecret.ErrUnavailable)
	case id == "denied":
		return clientsecret.Secret{}, fmt.Errorf("secret denied: %w", clientsecret.ErrUnreadable)
	case id == "forbidden":
		return clientsecret.Secret{}, fmt.Errorf("%w: the stack's parameter SecretReferences does not contain forbidden", clientsecret.ErrNotAllowed)
	case !ok:
		return clientsecret.Secret{}, fmt.Errorf("secret %s: %w", id, clientsecret.ErrNotFound)
	}
	version := "1"
	if stage == clientsecret.Previous {
		text, version = text+"-before", "0"
	}
	return clientsecret.Secret{Name: id, ARN: "arn:" + id, VersionID: version, Text: redact.New(text)}, nil
}

// referring returns a parser of declarations that refer to secrets.
func referring(t *testing.T, texts map[string]string) connection.Parser {
	return connection.Parser{References: others(texts)}.Reading(t.Context(), true)
}

func TestReferences_BI53(t *testing.T) {
	account, err := json.Marshal(map[string]string{
		"client_email": "robot@example.com", "private_key": pkcs8(t, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))),
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"whole": "c4n4ry-whole", "json": `{"a/b":{"s":"c4n4ry-inside"},"n":1}`, "account": string(account), "space": "c4n4ry\n"}
	read := func(text string) (connection.Connection, error) {
		return referring(t, texts).Parse("crm", secretOf(text))
	}
	t.Run("BI-53 the whole text", func(t *testing.T) {
		c, err := read(with(t, generic, "client_secret", `{"secret":"whole"}`))
		want := []connection.Reference{{Member: "client_secret", Secret: "whole", ARN: "arn:whole", Version: "1", Incarnation: digest.Short("arn:whole")}}
		if err != nil || c.ClientSecret.Reveal() != "c4n4ry-whole" || !cmp.Equal(c.References, want) {
			t.Errorf("references %v, %v", c.References, err)
		}
	})
	t.Run("BI-53 by pointer, in a header", func(t *testing.T) {
		c, err := read(with(t, generic, "headers", `{"x-key":{"secret":"json","pointer":"/a~1b/s"}}`))
		if err != nil || c.Headers["X-Key"].Reveal() != "c4n4ry-inside" || c.References[0].Member != "headers/x-key" {
			t.Errorf("references %v, %v", c.References, err)
		}
	})
	t.Run("BI-53 a service account's file", func(t *testing.T) {
		text := with(t, bearer(t), "client_id", `{"secret":"account","pointer":"/client_email"}`)
		c, err := read(with(t, text, "private_key", `{"secret":"account","pointer":"/private_key"}`))
		if err != nil || c.ClientID != "robot@example.com" || c.PrivateKey == nil {
			t.Errorf("read as %+v, %v", c, err)
		}
	})
	for _, tt := range []struct{ name, value, why string }{
		{"nothing there", `{"secret":"missing"}`, "secret not found"},
		{"one that is not allowed", `{"secret":"forbidden"}`, "SecretReferences"},
		{"a pointer into text", `{"secret":"whole","pointer":"/a"}`, "is not JSON"},
		{"a pointer to nothing", `{"secret":"json","pointer":"/z"}`, "no string there"},
		{"a pointer to a number", `{"secret":"json","pointer":"/n"}`, "no string there"},
		{"white space at the end", `{"secret":"space"}`, "ends with white space"},
	} {
		t.Run("BI-53 "+tt.name, func(t *testing.T) {
			_, err := read(with(t, generic, "client_secret", tt.value))
			var problem *connection.ValidationError
			if !errors.As(err, &problem) || problem.Member != "client_secret" {
				t.Fatalf("error = %v", err)
			}
			if diff := contains(err.Error(), tt.why, canary); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReferences_BI53_refused(t *testing.T) {
	for _, tt := range []struct{ name, member, value, where, why string }{
		{"none is allowed", "client_secret", `{"secret":"c4n4ry"}`, "client_secret", "SecretReferences"},
		{"an environment variable", "client_secret", `{"secret":"a","env":"c4n4ry"}`, "client_secret/env", "is unknown"},
		{"no secret", "client_id", `{"pointer":"/c4n4ry"}`, "client_id/secret", "is missing"},
		{"no pointer of JSON", "client_id", `{"secret":"a","pointer":"c4n4ry"}`, "client_id/pointer", "JSON Pointer"},
		{"no name", "client_id", `{"secret":"c4n4ry b"}`, "client_id/secret", "not the name"},
		{"where none may be", "scope", `{"secret":"c4n4ry"}`, "scope", "must be a string"},
	} {
		t.Run("BI-53 "+tt.name, func(t *testing.T) { refused(t, with(t, generic, tt.member, tt.value), tt.where, tt.why) })
	}
}

func TestReferences_BI53_unread(t *testing.T) {
	for name, kind := range map[string]error{"throttled": clientsecret.ErrUnavailable, "denied": clientsecret.ErrUnreadable} {
		t.Run("FI-34 "+name+" says nothing about the declaration", func(t *testing.T) {
			c, err := referring(t, nil).Parse("crm", secretOf(with(t, generic, "client_secret", `{"secret":"`+name+`"}`)))
			if !errors.As(err, new(connection.Unread)) || !errors.Is(err, kind) || len(c.References) != 1 {
				t.Errorf("references %v, error %v", c.References, err)
			}
		})
	}
	t.Run("BI-53 another member of the bundle is not affected", func(t *testing.T) {
		bundle := `{"connections":{"a":` + with(t, generic, "client_secret", `{"secret":"missing"}`) + `,"b":` + generic + `}}`
		entries := referring(t, nil).Expand(secretOf(bundle))
		if len(entries) != 2 || entries[0].Err == nil || entries[0].Connection.References[0].Secret != "missing" || entries[1].Err != nil {
			t.Errorf("entries %+v", entries)
		}
	})
}

// TestReferences_CR20_hashes: the value of a reference is part of the client's proof.
func TestReferences_CR20_hashes(t *testing.T) {
	text := with(t, generic, "client_secret", `{"secret":"a"}`)
	text = with(t, text, "headers", `{"X-Key":{"secret":"b"}}`)
	read := func(a, b string) connection.Connection {
		c, err := referring(t, map[string]string{"a": a, "b": b}).Parse("crm", secretOf(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	base := read("1", "1")
	for name, other := range map[string]connection.Connection{"CR-20 a secret": read("2", "1"), "CR-20 a header": read("1", "2")} {
		if other.InputsHash != base.InputsHash || other.ProofHash == base.ProofHash || other.ConfigHash == base.ConfigHash {
			t.Errorf("%s: inputs equal %v, proof equal %v, declaration equal %v", name,
				other.InputsHash == base.InputsHash, other.ProofHash == base.ProofHash, other.ConfigHash == base.ConfigHash)
		}
	}
	t.Run("CR-37 a secret that moves elsewhere is the same declaration", func(t *testing.T) {
		inline, err := referring(t, map[string]string{"b": "1"}).Parse("crm", secretOf(with(t, text, "client_secret", `"1"`)))
		if err != nil || inline.ConfigHash != base.ConfigHash {
			t.Errorf("%v, or another hash", err)
		}
	})
	t.Run("CR-20 the previous version of one secret", func(t *testing.T) {
		p := connection.Parser{References: others{"a": "1", "b": "1"}}.ReadingPrevious(t.Context(), "a")
		c, err := p.Parse("crm", secretOf(text))
		if err != nil || c.ClientSecret.Reveal() != "1-before" || c.Headers["X-Key"].Reveal() != "1" {
			t.Errorf("references %v, %v", c.References, err)
		}
	})
}

// contains says whether a text lacks what it must contain or contains a secret.
func contains(text, want, secret string) string {
	switch {
	case !strings.Contains(text, want):
		return "error " + text + ", want " + want
	case strings.Contains(text, secret):
		return "the error shows a value"
	}
	return ""
}
