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

// The error codes of the service that are treated specially.
const (
	codeNotFound     = "ResourceNotFoundException"
	codeAccessDenied = "AccessDeniedException"
	codeInvalid      = "InvalidRequestException"
	codeDecryption   = "DecryptionFailure"
	codeBadToken     = "InvalidNextTokenException"
)

// fault is why a call, or one secret in it, failed: the service's error code, or a
// fixed text. It contains nothing else of the response.
type fault struct {
	code string
	// noStage: the secret exists, but no version of it carries the stage.
	noStage bool
}

// faultOf reduces an SDK error to its fault.
func faultOf(err error) fault {
	var api smithy.APIError
	var network net.Error
	switch {
	case errors.As(err, &api):
		return faultOfCode(api.ErrorCode(), api.ErrorMessage())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return fault{code: "timeout"}
	default:
		return fault{code: "no usable response"}
	}
}

// faultOfCode is the fault of one secret in a batch. The service has one code for a
// missing secret and for a missing version; only the text of its message differs.
// If that text changes, a secret without a current version counts as missing.
func faultOfCode(code, message string) fault {
	return fault{code: code, noStage: code == codeNotFound && strings.Contains(message, "staging label")}
}

// at adapts a fault to the requested stage: a missing previous version is normal
// and needs no repair.
func (f fault) at(stage clientsecret.Stage) fault {
	f.noStage = f.noStage && stage == clientsecret.Current
	return f
}

// kind distinguishes permanent from transient errors. An unknown code is transient:
// another attempt costs little, and callers get the valid token meanwhile.
//
// DecryptionFailure is transient although a disabled key causes it too: the service
// does not distinguish the two, and an outage of KMS must not make every connection
// misconfigured.
func (f fault) kind() error {
	switch f.code {
	case codeNotFound:
		if f.noStage {
			return clientsecret.ErrNoText
		}
		return clientsecret.ErrNotFound
	case codeInvalid:
		return clientsecret.ErrNoText
	case codeAccessDenied:
		return clientsecret.ErrUnreadable
	case codeBadToken:
		return clientsecret.ErrBadCursor
	default:
		return clientsecret.ErrUnavailable
	}
}

// isOfOneSecret reports whether a call for many secrets failed because of one of
// them, so that the others can still be read.
func (f fault) isOfOneSecret() bool {
	return f.code == codeNotFound || f.code == codeInvalid || f.code == codeDecryption
}

// advice tells the operator how to fix the fault, if that is known.
func (f fault) advice() string {
	switch {
	case f.noStage:
		return ": it has no version AWSCURRENT; put a value"
	case f.code == codeAccessDenied:
		return f.adviceOf("secretsmanager:GetSecretValue") + ", and kms:Decrypt on its key if that is a customer managed key"
	case f.code == codeInvalid:
		return ": it is most likely scheduled for deletion; restore it"
	case f.code == codeDecryption:
		return ": if this persists, check that its KMS key is enabled"
	default:
		return ""
	}
}

// adviceOf is the advice after a call that needs a permission on one secret.
func (f fault) adviceOf(action string) string {
	if f.code != codeAccessDenied {
		return ""
	}
	return ": allow this function's role " + action + " on it"
}

// wrap returns the error of one secret.
func (f fault) wrap(origin string) error {
	return fmt.Errorf("%s: %w (%s)%s", origin, f.kind(), f.code, f.advice())
}

// wrapCall returns the error of a call for many secrets. action is the permission
// that it needs.
func (f fault) wrapCall(action string) error {
	if f.code == codeAccessDenied {
		return fmt.Errorf("list secrets: %w (%s): allow this function's role %s", f.kind(), f.code, action)
	}
	return fmt.Errorf("list secrets: %w (%s)", f.kind(), f.code)
}
