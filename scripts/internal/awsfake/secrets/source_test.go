package secrets_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/sourcetest"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/secrets"
)

const prefix = "tokenvend/"

// engine is an engine behind a real connection, the SDK's client of it, and an
// operator of the secrets under the prefix.
type engine struct {
	*secrets.Engine
	client *secretsmanager.Client
	clock  *time.Time
}

func start(t *testing.T) engine {
	t.Helper()
	clock := time.UnixMilli(1767323045678)
	e := engine{clock: &clock, Engine: secrets.New(secrets.Config{Now: func() time.Time { return clock }})}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.client = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "anything", SecretAccessKey: "anything"}, nil
		}),
	})
	return e
}

func (e engine) source() *awssecretsmanager.Source {
	return awssecretsmanager.New(awssecretsmanager.Config{Client: e.client, Prefix: prefix})
}

func (e engine) Put(t *testing.T, name, text string) {
	t.Helper()
	_, err := e.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(prefix + name), SecretString: &text})
	if errors.As(err, new(*types.ResourceNotFoundException)) {
		_, err = e.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(prefix + name), SecretString: &text})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (e engine) PutBinary(t *testing.T, name string) {
	t.Helper()
	id, binary := prefix+name, []byte{0, 1}
	_, err := e.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretBinary: binary})
	if errors.As(err, new(*types.ResourceNotFoundException)) {
		_, err = e.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id, SecretBinary: binary})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (e engine) ScheduleDeletion(t *testing.T, name string) {
	t.Helper()
	if _, err := e.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(prefix + name)}); err != nil {
		t.Fatal(err)
	}
}

func (e engine) Restore(t *testing.T, name string) {
	t.Helper()
	if _, err := e.client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(prefix + name)}); err != nil {
		t.Fatal(err)
	}
}

func (e engine) Delete(t *testing.T, name string) {
	t.Helper()
	_, err := e.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
		SecretId: aws.String(prefix + name), ForceDeleteWithoutRecovery: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSourceOverTheEngine(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) (sourcetest.Source, sourcetest.Operator) {
		e := start(t)
		return e.source(), e
	})
}

func TestOneSecretRefused(t *testing.T) {
	e := start(t)
	e.Put(t, "good", `{}`)
	e.Put(t, "bad", `{}`)
	e.Refuse(prefix+"bad", &awsjson.Error{Code: "AccessDeniedException", Message: "not allowed"})
	if _, err := e.source().Load(t.Context(), "bad", clientsecret.Current, true); !errors.Is(err, clientsecret.ErrUnreadable) {
		t.Errorf("FI-34: %v", err)
	}
	entries, _, err := e.source().List(t.Context(), 10, "")
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, entry := range entries {
		if refused := entry.Name == "bad"; refused != errors.Is(entry.Err, clientsecret.ErrUnreadable) {
			t.Errorf("FI-34 %s: %v", entry.Name, entry.Err)
		}
	}
	e.Refuse(prefix+"bad", nil)
	if _, err := e.source().Load(t.Context(), "bad", clientsecret.Current, true); err != nil {
		t.Errorf("FI-34 after it was allowed: %v", err)
	}
}
