package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Directory is the core as the status routes use it; *vending.Directory is one.
// Its errors are *problem.Error.
type Directory interface {
	Status(ctx context.Context, name connection.Name) (vending.Status, error)
	List(ctx context.Context, limit int, next string) ([]vending.Status, string, error)
}

// ConnectionsConfig is what the connections function is made of.
type ConnectionsConfig struct {
	Directory Directory
	Audit     *audit.Writer
	// InvocationID names an invocation whose event names no request; nil when
	// there is no such name.
	InvocationID func(context.Context) string
}

// Connections returns the handler of the status routes.
func Connections(c ConnectionsConfig) *Handler {
	s := statusRoutes{directory: c.Directory}
	return &Handler{audit: c.Audit, invocationID: c.InvocationID, routes: map[string]route{
		"/connections": {
			http.MethodGet: {action: "list", query: []string{"limit", "next"}, run: s.list},
		},
		"/connections/{connection}": {
			http.MethodGet: {action: "status", query: []string{"limit", "next"}, run: s.get},
		},
	}}
}

type statusRoutes struct{ directory Directory }

type statusBody struct {
	Connection    string     `json:"connection"`
	Provider      string     `json:"provider,omitempty"`
	GrantType     string     `json:"grant_type,omitempty"`
	State         string     `json:"state"`
	Problem       string     `json:"problem,omitempty"`
	LastError     string     `json:"last_error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
}

type listBody struct {
	Connections []statusBody `json:"connections"`
	Next        string       `json:"next,omitempty"`
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (s statusRoutes) list(ctx context.Context, r *request) (response, error) {
	limit, err := parseLimit(r.query)
	if err != nil {
		return response{}, err
	}
	statuses, next, err := s.directory.List(ctx, limit, r.query["next"])
	if err != nil {
		return response{}, err
	}
	body := listBody{Connections: make([]statusBody, 0, len(statuses)), Next: next}
	for _, status := range statuses {
		body.Connections = append(body.Connections, describe(status))
	}
	return ok(body), nil
}

func (s statusRoutes) get(ctx context.Context, r *request) (response, error) {
	if _, err := parseLimit(r.query); err != nil {
		return response{}, err
	}
	if r.query["next"] != "" {
		return response{}, problem.New(problem.InvalidRequest, "next is not a cursor that this connection returned; start again without it")
	}
	status, err := s.directory.Status(ctx, r.name)
	if err != nil {
		return response{}, err
	}
	return ok(describe(status)), nil
}

func describe(s vending.Status) statusBody {
	body := statusBody{
		Connection: s.Connection, Provider: s.Provider, GrantType: string(s.GrantType),
		State: string(s.State), Problem: s.Problem, LastError: string(s.LastError),
	}
	if !s.NextAttemptAt.IsZero() {
		body.NextAttemptAt = &s.NextAttemptAt
	}
	return body
}

func parseLimit(query map[string]string) (int, error) {
	raw, given := query["limit"]
	if !given {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(raw)
	if err != nil || limit < 1 || limit > maxLimit || raw[0] == '+' {
		return 0, problem.New(problem.InvalidRequest, "limit must be a whole number from 1 to 1000")
	}
	return limit, nil
}
