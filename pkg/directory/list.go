package directory

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

const (
	// firstSecrets is how many secrets a listing reads first: one bundle may hold
	// enough connections for a page. Each time the page is not full it reads twice as
	// many, up to maxSecrets, whose texts fit into memory (64 KB each).
	firstSecrets = 20
	maxSecrets   = 100
	// maxPageBytes and maxPageTime end a page. Lambda allows 6 MB of answer and the
	// API 29 s; a page may overrun its time by one read of secrets.
	maxPageBytes = 1 << 20
	maxPageTime  = 10 * time.Second
	// statusReads bounds how many items are read at once.
	statusReads = 16
)

// List returns up to limit statuses in the source's order of secrets and by name within
// one, without subjects, and the cursor of the next page, empty on the last. A page also ends when it is large
// or took long, but it always gets further than the one before. What exists throughout is listed at
// least once; once if no secret is deleted meanwhile. Every error is a
// *problem.Error.
func (d *Directory) List(ctx context.Context, limit int, next string) ([]Status, string, error) {
	at, err := parsePosition(next)
	if err != nil {
		return nil, "", err
	}
	began, bytes := d.now(), 0
	var listed []Status
	for secrets := firstSecrets; ; secrets = min(2*secrets, maxSecrets) {
		room := limit - len(listed)
		found, after, err := d.read(ctx, min(secrets, room), room, at)
		if err != nil {
			return nil, "", err
		}
		statuses, err := d.statuses(ctx, found)
		if err != nil {
			return nil, "", err
		}
		for i, s := range statuses {
			if bytes += s.size(); bytes > maxPageBytes && len(listed) > 0 {
				return listed, found[i].at.String(), nil
			}
			listed = append(listed, s)
		}
		if at = after; at.end || len(listed) == limit || d.now().Sub(began) >= maxPageTime {
			return listed, at.String(), nil
		}
	}
}

// located is a connection of a listing, and its position.
type located struct {
	connection.Entry
	at position
}

// read reads one page of secrets and returns up to limit of their connections from a
// position on, and the position after them. It parses no more secrets than it needs.
func (d *Directory) read(ctx context.Context, secrets, limit int, at position) ([]located, position, error) {
	page, cursor, err := d.lister.List(ctx, secrets, at.Cursor)
	if err != nil {
		return nil, at, listProblem(err)
	}
	var found []located
	first, after := at.in(page)
	for i := first; i < len(page); i++ {
		here := position{Cursor: at.Cursor, Secrets: i, Secret: page[i].Name, After: after}
		if len(found) == limit {
			return found, here, nil
		}
		for _, e := range d.expand(ctx, page[i], after) {
			if len(found) == limit {
				return found, here, nil
			}
			found = append(found, located{e, here})
			here.After = e.Name
		}
		after = ""
	}
	next := position{Cursor: cursor, end: cursor == ""}
	if first == len(page) && first > 0 {
		next.Secrets, next.Secret, next.After = at.Secrets-len(page), at.Secret, at.After
	}
	return found, next, nil
}

// expand returns the connections of a secret that come after a name, in the order of
// their names.
func (d *Directory) expand(ctx context.Context, s clientsecret.Entry, after string) []connection.Entry {
	if s.Err != nil {
		return []connection.Entry{{Name: s.Name, Err: s.Err}}
	}
	entries := d.declarations.Parser.Reading(ctx, true).Expand(s.Secret)
	slices.SortStableFunc(entries, func(a, b connection.Entry) int { return strings.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(entries, func(e connection.Entry) bool { return after != "" && e.Name <= after })
}

func listProblem(err error) error {
	if errors.Is(err, clientsecret.ErrBadCursor) {
		return badCursor(err)
	}
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the list of the connections' secrets is temporarily unavailable"}
}

// statuses completes what was found with the stored items.
func (d *Directory) statuses(ctx context.Context, found []located) ([]Status, error) {
	statuses := make([]Status, len(found))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(statusReads)
	for i, f := range found {
		if f.Err != nil {
			statuses[i] = misconfigured(f.Name, f.Err)
			continue
		}
		g.Go(func() (err error) {
			statuses[i], err = d.status(ctx, f.Connection, page{stateOnly: true})
			return err
		})
	}
	return statuses, g.Wait()
}

// size is about how many bytes a status without subjects takes in an answer.
func (s Status) size() int {
	const others = 200 // members of bounded length, and the names of all
	text, _ := json.Marshal([]string{s.Connection, s.Provider, s.Problem})
	return len(text) + others
}
