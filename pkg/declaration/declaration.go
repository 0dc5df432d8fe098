// Package declaration finds the declaration of a connection that is in force,
// and decides what of the stored state still counts under it: a failure is
// forgotten, and a grant is unusable, once what it depends on has changed.
//
// Both the core and the directory need that, and must agree. The package writes
// nothing and calls no provider.
package declaration

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Secrets reads connections' secrets. Errors are those of clientsecret.
type Secrets interface {
	// Load reads the version of the named secret that carries the stage. With
	// fresh set it bypasses every cache.
	Load(ctx context.Context, name string, stage clientsecret.Stage, fresh bool) (clientsecret.Secret, error)
}

// Loader reads declarations.
type Loader struct {
	Secrets Secrets
	Parser  connection.Parser
}

// Load reads and parses the declaration of a connection that is in force. With
// fresh set it bypasses every cache; a cached copy that is not valid is read
// again, because it may have been corrected since. Every error is a
// *problem.Error.
func (l Loader) Load(ctx context.Context, name connection.Name, fresh bool) (connection.Connection, error) {
	s, err := l.Secrets.Load(ctx, name.Secret(), clientsecret.Current, fresh)
	if err != nil {
		return connection.Connection{}, secretProblem(name, err)
	}
	conn, err := l.Parser.Reading(ctx, fresh).Parse(name, s)
	if err != nil && !fresh {
		return l.Load(ctx, name, true)
	}
	if err != nil {
		return connection.Connection{}, invalid(name, err)
	}
	return conn, nil
}

// Declared reads what a secret declares now and bypasses every cache. A secret
// without a text declares one connection, of its own name and with an error; one
// that does not exist declares none and is the zero Secret. Every error is a
// *problem.Error.
func (l Loader) Declared(ctx context.Context, name string) (clientsecret.Secret, []connection.Entry, error) {
	s, err := l.Secrets.Load(ctx, name, clientsecret.Current, true)
	switch {
	case err == nil:
		return s, l.Parser.Reading(ctx, true).Expand(s), nil
	case errors.Is(err, clientsecret.ErrNotFound):
		return clientsecret.Secret{}, nil, nil
	case errors.Is(err, clientsecret.ErrNoText):
		return s, []connection.Entry{{Name: name, Err: err}}, nil
	}
	return clientsecret.Secret{}, nil, secretProblem(connection.Name(name), err)
}

// Gone reports whether an error of Load says that there is no valid declaration:
// that the secret does not exist, has no text, or declares no such connection or
// an invalid one. Then nothing that it declared before counts. A secret that
// could not be read says nothing.
func Gone(err error) bool { return errors.As(err, new(gone)) }

// gone is the cause of a problem for which Gone is true.
type gone struct{ error }

func (g gone) Unwrap() error { return g.error }

func secretProblem(name connection.Name, err error) *problem.Error {
	switch {
	case errors.Is(err, clientsecret.ErrNotFound):
		return notFound(name, err)
	case errors.Is(err, clientsecret.ErrNoText):
		return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: gone{err}, Detail: err.Error()}
	case errors.Is(err, clientsecret.ErrUnreadable):
		return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: err, Detail: err.Error()}
	default:
		return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the connection's secret, or one that it refers to, is temporarily unavailable"}
	}
}

func invalid(name connection.Name, err error) *problem.Error {
	if errors.Is(err, connection.ErrNoConnection) {
		return notFound(name, err)
	}
	if errors.As(err, new(connection.Unread)) {
		return Unread(name, err)
	}
	return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: gone{err}, Detail: err.Error()}
}

// Unread is the problem of a declaration whose referenced secret cannot be read now:
// of a connection.Unread.
func Unread(name connection.Name, err error) *problem.Error { return secretProblem(name, err) }

func notFound(name connection.Name, err error) *problem.Error {
	return &problem.Error{Code: problem.ConnectionNotFound, Cause: gone{err},
		Detail: "there is no connection " + string(name) + "; a connection exists when its secret does"}
}
