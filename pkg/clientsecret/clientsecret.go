// Package clientsecret describes where connections are kept: one secret holds
// one connection, or a bundle of them.
//
// Two sources deliver secrets: awssecretsmanager in the cloud, folder on a
// laptop and in tests. Who consumes them declares the interface it needs; the
// types and the error kinds, which both sources share, stand here.
package clientsecret

import (
	"errors"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Stage names a version of a secret (Secrets Manager's staging labels).
type Stage string

// The stages that are read. AWSPENDING never is.
const (
	Current  Stage = "AWSCURRENT"
	Previous Stage = "AWSPREVIOUS"
)

// Secret is one version of one secret.
type Secret struct {
	// Name is the secret's name without SECRET_PREFIX: a connection's or a bundle's.
	Name string
	// ARN changes when a secret is deleted and made again under the same name.
	ARN string
	// VersionID changes with every change of the text.
	VersionID string
	// Text is the SecretString, as it is.
	Text redact.Secret
	// Origin tells an operator where it is: "secret tokenvend/crm" or "file crm.json".
	Origin string
}

// Entry is one secret of a listing: its AWSCURRENT version, or why that cannot
// be had. With Err set only Name, Origin and, where known, ARN are filled; Err is
// of the kinds below, so that one bad secret never hides the others.
//
// Names are listed as they are found, also those that no connection can have:
// somebody made a mistake and should see it.
type Entry struct {
	Secret
	Err error
}

// Version tells which version of a secret is current, without its text: enough
// to notice that it changed.
type Version struct {
	// Name is as Secret.Name; ARN and VersionID are those of the current version.
	// VersionID is empty when none is current.
	Name, ARN, VersionID string
}

// The kinds of failure of a source; test with errors.Is. The error's text names
// the secret and the service's error code, never an ARN or a value.
var (
	// ErrNotFound: there is no such secret, or it has no version of the stage asked for.
	ErrNotFound = errors.New("secret not found")
	// ErrUnreadable: it exists, and an operator must act before it can be read
	// (permission, deletion scheduled, key disabled, not a text).
	ErrUnreadable = errors.New("secret unreadable")
	// ErrUnavailable: the source does not answer or throttles; a later try may succeed.
	ErrUnavailable = errors.New("secret source unavailable")
	// ErrBadCursor: the cursor given to a listing is not one that this source handed out.
	ErrBadCursor = errors.New("cursor not valid; start again without one")
)
