package vending

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// awaitFor is how long the version that an event names is waited for: a secret is
	// read from replicas that may lag. awaitEvery is the pause between two reads.
	awaitFor   = 7 * time.Second
	awaitEvery = 500 * time.Millisecond
)

// await waits until the secret's current version is the one that an event names. It
// reports false if the label has moved past that version. If the version does not
// come the event is to be repeated, and the error says so. A secret that has been
// deleted since, or has no text, is current as it is.
func (c *Core) await(ctx context.Context, secret string, e declaration.Event) (current bool, err error) {
	gone := false
	for range awaitFor / awaitEvery {
		s, err := c.loader.Secrets.Load(ctx, secret, clientsecret.Current, true)
		gone = errors.Is(err, clientsecret.ErrNotFound) || errors.Is(err, clientsecret.ErrNoText)
		switch {
		case s.VersionID == e.Version:
			return true, nil
		case errors.Is(err, clientsecret.ErrUnavailable):
			return false, &problem.Error{Code: problem.StoreUnavailable, Cause: err, Detail: "the secret of the event is temporarily unavailable"}
		case s.CreatedAt.After(e.At), c.isPrevious(ctx, secret, e.Version):
			return false, nil
		}
		if err := c.clock.Wait(ctx, awaitEvery); err != nil {
			return false, rules.InProgress("the invocation ended while it waited for the secret's version")
		}
	}
	if gone {
		return true, nil
	}
	return false, rules.InProgress("the secret's version that the event names is not current yet")
}

// isPrevious reports whether a version is the one before the current one.
func (c *Core) isPrevious(ctx context.Context, secret, version string) bool {
	s, err := c.loader.Secrets.Load(ctx, secret, clientsecret.Previous, true)
	return err == nil && s.VersionID == version
}
