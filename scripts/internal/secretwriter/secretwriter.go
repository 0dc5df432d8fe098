// Package secretwriter changes secrets in Secrets Manager for an operator, so that
// nobody else's change is lost under it.
//
// The service itself only ever reads; everything that writes secrets stands here
// and is run by a person. PutSecretValue overwrites whatever is current. So a new
// version is put beside it first, under a label that means nothing, and becomes
// current in a second step that names the version it takes the label from.
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
	// ErrNotFound: there is no such secret, or nothing in it.
	ErrNotFound = errors.New("there is no such secret")
	// ErrExists: there is one of that name, or one that waits for its deletion.
	ErrExists = errors.New("there is a secret of that name already")
	// ErrChanged: somebody else changed the secret since it was read.
	ErrChanged = errors.New("somebody else has changed the secret meanwhile; run this again")
)

// Client is what is asked of the SDK; *secretsmanager.Client is one.
type Client interface {
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

// Editor changes secrets. Errors are the kinds of this package, or say which
// call failed with which of the service's codes; they hold no value.
type Editor struct {
	// Client calls the service. Required.
	Client Client
	// NewID names versions, with 32 to 64 letters, digits and hyphens; nil draws
	// them at random.
	NewID func() string
}

// Version is the current version of a secret.
type Version struct {
	ARN, ID string
	Text    redact.Secret
	// MadeAt is when this version came to be.
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
		return Version{}, failed("GetSecretValue", err)
	}
	if out.SecretString == nil {
		return Version{}, errors.New("the secret holds bytes, not a text")
	}
	return Version{
		ARN: aws.ToString(out.ARN), ID: aws.ToString(out.VersionId),
		Text: redact.New(*out.SecretString), MadeAt: aws.ToTime(out.CreatedDate).UTC(),
	}, nil
}

// Creation is a secret to be made.
type Creation struct {
	Name, Description string
	Text              redact.Secret
	// KeyARN is the KMS key it is encrypted under; empty is AWS's own.
	KeyARN string
}

// Create makes a secret and returns its ARN.
func (e Editor) Create(ctx context.Context, c Creation) (arn string, err error) {
	in := &secretsmanager.CreateSecretInput{
		Name: &c.Name, SecretString: aws.String(c.Text.Reveal()), ClientRequestToken: aws.String(e.newID()),
		Description: &c.Description,
	}
	if c.KeyARN != "" {
		in.KmsKeyId = &c.KeyARN
	}
	out, err := e.Client.CreateSecret(ctx, in)
	if err != nil {
		return "", failed("CreateSecret", err)
	}
	return aws.ToString(out.ARN), nil
}

// Replace makes text the current version of the secret that was read as before.
// ErrChanged says that before is no longer current; then nothing has changed.
func (e Editor) Replace(ctx context.Context, before Version, text redact.Secret) error {
	id := e.newID()
	label := "tokenvend-edit-" + id
	_, err := e.Client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &before.ARN, ClientRequestToken: &id, SecretString: aws.String(text.Reveal()), VersionStages: []string{label},
	})
	if err != nil {
		return failed("PutSecretValue", err)
	}
	err = e.move(ctx, before.ARN, current, before.ID, id)
	// The label goes whatever happened: a version without any is forgotten by itself.
	return errors.Join(err, e.move(context.WithoutCancel(ctx), before.ARN, label, id, ""))
}

// move takes a label from one version to another, or with an empty to away.
func (e Editor) move(ctx context.Context, secret, label, from, to string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &secret, VersionStage: &label, RemoveFromVersionId: &from}
	if to != "" {
		in.MoveToVersionId = &to
	}
	_, err := e.Client.UpdateSecretVersionStage(ctx, in)
	if code := codeOf(err); label == current && (code == "InvalidParameterException" || code == "InvalidRequestException") {
		// The only thing in that request that can have become wrong is from.
		return e.confirm(ctx, secret, to)
	}
	if err != nil {
		return failed("UpdateSecretVersionStage", err)
	}
	return nil
}

// confirm tells a label that somebody else moved from one that our own lost
// first attempt moved.
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

// recoveryDays is how long a deleted secret can be brought back: the longest
// there is.
const recoveryDays = 30

// Delete has a secret deleted once its days of recovery are over, and returns
// when that is.
func (e Editor) Delete(ctx context.Context, id string) (time.Time, error) {
	out, err := e.Client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(recoveryDays)})
	if err != nil {
		return time.Time{}, failed("DeleteSecret", err)
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

// failed says in words what the service's codes mean to who runs a command. The
// service's own message names ARNs and principals, and is left out.
func failed(call string, err error) error {
	switch code := codeOf(err); code {
	case "ResourceNotFoundException":
		return ErrNotFound
	case "ResourceExistsException":
		return ErrExists
	case "InvalidRequestException":
		return fmt.Errorf("%w, which waits for its deletion or for its first version; restore it or take another name (%s)", ErrExists, code)
	case "AccessDeniedException":
		return fmt.Errorf("these credentials may not call secretsmanager:%s on it", call)
	case "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException":
		return fmt.Errorf("AWS does not take these credentials (%s); get new ones", code)
	case "":
		return fmt.Errorf("secretsmanager:%s was not answered; see AWS_REGION and the network", call)
	default:
		return fmt.Errorf("secretsmanager:%s failed with %s", call, code)
	}
}
