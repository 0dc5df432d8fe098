// Package clientsecret defines the secrets that contain connections: one secret has
// one connection or a bundle of them.
//
// There are two sources of secrets: awssecretsmanager for production, folder for
// local runs and tests. A package that reads secrets declares the interface that
// it needs. This package has the types and the kinds of errors that both sources
// share, and a cache.
package clientsecret

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Stage names a version of a secret (Secrets Manager's staging labels).
type Stage string

// The stages that are read. AWSPENDING is never read.
const (
	Current  Stage = "AWSCURRENT"
	Previous Stage = "AWSPREVIOUS"
)

// Secret is one version of one secret.
type Secret struct {
	// Name is the secret's name without SECRET_PREFIX: a connection's or a bundle's.
	Name string
	// ARN changes when a secret is deleted and created again under the same name.
	ARN string
	// VersionID changes with every change of the text.
	VersionID string
	// CreatedAt is when the version was created; zero where the source does not say.
	CreatedAt time.Time
	// Text is the SecretString, unchanged.
	Text redact.Secret
	// Origin is the location for operators: "secret tokenvend/crm" or "file crm.json".
	Origin string
}

// Entry is one secret of a listing: its AWSCURRENT version, or the error why it
// cannot be read, so that one unreadable secret does not hide the others. If Err is
// set, Text is not, and ARN and VersionID are set if they are known. Err is of the
// kinds of this package.
//
// Names that are not valid for a connection are listed too, so that an operator
// sees the mistake.
type Entry struct {
	Secret
	Err error
}

// Version identifies the current version of a secret without its text, to detect
// changes.
type Version struct {
	// Name is as Secret.Name; ARN and VersionID are those of the current version.
	// VersionID is empty when there is no current version, or the secret is scheduled
	// for deletion.
	Name, ARN, VersionID string
}

// The kinds of errors of a source; test with errors.Is. The error's text names
// the secret and the service's error code, never an ARN or a value.
var (
	// ErrNotFound: there is no such secret, or it has no version with the stage.
	ErrNotFound = errors.New("secret not found")
	// ErrUnreadable: the secret exists, and an operator must act before it can be read
	// (permission, and the reasons of ErrNoText).
	ErrUnreadable = errors.New("secret unreadable")
	// ErrNoText: the secret exists and has no current text. It is scheduled for
	// deletion, no version carries AWSCURRENT, or that version is binary. So it
	// declares nothing, which missing permission does not mean. It is also
	// ErrUnreadable. It comes with the ARN and the version id, if they are known.
	ErrNoText = fmt.Errorf("%w: it has no text", ErrUnreadable)
	// ErrNotAllowed: the operator of the service does not allow that the secret is read.
	ErrNotAllowed = errors.New("not allowed")
	// ErrUnavailable: the source does not respond or throttles; a later attempt may succeed.
	ErrUnavailable = errors.New("secret source unavailable")
	// ErrBadCursor: the cursor of a listing was not made by this source.
	ErrBadCursor = errors.New("cursor not valid; start again without one")
)
