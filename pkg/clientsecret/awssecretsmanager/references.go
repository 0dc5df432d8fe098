package awssecretsmanager

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

// ReferenceClient is the part of the SDK client that [References] uses. Only a
// function that asks for versions needs the permission for the second method.
type ReferenceClient interface {
	Getter
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// References reads the secrets that connections refer to, by name or ARN. It reads
// only what is allowed, and caches nothing. It is a clientsecret.Loader.
type References struct {
	Client  ReferenceClient
	Allowed clientsecret.Allowed
}

// Load reads the version that carries the stage. Errors are of the kinds of
// clientsecret.
func (r References) Load(ctx context.Context, id string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if err := r.Allowed.CheckID(id); err != nil {
		return clientsecret.Secret{}, err
	}
	found, err := get(ctx, r.Client, request{id: id, stage: stage, origin: origin(id)})
	if found.ARN != "" {
		if err := r.Allowed.CheckARN(found.ARN); err != nil {
			return clientsecret.Secret{}, err
		}
	}
	found.Name = id
	return found, err
}

// Version returns the current version of one secret, without its text. It has no
// VersionID if there is none, or the secret is scheduled for deletion, and no ARN
// either if there is no secret. Errors are of the kinds of clientsecret.
func (r References) Version(ctx context.Context, id string) (clientsecret.Version, error) {
	none := clientsecret.Version{Name: id}
	if r.Allowed.CheckID(id) != nil {
		return none, nil
	}
	found, err := r.Client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		if f := faultOf(err); f.code != codeNotFound {
			return none, fmt.Errorf("%s: %w (%s)%s", origin(id), f.kind(), f.code, f.adviceOf("secretsmanager:DescribeSecret"))
		}
		return none, nil
	}
	return clientsecret.Version{Name: id, ARN: aws.ToString(found.ARN), VersionID: currentVersion(found.DeletedDate, found.VersionIdsToStages)}, nil
}
