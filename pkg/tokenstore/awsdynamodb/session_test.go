package awsdynamodb_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

func TestSessions(t *testing.T) {
	e := newEngine(t)
	storetest.RunSessions(t, func(*testing.T) storetest.Sessions {
		return awsdynamodb.New(awsdynamodb.Config{Client: e.client, Table: e.table})
	})
}

func scriptedSessions(t *testing.T, answers ...answer) (*awsdynamodb.Table, *script) {
	t.Helper()
	s := &script{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return awsdynamodb.New(awsdynamodb.Config{Client: newClient(server.URL, nil), Table: "tokens"}), s
}

func validSession(changes attributes) attributes {
	item := attributes{
		"pk": str("session/s1"), "sk": str("session"), "schema": num("1"), "version": num("2"),
		"session": bin("text"), "ttl": num("1767330000"),
	}
	for name, value := range changes {
		item[name] = value
		if value == nil {
			delete(item, name)
		}
	}
	return item
}

func TestCorruptSession(t *testing.T) {
	for _, tc := range []struct {
		name    string
		changes attributes
		bad     string
	}{
		{"BI-72 no version", attributes{"version": nil}, "version"},
		{"BI-75 version is negative", attributes{"version": num("-1")}, "version"},
		{"BI-72 no text", attributes{"session": nil}, "session"},
		{"BI-72 the text is a number", attributes{"session": num("1")}, "session"},
		{"BI-72 no ttl", attributes{"ttl": nil}, "ttl"},
		{"BI-72 the ttl is a string", attributes{"ttl": str("soon")}, "ttl"},
		{"FI-48 a newer schema", attributes{"schema": num("2")}, "schema"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := scriptedSessions(t, found(t, "Item", validSession(tc.changes)))
			got, err := s.Session(t.Context(), "s1")
			if want := "item corrupt: unusable " + tc.bad; !errors.Is(err, tokenstore.ErrCorrupt) || err.Error() != want {
				t.Errorf("Session: %v, want %s", err, want)
			}
			if d := cmp.Diff(tokenstore.Session{ID: "s1"}, got); d != "" {
				t.Errorf("session (-want +got):\n%s", d)
			}
		})
	}
}

// An IAM policy limits the public function to these operations on this leading key.
func TestSessionRequests(t *testing.T) {
	s, script := scriptedSessions(t, answer{200, "{}"})
	if _, err := s.Session(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteSession(t.Context(), tokenstore.Session{ID: "s1", Version: 1, Text: []byte("x"), DeleteAfter: now}); err != nil {
		t.Fatal(err)
	}
	if got, want := script.operations(), "GetItem UpdateItem"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}
	for _, r := range script.requests {
		want := map[string]any{"pk": map[string]any{"S": "session/s1"}, "sk": map[string]any{"S": "session"}}
		if d := cmp.Diff(want, r.members["Key"]); d != "" {
			t.Errorf("%s: key (-want +got):\n%s", r.operation, d)
		}
	}
	if script.requests[0].members["ConsistentRead"] != true {
		t.Error("a session is read from a replica that may be behind")
	}
}

func TestLostResponseOfASession(t *testing.T) {
	w := tokenstore.Session{ID: "s1", Version: 1, Text: []byte("text"), DeleteAfter: now}
	for _, tc := range []struct {
		name    string
		current answer
		want    error
	}{
		{"CR-36 the write was applied", found(t, "Item", validSession(nil)), nil},
		{"CR-36 another write", found(t, "Item", validSession(attributes{"session": bin("other")})), tokenstore.ErrSuperseded},
		{"CR-36 a later write of the same text", found(t, "Item", validSession(attributes{"version": num("3")})), tokenstore.ErrSuperseded},
		{"CR-36 a deleted session", answer{200, "{}"}, tokenstore.ErrSuperseded},
		{"BI-72 a corrupt session", found(t, "Item", validSession(attributes{"version": str("2")})), tokenstore.ErrSuperseded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := scriptedSessions(t, conditionFailed(t, nil), tc.current)
			got, err := s.WriteSession(t.Context(), w)
			if !errors.Is(err, tc.want) || err == nil && got.Version != 2 {
				t.Errorf("WriteSession: %+v, %v, want %v", got, err, tc.want)
			}
		})
	}
}
