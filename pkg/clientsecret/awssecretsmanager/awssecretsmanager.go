// Package awssecretsmanager reads connections from AWS Secrets Manager: the
// secret <SECRET_PREFIX><name> holds the connection or bundle <name>.
//
// It only reads, always specifies the version stage, and reduces the errors of the
// SDK to their code: they contain no ARN and no request id.
package awssecretsmanager

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Getter is the part of the SDK client that reads one secret.
type Getter interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Client is the part of the SDK client that a [Source] uses;
// *secretsmanager.Client implements it. Only listings call the other two methods,
// so only a function that lists needs the permissions for them.
type Client interface {
	Getter
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

// Config configures a [Source].
type Config struct {
	// Client calls the service. There are no retries besides its own. Required.
	Client Client
	// Prefix is SECRET_PREFIX, which precedes each name in the service.
	Prefix string
}

// Source reads secrets from Secrets Manager. It is safe for concurrent use and
// caches nothing.
type Source struct {
	client Client
	prefix string
}

// New returns a source; nothing is called before the first read.
func New(c Config) *Source { return &Source{client: c.Client, prefix: c.Prefix} }

// Load reads the version of the named secret that carries the stage. It ignores
// fresh, because nothing is cached here. Errors are of the kinds of clientsecret. A
// secret that exists without a current version is ErrNoText, not ErrNotFound.
func (s *Source) Load(ctx context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if err := clientsecret.CheckName(name); err != nil {
		return clientsecret.Secret{}, err
	}
	id := s.prefix + name
	found, err := get(ctx, s.client, request{id: id, stage: stage, origin: origin(id)})
	found.Name = name
	return found, err
}

// ReadText reads the current text of one secret by its full name or ARN. It is for
// the sealing keyset, which is outside the prefix. Errors are those of
// [Source.Load].
func ReadText(ctx context.Context, client Getter, id string) (redact.Secret, error) {
	found, err := get(ctx, client, request{id: id, stage: clientsecret.Current, origin: origin(id)})
	return found.Text, err
}

// request names one version of one secret.
type request struct {
	id     string // name or ARN
	stage  clientsecret.Stage
	origin string
}

// get reads one version; the caller sets the name within the prefix.
func get(ctx context.Context, client Getter, r request) (clientsecret.Secret, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     &r.id,
		VersionStage: aws.String(string(r.stage)),
	})
	if err != nil {
		return clientsecret.Secret{}, faultOf(err).at(r.stage).wrap(r.origin)
	}
	return version{arn: out.ARN, id: out.VersionId, text: out.SecretString, created: out.CreatedDate}.secret(r.origin)
}

// version is one version in a response of the service.
type version struct {
	arn, id, text *string
	created       *time.Time
}

func (v version) secret(origin string) (clientsecret.Secret, error) {
	found := clientsecret.Secret{ARN: aws.ToString(v.arn), VersionID: aws.ToString(v.id), Origin: origin}
	if v.created != nil {
		found.CreatedAt = v.created.UTC()
	}
	if v.text == nil {
		return found, fmt.Errorf("%s: %w: it is binary; store the JSON as text (SecretString)", origin, clientsecret.ErrNoText)
	}
	found.Text = redact.New(*v.text)
	return found, nil
}

// origin is the location of a secret for operators. From an ARN only the name is
// kept, with the suffix that the service adds.
func origin(id string) string {
	if strings.HasPrefix(id, "arn:") {
		id = id[strings.LastIndexByte(id, ':')+1:]
	}
	return "secret " + id
}
