package awssecretsmanager_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
)

const owner = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"

// openReferences returns references to vendors/*; the keyset is allowed by mistake.
func openReferences(t *testing.T) (*service, awssecretsmanager.References) {
	t.Helper()
	s, client := newService(t)
	return s, awssecretsmanager.References{Client: client, Allowed: clientsecret.Allowed{
		Patterns: []string{owner + "vendors/*", owner + "keyset*"}, Keysets: []string{"keyset"},
	}}
}

func TestReferences_BI53(t *testing.T) {
	s, references := openReferences(t)
	s.put("vendors/crm", "first")
	arn := s.put("vendors/crm", "second").arn
	s.put("keyset", `{"primary":"k1"}`)
	s.put("payroll", "hidden")
	for _, id := range []string{"vendors/crm", arn} {
		t.Run("BI-53 "+id, func(t *testing.T) {
			found, err := references.Load(t.Context(), id, clientsecret.Current, true)
			if err != nil || found.Text.Reveal() != "second" || found.Name != id || found.ARN != arn || found.VersionID != "v2" || strings.Contains(found.Origin, "arn:") {
				t.Errorf("%+v, %v", found, err)
			}
			before, err := references.Load(t.Context(), id, clientsecret.Previous, true)
			if err != nil || before.Text.Reveal() != "first" {
				t.Errorf("previous: %+v, %v", before, err)
			}
		})
	}
	for name, c := range map[string]struct {
		id   string
		want error
	}{
		"BI-53 outside the parameter": {"payroll", clientsecret.ErrNotAllowed},
		"AZ-50 a keyset":              {"keyset", clientsecret.ErrNotAllowed},
		"BI-53 a missing secret":      {"vendors/none", clientsecret.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.count("GetSecretValue")
			found, err := references.Load(t.Context(), c.id, clientsecret.Current, true)
			if !errors.Is(err, c.want) || !found.Text.IsZero() {
				t.Errorf("%v, want %v", err, c.want)
			}
			if refused := errors.Is(c.want, clientsecret.ErrNotAllowed); refused && (s.count("GetSecretValue") != before || !strings.Contains(err.Error(), "SecretReferences")) {
				t.Errorf("it was asked for, or %v does not name the parameter", err)
			}
		})
	}
	t.Run("BI-53 the ARN that is found decides", func(t *testing.T) {
		references.Allowed.Patterns = []string{owner + "vendors/crm-QwErTy"}
		found, err := references.Load(t.Context(), "vendors/crm", clientsecret.Current, true)
		if !errors.Is(err, clientsecret.ErrNotAllowed) || !found.Text.IsZero() {
			t.Errorf("%v", err)
		}
	})
}

func TestReferencesVersion_CR21(t *testing.T) {
	s, references := openReferences(t)
	s.put("vendors/crm", "first")
	arn := s.put("vendors/crm", "second").arn
	version := func(t *testing.T, id string) clientsecret.Version {
		t.Helper()
		v, err := references.Version(t.Context(), id)
		if err != nil || v.Name != id {
			t.Fatalf("%+v, %v", v, err)
		}
		return v
	}
	t.Run("CR-21 its current version", func(t *testing.T) {
		if v := version(t, "vendors/crm"); v.ARN != arn || v.VersionID != "v2" || s.count("GetSecretValue") > 0 {
			t.Errorf("%+v", v)
		}
	})
	t.Run("CR-38 none of a missing secret", func(t *testing.T) {
		if v := version(t, "vendors/none"); v.ARN != "" || v.VersionID != "" {
			t.Errorf("%+v", v)
		}
	})
	t.Run("FI-35 none of one that is scheduled for deletion", func(t *testing.T) {
		s.find("vendors/crm").deleting = true
		if v := version(t, "vendors/crm"); v.ARN != arn || v.VersionID != "" {
			t.Errorf("%+v", v)
		}
	})
	t.Run("BI-53 none of one that is not allowed", func(t *testing.T) {
		asked := s.count("DescribeSecret")
		if v := version(t, "payroll"); v.ARN != "" || s.count("DescribeSecret") != asked {
			t.Errorf("%+v, or it was asked for", v)
		}
	})
	t.Run("FI-34 denied", func(t *testing.T) {
		s.fail = func(call) failure { return failure{400, "AccessDeniedException", canary} }
		_, err := references.Version(t.Context(), "vendors/crm")
		if !errors.Is(err, clientsecret.ErrUnreadable) || !strings.Contains(err.Error(), "secretsmanager:DescribeSecret") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	})
}
