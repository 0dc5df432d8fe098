// Package secretwriter writes secrets to Secrets Manager for an operator, and never
// overwrites a concurrent change.
//
// The service itself only reads secrets. PutSecretValue overwrites whatever version
// is current. So a new version is first stored under a staging label of its own,
// and becomes current in a second step that names the version it replaces.
package secretwriter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// MaxText is the largest text of a secret, in bytes.
const MaxText = 64 << 10

const current = "AWSCURRENT"

var (
	// ErrNotFound says that the secret does not exist or has no value.
	ErrNotFound = errors.New("there is no such secret")
	// ErrExists says that a secret of that name exists, or is scheduled for deletion.
	ErrExists = errors.New("a secret of that name exists already")
	// ErrChanged says that the secret changed after it was read.
	ErrChanged = errors.New("the secret was changed concurrently; run this again")
)

// Client is the part of the SDK's Secrets Manager client that an [Editor] calls.
type Client interface {
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// Editor reads and changes secrets. Its errors are those of this package, or name
// the call that failed and the service's error code. They never hold a value.
type Editor struct {
	// Client calls the service. Required.
	Client Client
	// NewID returns the id of a new version: 32 to 64 letters, digits and hyphens. Nil
	// means random ids.
	NewID func() string
}

// Version is the current version of a secret.
type Version struct {
	ARN, ID string
	Text    redact.Secret
	// MadeAt is when this version was created.
	MadeAt time.Time
}

func (e Editor) newID() string {
	if e.NewID != nil {
		return e.NewID()
	}
	return rand.Text() + rand.Text()
}

// Read returns the current version of a secret, by its name or ARN.
func (e Editor) Read(ctx context.Context, id string) (Version, error) {
	out, err := e.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(current)})
	if err != nil {
		return Version{}, explain("GetSecretValue", err)
	}
	if out.SecretString == nil {
		return Version{}, errors.New("the secret is binary, not text")
	}
	return Version{
		ARN: aws.ToString(out.ARN), ID: aws.ToString(out.VersionId),
		Text: redact.New(*out.SecretString), MadeAt: aws.ToTime(out.CreatedDate).UTC(),
	}, nil
}

// Creation is a secret to create.
type Creation struct {
	Name, Description string
	Text              redact.Secret
	// KeyARN is the KMS key that encrypts it; empty means the AWS managed key.
	KeyARN string
}

// Create creates a secret.
func (e Editor) Create(ctx context.Context, c Creation) error {
	in := &secretsmanager.CreateSecretInput{
		Name: &c.Name, SecretString: aws.String(c.Text.Reveal()), ClientRequestToken: aws.String(e.newID()),
		Description: &c.Description,
	}
	if c.KeyARN != "" {
		in.KmsKeyId = &c.KeyARN
	}
	if _, err := e.Client.CreateSecret(ctx, in); err != nil {
		return explain("CreateSecret", err)
	}
	return nil
}

// Replace makes text the current version of the secret that was read as before. It
// returns ErrChanged, and changes nothing, when before is no longer current.
func (e Editor) Replace(ctx context.Context, before Version, text redact.Secret) error {
	id := e.newID()
	label := "tokenvend-edit-" + id
	_, err := e.Client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &before.ARN, ClientRequestToken: &id, SecretString: aws.String(text.Reveal()), VersionStages: []string{label},
	})
	if err != nil {
		return explain("PutSecretValue", err)
	}
	err = e.move(ctx, before.ARN, current, before.ID, id)
	// Remove the label in any case: Secrets Manager deletes versions without a label.
	return errors.Join(err, e.move(context.WithoutCancel(ctx), before.ARN, label, id, ""))
}

// move moves a label from one version to another; an empty to removes it.
func (e Editor) move(ctx context.Context, secret, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secret, VersionStage: &label, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	_, err := e.Client.UpdateSecretVersionStage(ctx, in)
	if code := codeOf(err); label == current && (code == "InvalidParameterException" || code == "InvalidRequestException") {
		// Only from can be outdated in this request.
		return e.confirm(ctx, secret, to)
	}
	if err != nil {
		return explain("UpdateSecretVersionStage", err)
	}
	return nil
}

// confirm distinguishes a concurrent change from a first attempt of this editor
// that succeeded although its response was lost.
func (e Editor) confirm(ctx context.Context, secret, want string) error {
	now, err := e.Read(ctx, secret)
	if err != nil {
		return err
	}
	if now.ID != want {
		return ErrChanged
	}
	return nil
}

// recoveryDays is how long a deleted secret can be restored: the maximum.
const recoveryDays = 30

// Delete schedules the deletion of a secret at the end of the recovery window, and
// returns that date.
func (e Editor) Delete(ctx context.Context, id string) (time.Time, error) {
	out, err := e.Client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(recoveryDays)})
	if err != nil {
		return time.Time{}, explain("DeleteSecret", err)
	}
	return aws.ToTime(out.DeletionDate).UTC(), nil
}

func codeOf(err error) string {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode()
	}
	return ""
}

// explain tells the operator what an error code means. The service's own message is
// omitted, because it names ARNs and principals.
func explain(call string, err error) error {
	switch code := codeOf(err); code {
	case "ResourceNotFoundException":
		return ErrNotFound
	case "ResourceExistsException":
		return ErrExists
	case "InvalidRequestException":
		return fmt.Errorf("%w, scheduled for deletion or without a version; restore it or use another name (%s)", ErrExists, code)
	case "AccessDeniedException":
		return fmt.Errorf("these credentials are not allowed to call secretsmanager:%s on it", call)
	case "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException":
		return fmt.Errorf("AWS rejected these credentials (%s); get new ones", code)
	case "":
		return fmt.Errorf("secretsmanager:%s got no answer; check the region and the network", call)
	default:
		return fmt.Errorf("secretsmanager:%s failed with %s", call, code)
	}
}
