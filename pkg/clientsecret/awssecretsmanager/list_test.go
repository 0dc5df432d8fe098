package awssecretsmanager_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

func TestListIsolatesFailures(t *testing.T) {
	s, source := open(t)
	s.Put(t, "good", `{}`)
	s.put("tokenvend/binary", "").binary = true
	s.put("tokenvend/deleting", `{}`).deleting = true
	s.put("tokenvend/denied", `{}`).fault = failure{400, "AccessDeniedException", canary}
	s.put("tokenvend/key", `{}`).fault = failure{400, "DecryptionFailure", canary}
	s.put("tokenvend/stageless", `{}`).stages = nil
	s.put("tokenvend/vanished", `{}`).fault = failure{400, "ResourceNotFoundException", canary}
	s.put("tokenvend/silent", `{}`)
	s.put("tokenvend2/other", `{}`)
	s.omit = []string{"tokenvend/silent"}

	want := map[string]error{
		"good":      nil,
		"binary":    clientsecret.ErrNoText,
		"deleting":  clientsecret.ErrNoText,
		"denied":    clientsecret.ErrUnreadable,
		"key":       clientsecret.ErrUnavailable,
		"stageless": clientsecret.ErrNoText,
		"silent":    clientsecret.ErrUnavailable,
	}
	entries, next, err := source.List(t.Context(), 100, "")
	if err != nil || next != "" {
		t.Fatalf("next %q, %v", next, err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name)
		if !errors.Is(entry.Err, want[entry.Name]) {
			t.Errorf("FI-35 %s: got %v, want %v", entry.Name, entry.Err, want[entry.Name])
		}
		if entry.Name == "denied" && errors.Is(entry.Err, clientsecret.ErrNoText) {
			t.Errorf("FI-34 %s: %v", entry.Name, entry.Err)
		}
		if entry.Err != nil && (strings.Contains(entry.Err.Error(), "canary") || strings.Contains(entry.Err.Error(), "arn:")) {
			t.Errorf("%s: the service's message travels: %v", entry.Name, entry.Err)
		}
		if entry.Err != nil && !strings.HasPrefix(entry.Err.Error(), "secret tokenvend/"+entry.Name+": ") {
			t.Errorf("%s: the error names another: %v", entry.Name, entry.Err)
		}
	}
	inOrder := []string{"good", "binary", "deleting", "denied", "key", "stageless", "silent"}
	if diff := cmp.Diff(inOrder, got); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

func TestListWhenOneSecretFailsTheWholeBatch(t *testing.T) {
	for _, code := range []string{"DecryptionFailure", "InvalidRequestException", "ResourceNotFoundException"} {
		t.Run("FI-35 "+code, func(t *testing.T) {
			s, source := open(t)
			s.Put(t, "good", `{"v":1}`)
			s.put("tokenvend/bad", `{}`).fault = failure{400, "AccessDeniedException", canary}
			s.fail = func(c call) failure {
				if c.Action == "BatchGetSecretValue" {
					return failure{400, code, canary}
				}
				return failure{}
			}
			entries, _, err := source.List(t.Context(), 10, "")
			if err != nil || len(entries) != 2 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			good, bad := entries[0], entries[1]
			if good.Err != nil || good.Text.Reveal() != `{"v":1}` || good.Name != "good" {
				t.Errorf("the good one: %q, %v", good.Name, good.Err)
			}
			if !errors.Is(bad.Err, clientsecret.ErrUnreadable) || bad.Name != "bad" {
				t.Errorf("the bad one: %q, %v", bad.Name, bad.Err)
			}
		})
	}
}

func TestListFailures(t *testing.T) {
	tests := []struct {
		name, action, code string
		want               error
		says               string
	}{
		{"FI-34 listing throttled", "ListSecrets", "ThrottlingException", clientsecret.ErrUnavailable, "ThrottlingException"},
		{"FI-34 listing not allowed", "ListSecrets", "AccessDeniedException", clientsecret.ErrUnreadable, "secretsmanager:ListSecrets"},
		{"a token the service refuses", "ListSecrets", "InvalidNextTokenException", clientsecret.ErrBadCursor, "without one"},
		{"FI-34 reading throttled", "BatchGetSecretValue", "ThrottlingException", clientsecret.ErrUnavailable, "ThrottlingException"},
		{"FI-34 reading not allowed", "BatchGetSecretValue", "AccessDeniedException", clientsecret.ErrUnreadable, "secretsmanager:BatchGetSecretValue"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, source := open(t)
			s.Put(t, "crm", `{}`)
			s.fail = func(c call) failure {
				if c.Action == test.action {
					return failure{400, test.code, canary}
				}
				return failure{}
			}
			_, _, err := source.List(t.Context(), 10, "")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want the kind %v", err, test.want)
			}
		})
	}
}

func TestListCalls(t *testing.T) {
	s, source := open(t)
	for i := range 250 {
		s.Put(t, fmt.Sprintf("c%03d", i), `{}`)
	}
	entries, next, err := source.List(t.Context(), 230, "")
	if err != nil || len(entries) != 230 || next == "" {
		t.Fatalf("%d entries, next %q, %v", len(entries), next, err)
	}
	if lists, batches := s.count("ListSecrets"), s.count("BatchGetSecretValue"); lists != 3 || batches != 12 {
		t.Errorf("230 secrets took %d lists and %d batches", lists, batches)
	}
	rest, next, err := source.List(t.Context(), 230, next)
	if err != nil || len(rest) != 20 || next != "" || rest[0].Name != "c230" {
		t.Errorf("second page: %d entries, next %q, %v", len(rest), next, err)
	}
}

func TestListReadsABatchThatIsDivided(t *testing.T) {
	s, source := open(t)
	s.batchSize = 3
	for i := range 10 {
		s.Put(t, fmt.Sprintf("c%d", i), `{}`)
	}
	entries, _, err := source.List(t.Context(), 10, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Err != nil {
			t.Errorf("%s: %v", entry.Name, entry.Err)
		}
	}
}

func TestListAsksForNothingElse(t *testing.T) {
	s, source := open(t)
	s.lax = true
	for _, name := range []string{"tokenvend2/other", "Tokenvend/other", "tokenvend/crm", "tokenvend/a.b"} {
		s.put(name, `{}`)
	}
	s.put("tokenvend/deleting", `{}`).deleting = true
	if _, _, err := source.List(t.Context(), 10, ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.calls {
		for _, id := range c.SecretIdList {
			if !strings.Contains(id, ":secret:tokenvend/crm-") {
				t.Errorf("AZ-43: the text of %q was asked for", id)
			}
		}
	}
}

func TestBrokenCursorIsNotSent(t *testing.T) {
	s, source := open(t)
	if _, _, err := source.List(t.Context(), 1, "token-1"); !errors.Is(err, clientsecret.ErrBadCursor) {
		t.Errorf("got %v", err)
	}
	if len(s.calls) != 0 {
		t.Error("a broken cursor reached the service")
	}
}
