// Package awssecretsmanager reads connections from AWS Secrets Manager: the
// secret <SECRET_PREFIX><name> holds the connection or bundle <name>.
//
// It only ever reads, always names the version stage it wants, and strips the
// SDK's errors to their code: an ARN or a request id never leaves it.
package awssecretsmanager

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Getter is what reading one secret asks of the SDK.
type Getter interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Client is what a [Source] asks of the SDK; *secretsmanager.Client is one. Only
// List calls the other two methods, so only who lists needs their permissions.
type Client interface {
	Getter
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

// Config configures a [Source].
type Config struct {
	// Client calls the service. Its retries are all the retries there are. Required.
	Client Client
	// Prefix is SECRET_PREFIX: what stands before each name in the service.
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

// Load reads the version of the named secret that carries the stage; fresh
// changes nothing, as nothing is cached here. Errors are clientsecret's kinds. A
// secret that exists without any current version is ErrUnreadable, not missing.
func (s *Source) Load(ctx context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if err := clientsecret.CheckName(name); err != nil {
		return clientsecret.Secret{}, err
	}
	id := s.prefix + name
	found, err := get(ctx, s.client, request{id: id, stage: stage, origin: origin(id)})
	if err != nil {
		return clientsecret.Secret{}, err
	}
	found.Name = name
	return found, nil
}

// ReadText reads the current text of one secret by its full name or ARN: the
// sealing keyset, which lies outside the prefix. Errors are those of
// [Source.Load].
func ReadText(ctx context.Context, client Getter, id string) (redact.Secret, error) {
	found, err := get(ctx, client, request{id: id, stage: clientsecret.Current, origin: origin(id)})
	return found.Text, err
}

// request asks for one version of one secret.
type request struct {
	id     string // name or ARN
	stage  clientsecret.Stage
	origin string
}

// get reads one version; the name within the prefix is left to the caller.
func get(ctx context.Context, client Getter, r request) (clientsecret.Secret, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     &r.id,
		VersionStage: aws.String(string(r.stage)),
	})
	if err != nil {
		return clientsecret.Secret{}, judge(err).at(r.stage).wrap(r.origin)
	}
	return version{arn: out.ARN, id: out.VersionId, text: out.SecretString}.secret(r.origin)
}

// version is one version as the service tells it, one by one or in a batch.
type version struct{ arn, id, text *string }

func (v version) secret(origin string) (clientsecret.Secret, error) {
	if v.text == nil {
		return clientsecret.Secret{}, fmt.Errorf("%s: %w: it is binary; store the JSON as text (SecretString)",
			origin, clientsecret.ErrUnreadable)
	}
	return clientsecret.Secret{
		ARN:       aws.ToString(v.arn),
		VersionID: aws.ToString(v.id),
		Text:      redact.New(*v.text),
		Origin:    origin,
	}, nil
}

// origin tells an operator which secret is meant. Of an ARN only the name is
// left, with the characters that the service adds to it.
func origin(id string) string {
	if strings.HasPrefix(id, "arn:") {
		id = id[strings.LastIndexByte(id, ':')+1:]
	}
	return "secret " + id
}
