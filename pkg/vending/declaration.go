package vending

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// declarations finds what operators declared.
type declarations struct {
	secrets Secrets
	parser  connection.Parser
}

// load reads and parses the current declaration of a connection; with fresh
// set, past every cache. Every error is a *problem.Error whose cause says where.
func (d declarations) load(ctx context.Context, name connection.Name, fresh bool) (connection.Connection, error) {
	s, err := d.secrets.Load(ctx, name.Secret(), clientsecret.Current, fresh)
	if err != nil {
		return connection.Connection{}, secretProblem(name, err)
	}
	conn, err := d.parser.Parse(name, s)
	if err != nil && !fresh {
		return d.load(ctx, name, true) // it may have been mended since it was cached
	}
	if err != nil {
		return connection.Connection{}, declarationProblem(name, err)
	}
	return conn, nil
}

// reconsider decides whether a remembered failure still holds: it is forgotten
// when the secret has changed, so its cached copy is not taken at its word. The
// error is the failure's.
func (c *Core) reconsider(ctx context.Context, conn connection.Connection, item tokenstore.Item) (connection.Connection, error) {
	if c.looks.try(tokenstore.Key{Connection: string(conn.Name)}, c.now()) == 0 {
		if current, err := c.declarations.load(ctx, conn.Name, true); err == nil {
			conn = current
		}
	}
	if now := c.now(); active(item, conn, now) {
		return conn, remembered(item.Failure, now)
	}
	return conn, nil
}

func secretProblem(name connection.Name, err error) *problem.Error {
	switch {
	case errors.Is(err, clientsecret.ErrNotFound):
		return notFound(name, err)
	case errors.Is(err, clientsecret.ErrUnreadable):
		return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: err, Detail: err.Error()}
	default:
		return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the connection's secret cannot be read now"}
	}
}

func declarationProblem(name connection.Name, err error) *problem.Error {
	if errors.Is(err, connection.ErrNoConnection) {
		return notFound(name, err)
	}
	return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: err, Detail: err.Error()}
}

func notFound(name connection.Name, err error) *problem.Error {
	return &problem.Error{Code: problem.ConnectionNotFound, Cause: err,
		Detail: "there is no connection " + string(name) + "; a connection exists when its secret does"}
}

// permit decides whether r may have a token of conn. The caller is judged
// first, so that a stranger learns nothing about scopes.
func permit(conn connection.Connection, r Request) error {
	asked := r.Scope
	if asked == "" {
		asked = conn.Scope
	}
	if err := checkCallers(conn.Callers, r, asked); err != nil {
		return err
	}
	if _, err := conn.EffectiveScope(r.Scope); err != nil {
		return &problem.Error{Code: problem.InvalidScope, Cause: err, Detail: err.Error()}
	}
	if r.Subject != "" && !conn.Delegated() {
		return problem.New(problem.InvalidRequest, "connection "+string(conn.Name)+" acts for itself and has no subjects; ask without one")
	}
	return nil
}

// allow applies the second gate that a stored token carries, so that a warm
// token is as well guarded as a cold connection.
func allow(r Request, t Token) error { return checkCallers(t.Callers, r, t.AskedScope) }

func checkCallers(callers connection.Callers, r Request, scope string) error {
	subject := r.Subject
	if subject == "" {
		subject = connection.DefaultSubject
	}
	if err := callers.Allows(r.Caller, scope, string(subject)); err != nil {
		return &problem.Error{Code: problem.AccessDenied, Cause: err,
			Detail: "the connection's callers do not allow this: " + err.Error()}
	}
	return nil
}

// checkMinTTL refuses a minTTL that no token of this lifetime could serve
// without a refresh per call.
func checkMinTTL(t Token, minTTL time.Duration) error {
	if most := t.MaxMinTTL(); minTTL > most {
		return problem.New(problem.InvalidRequest, fmt.Sprintf("min_ttl may be at most %d s here: half of the token's lifetime", most/time.Second))
	}
	return nil
}
