package awssecretsmanager_test

import (
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/sourcetest"
)

// endpointVariable names a server with the protocol of Secrets Manager that shares
// no code with this repository.
const endpointVariable = "TOKENVEND_TEST_SECRETS_MANAGER"

// engine is an operator with a real server and a prefix of its own.
type engine struct {
	client *secretsmanager.Client
	prefix string
}

func newEngine(t *testing.T) engine {
	t.Helper()
	endpoint := os.Getenv(endpointVariable)
	if endpoint == "" {
		t.Skipf("NOT TESTED against a Secrets Manager server: set %s to its URL", endpointVariable)
	}
	return engine{client: newClient(endpoint), prefix: "tokenvend-" + rand.Text() + "/"}
}

func (e engine) source() *awssecretsmanager.Source {
	return awssecretsmanager.New(awssecretsmanager.Config{Client: e.client, Prefix: e.prefix})
}

func (e engine) Put(t *testing.T, name, text string) {
	t.Helper()
	id := e.prefix + name
	_, err := e.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &text})
	if errors.As(err, new(*types.ResourceNotFoundException)) {
		_, err = e.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id, SecretString: &text})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (e engine) PutBinary(t *testing.T, name string) {
	t.Helper()
	id, binary := e.prefix+name, []byte{0, 1}
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
	if _, err := e.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(e.prefix + name)}); err != nil {
		t.Fatal(err)
	}
}

func (e engine) Restore(t *testing.T, name string) {
	t.Helper()
	if _, err := e.client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(e.prefix + name)}); err != nil {
		t.Fatal(err)
	}
}

func (e engine) Delete(t *testing.T, name string) {
	t.Helper()
	_, err := e.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{
		SecretId: aws.String(e.prefix + name), ForceDeleteWithoutRecovery: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEngine(t *testing.T) {
	newEngine(t)
	sourcetest.Run(t, func(t *testing.T) (sourcetest.Source, sourcetest.Operator) {
		e := newEngine(t)
		return e.source(), e
	})
}

func TestEngineFI35ScheduledForDeletion(t *testing.T) {
	e := newEngine(t)
	e.Put(t, "crm", `{}`)
	e.Put(t, "other", `{}`)
	e.ScheduleDeletion(t, "crm")
	_, err := e.source().Load(t.Context(), "crm", clientsecret.Current, true)
	if !errors.Is(err, clientsecret.ErrNoText) {
		t.Errorf("load: %v", err)
	}
	entries, _, err := e.source().List(t.Context(), 10, "")
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, entry := range entries {
		if deleted := entry.Name == "crm"; deleted != errors.Is(entry.Err, clientsecret.ErrNoText) {
			t.Errorf("%s: %v", entry.Name, entry.Err)
		}
	}
}

func TestEngineFI35WithoutCurrentVersion(t *testing.T) {
	e := newEngine(t)
	id := e.prefix + "crm"
	if _, err := e.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id}); err != nil {
		t.Fatal(err)
	}
	_, err := e.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{
		SecretId: &id, VersionStage: aws.String("AWSCURRENT"),
	})
	want := clientsecret.ErrNoText
	if err == nil || !strings.Contains(err.Error(), "staging label") {
		want = clientsecret.ErrNotFound
		t.Logf("this server, unlike AWS, answers as if there were no such secret: %v", err)
	}
	if _, err := e.source().Load(t.Context(), "crm", clientsecret.Current, true); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestEngineBI60Binary(t *testing.T) {
	e := newEngine(t)
	id := e.prefix + "crm"
	if _, err := e.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id, SecretBinary: []byte{0, 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.source().Load(t.Context(), "crm", clientsecret.Current, true); !errors.Is(err, clientsecret.ErrNoText) {
		t.Errorf("load: %v", err)
	}
	entries, _, err := e.source().List(t.Context(), 10, "")
	if err != nil || len(entries) != 1 || !errors.Is(entries[0].Err, clientsecret.ErrNoText) {
		t.Errorf("list: %v, %v", entries, err)
	}
}

func TestEngineBI66PendingIsIgnored(t *testing.T) {
	e := newEngine(t)
	e.Put(t, "crm", "current")
	_, err := e.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(e.prefix + "crm"), SecretString: aws.String("pending"), VersionStages: []string{"AWSPENDING"},
	})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := e.source().Load(t.Context(), "crm", clientsecret.Current, true)
	if err != nil || secret.Text.Reveal() != "current" {
		t.Errorf("version %s was read (%v)", secret.VersionID, err)
	}
}
