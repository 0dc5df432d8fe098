package secretwriter_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// account is a Secrets Manager on loopback, and an editor of it.
func account(t *testing.T) (*awsfake.Services, secretwriter.Editor) {
	t.Helper()
	services, err := awsfake.Start(awsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	aws, err := awsconfig.Load(func(name string) (string, bool) {
		for _, variable := range services.Environment() {
			if value, found := strings.CutPrefix(variable, name+"="); found {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	return services, secretwriter.Editor{Client: aws.SecretsManager()}
}

// begin creates a secret and reads it.
func begin(t *testing.T, e secretwriter.Editor) secretwriter.Version {
	t.Helper()
	if err := e.Create(t.Context(), secretwriter.Creation{Name: "tokenvend/crm", Text: redact.New("first")}); err != nil {
		t.Fatal(err)
	}
	now, err := e.Read(t.Context(), "tokenvend/crm")
	if err != nil || now.Text.Reveal() != "first" {
		t.Fatalf("%v, %v", now, err)
	}
	return now
}

func want(t *testing.T, e secretwriter.Editor, text string) {
	t.Helper()
	if now, err := e.Read(t.Context(), "tokenvend/crm"); err != nil || now.Text.Reveal() != text {
		t.Errorf("the secret holds %q (%v), want %q", now.Text.Reveal(), err, text)
	}
}

func TestReplace(t *testing.T) {
	services, e := account(t)
	first := begin(t, e)
	if err := e.Replace(t.Context(), first, redact.New("second")); err != nil {
		t.Fatal(err)
	}
	want(t, e, "second")
	t.Run("CR-20 the former version is AWSPREVIOUS, and no other label stays", func(t *testing.T) {
		var out struct {
			VersionIDsToStages map[string][]string `json:"VersionIdsToStages"`
		}
		if err := services.SecretsManager.Call("DescribeSecret", map[string]any{"SecretId": "tokenvend/crm"}, &out); err != nil {
			t.Fatal(err)
		}
		if labels := out.VersionIDsToStages; len(labels) != 2 || len(labels[first.ID]) != 1 || labels[first.ID][0] != "AWSPREVIOUS" {
			t.Errorf("labels %v", labels)
		}
	})
	t.Run("a concurrent change", func(t *testing.T) {
		if err := e.Replace(t.Context(), first, redact.New("third")); !errors.Is(err, secretwriter.ErrChanged) {
			t.Errorf("error %v, want ErrChanged", err)
		}
		want(t, e, "second")
	})
}

func TestReplaceWhoseAnswerIsLost(t *testing.T) {
	services, e := account(t)
	first := begin(t, e)
	services.Gate.Once("UpdateSecretVersionStage", fault.Done, fault.Always(fault.Cut))
	if err := e.Replace(t.Context(), first, redact.New("second")); err != nil {
		t.Errorf("FI-29: %v", err)
	}
	want(t, e, "second")
}

func TestCreateAndDelete(t *testing.T) {
	_, e := account(t)
	begin(t, e)
	if err := e.Create(t.Context(), secretwriter.Creation{Name: "tokenvend/crm", Text: redact.New("x")}); !errors.Is(err, secretwriter.ErrExists) {
		t.Errorf("error %v, want ErrExists", err)
	}
	if ends, err := e.Delete(t.Context(), "tokenvend/crm"); err != nil || ends.IsZero() {
		t.Errorf("%v, %v", ends, err)
	}
	if err := e.Create(t.Context(), secretwriter.Creation{Name: "tokenvend/crm", Text: redact.New("x")}); !errors.Is(err, secretwriter.ErrExists) {
		t.Errorf("error %v, want ErrExists for a secret that is being deleted", err)
	}
	if _, err := e.Read(t.Context(), "tokenvend/erp"); !errors.Is(err, secretwriter.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

// unreachable is a service that does not answer.
type unreachable struct{ secretwriter.Client }

func (unreachable) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return nil, errors.New("dial tcp: canary")
}

func TestErrorsHoldNothing(t *testing.T) {
	_, err := secretwriter.Editor{Client: unreachable{}}.Read(t.Context(), "x")
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("AZ-53: %v", err)
	}
}
