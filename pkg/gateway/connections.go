package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
)

// Directory reads the status of connections; *directory.Directory implements it.
// Its errors are *problem.Error.
type Directory interface {
	// Status returns up to limit subjects after the cursor next.
	Status(ctx context.Context, name connection.Name, limit int, next string) (directory.Status, error)
	List(ctx context.Context, limit int, next string) ([]directory.Status, string, error)
}

// ConnectionsConfig configures the handler of the connections function. Directory,
// BackChannel, Grants and Audit are required.
type ConnectionsConfig struct {
	Directory   Directory
	BackChannel BackChannel
	Grants      Grants
	// PublicBaseURL is the public base of the consent page and the callback,
	// without a trailing slash; empty takes it from the request that starts a
	// consent.
	PublicBaseURL string
	Audit         *audit.Writer
	// InvocationID returns Lambda's id of an invocation, for events that carry no
	// request id; nil means that there is none.
	InvocationID func(context.Context) string
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Connections returns the handler of the status and …/authorization routes.
func Connections(c ConnectionsConfig) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := statusRoutes{directory: c.Directory}
	authorization, complete := authorizationRoutes{
		status: s, consents: c.BackChannel, grants: c.Grants, publicBaseURL: c.PublicBaseURL, now: c.Now,
	}.methods()
	return &Handler{audit: c.Audit, invocationID: c.InvocationID, respond: problemResponse, routes: map[string]resource{
		"/connections": {
			http.MethodGet: {action: "list", query: []string{"limit", "next"}, run: s.list},
		},
		"/connections/{connection}": {
			http.MethodGet: {action: "status", query: []string{"limit", "next"}, run: s.get},
		},
		"/connections/{connection}/authorization":                             authorization,
		"/connections/{connection}/authorization/complete":                    complete,
		"/connections/{connection}/subjects/{subject}/authorization":          authorization,
		"/connections/{connection}/subjects/{subject}/authorization/complete": complete,
	}}
}
