package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

// The service's error codes that mean something of their own here.
const (
	codeNotFound     = "ResourceNotFoundException"
	codeAccessDenied = "AccessDeniedException"
	codeInvalid      = "InvalidRequestException"
	codeDecryption   = "DecryptionFailure"
	codeBadToken     = "InvalidNextTokenException"
)

// fault is why a call, or one secret within it, failed: the service's code or a
// word of ours, and what it means. It holds nothing else of the answer.
type fault struct {
	code string
	// noStage: the secret exists, only no version of it carries the stage.
	noStage bool
}

// judge strips an SDK error to its fault.
func judge(err error) fault {
	var api smithy.APIError
	var network net.Error
	switch {
	case errors.As(err, &api):
		return judgeCode(api.ErrorCode(), api.ErrorMessage())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return fault{code: "timeout"}
	default:
		return fault{code: "no usable answer"}
	}
}

// judgeCode is judge for the error of one secret in a batch. The service has one
// code for a secret that is missing and for a version that is; only the words of
// its message differ. Should they change, such a secret counts as missing.
func judgeCode(code, message string) fault {
	return fault{code: code, noStage: code == codeNotFound && strings.Contains(message, "staging label")}
}

// at narrows a fault to the stage asked for: that there is no previous version
// is ordinary, and nothing to repair.
func (f fault) at(stage clientsecret.Stage) fault {
	f.noStage = f.noStage && stage == clientsecret.Current
	return f
}

// kind tells the permanent from the transient. What is not known is transient:
// asking again costs little, and a caller's valid token is served meanwhile.
//
// DecryptionFailure is transient although a disabled key causes it too: the
// service does not tell the two apart, and KMS failing must not make every
// connection misconfigured.
func (f fault) kind() error {
	switch f.code {
	case codeNotFound:
		if f.noStage {
			return clientsecret.ErrUnreadable
		}
		return clientsecret.ErrNotFound
	case codeAccessDenied, codeInvalid:
		return clientsecret.ErrUnreadable
	case codeBadToken:
		return clientsecret.ErrBadCursor
	default:
		return clientsecret.ErrUnavailable
	}
}

// concernsOneSecret reports whether a call for many secrets failed over one of
// them, so that the others can still be read.
func (f fault) concernsOneSecret() bool {
	return f.code == codeNotFound || f.code == codeInvalid || f.code == codeDecryption
}

// mend tells the operator what to do, if there is anything.
func (f fault) mend() string {
	switch {
	case f.noStage:
		return ": it has no version AWSCURRENT; put a value"
	case f.code == codeAccessDenied:
		return ": allow this function's role secretsmanager:GetSecretValue on it, and kms:Decrypt on its key if that is your own"
	case f.code == codeInvalid:
		return ": most likely it is scheduled for deletion; restore it"
	case f.code == codeDecryption:
		return ": if it lasts, see that its KMS key is enabled"
	default:
		return ""
	}
}

// wrap makes the error about one secret.
func (f fault) wrap(origin string) error {
	return fmt.Errorf("%s: %w (%s)%s", origin, f.kind(), f.code, f.mend())
}

// wrapCall makes the error about a call that concerns many secrets. action is
// the permission it needs.
func (f fault) wrapCall(action string) error {
	if f.code == codeAccessDenied {
		return fmt.Errorf("list secrets: %w (%s): allow this function's role %s", f.kind(), f.code, action)
	}
	return fmt.Errorf("list secrets: %w (%s)", f.kind(), f.code)
}
