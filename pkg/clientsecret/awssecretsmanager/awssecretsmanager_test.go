package awssecretsmanager_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/sourcetest"
)

func open(t *testing.T) (*service, *awssecretsmanager.Source) {
	t.Helper()
	s, client := newService(t)
	return s, awssecretsmanager.New(awssecretsmanager.Config{Client: client, Prefix: "tokenvend/"})
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) (sourcetest.Source, sourcetest.Operator) {
		s, source := open(t)
		return source, s
	})
}

// canary is in every message of the service: no error may repeat it.
const canary = "canary arn:aws:kms:eu-west-1:111122223333:key/1"

func TestLoadFailures(t *testing.T) {
	tests := []struct {
		name   string
		status int
		code   string
		want   error
	}{
		{"FI-34 throttled", 400, "ThrottlingException", clientsecret.ErrUnavailable},
		{"FI-34 quota", 400, "LimitExceededException", clientsecret.ErrUnavailable},
		{"FI-34 service failing", 500, "InternalServiceError", clientsecret.ErrUnavailable},
		{"FI-34 service away", 503, "ServiceUnavailable", clientsecret.ErrUnavailable},
		{"FI-34 decryption", 400, "DecryptionFailure", clientsecret.ErrUnavailable},
		{"FI-34 not allowed", 400, "AccessDeniedException", clientsecret.ErrUnreadable},
		{"FI-35 scheduled for deletion", 400, "InvalidRequestException", clientsecret.ErrNoText},
		{"FI-50 credentials expired", 400, "ExpiredTokenException", clientsecret.ErrUnavailable},
		{"FI-50 credentials unknown", 400, "UnrecognizedClientException", clientsecret.ErrUnavailable},
		{"BI-09 not there", 400, "ResourceNotFoundException", clientsecret.ErrNotFound},
		{"an unknown code", 400, "TeapotException", clientsecret.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, source := open(t)
			s.Put(t, "crm", `{}`)
			s.fail = func(call) failure { return failure{test.status, test.code, canary} }
			_, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.code) ||
				!strings.HasPrefix(err.Error(), "secret tokenvend/crm: ") {
				t.Errorf("got %v, want the kind %v and the code", err, test.want)
			}
			if errors.Is(err, clientsecret.ErrNoText) != errors.Is(test.want, clientsecret.ErrNoText) {
				t.Errorf("%v: says that there is no text: %v", err, errors.Is(err, clientsecret.ErrNoText))
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "arn:") {
				t.Errorf("the service's message travels: %v", err)
			}
			if len(s.calls) != 1 {
				t.Errorf("%d calls", len(s.calls))
			}
		})
	}
}

func TestLoadWithoutAnswer(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>canary"))
	}))
	defer garbage.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name, endpoint, says string
		ctx                  context.Context
	}{
		{"FI-34 connection refused", "http://" + closed.Addr().String(), "no usable response", t.Context()},
		{"FI-34 not JSON", garbage.URL, "no usable response", t.Context()},
		{"FI-34 out of time", garbage.URL, "timeout", ended},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source := awssecretsmanager.New(awssecretsmanager.Config{Client: newClient(test.endpoint), Prefix: "tokenvend/"})
			_, err := source.Load(test.ctx, "crm", clientsecret.Current, false)
			want := "secret tokenvend/crm: secret source unavailable (" + test.says + ")"
			if !errors.Is(err, clientsecret.ErrUnavailable) || err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
		})
	}
}

func TestLoadStages(t *testing.T) {
	tests := []struct {
		name   string
		stages map[string]string
		stage  clientsecret.Stage
		want   error
	}{
		{"FI-35 a secret without AWSCURRENT is misconfigured, not missing", map[string]string{"AWSPENDING": "v1"}, clientsecret.Current, clientsecret.ErrNoText},
		{"CR-20 no previous version is ordinary", map[string]string{"AWSCURRENT": "v1"}, clientsecret.Previous, clientsecret.ErrNotFound},
		{"BI-66 AWSPENDING present is ignored", map[string]string{"AWSCURRENT": "v1", "AWSPENDING": "v2"}, clientsecret.Current, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, source := open(t)
			found := s.put("tokenvend/crm", "current")
			found.texts = append(found.texts, "pending")
			found.stages = test.stages
			secret, err := source.Load(t.Context(), "crm", test.stage, false)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err == nil && secret.Text.Reveal() != "current" {
				t.Errorf("version %s was read", secret.VersionID)
			}
			if s.calls[0].VersionStage != string(test.stage) || s.calls[0].SecretId != "tokenvend/crm" {
				t.Errorf("asked for %q of %q", s.calls[0].VersionStage, s.calls[0].SecretId)
			}
		})
	}
}

func TestLoadBinary(t *testing.T) {
	s, source := open(t)
	s.PutBinary(t, "crm")
	_, err := source.Load(t.Context(), "crm", clientsecret.Current, false)
	if !errors.Is(err, clientsecret.ErrNoText) || !strings.Contains(err.Error(), "binary") {
		t.Errorf("BI-60: got %v", err)
	}
}

func TestLoadEmptyTextIsAText(t *testing.T) {
	s, source := open(t)
	s.Put(t, "crm", "")
	if secret, err := source.Load(t.Context(), "crm", clientsecret.Current, false); err != nil || !secret.Text.IsZero() {
		t.Errorf("BI-60: got %v", err)
	}
}

func TestRefusedNamesCauseNoCall(t *testing.T) {
	s, source := open(t)
	if _, err := source.Load(t.Context(), "../keyset", clientsecret.Current, false); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if len(s.calls) != 0 {
		t.Errorf("AZ-43: the service was asked for %q", s.calls[0].SecretId)
	}
}

func TestReadText(t *testing.T) {
	s, client := newService(t)
	arn := s.put("sealing/keyset", "keys").arn
	for _, id := range []string{"sealing/keyset", arn} {
		text, err := awssecretsmanager.ReadText(t.Context(), client, id)
		if err != nil || text.Reveal() != "keys" {
			t.Errorf("AZ-52 %s: %v", id, err)
		}
	}
	s.fail = func(call) failure { return failure{400, "AccessDeniedException", canary} }
	_, err := awssecretsmanager.ReadText(t.Context(), client, arn)
	if !errors.Is(err, clientsecret.ErrUnreadable) || !strings.HasPrefix(err.Error(), "secret sealing/keyset-000001: ") {
		t.Errorf("FI-36: got %v", err)
	}
}
