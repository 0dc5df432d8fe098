package gateway

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

type statusRoutes struct{ directory Directory }

// statusBody has a list of subjects, possibly empty, for an authorization_code
// connection, and none for a client_credentials connection or in a list.
type statusBody struct {
	Connection    string         `json:"connection"`
	Provider      string         `json:"provider,omitempty"`
	GrantType     string         `json:"grant_type,omitempty"`
	State         string         `json:"state"`
	Problem       string         `json:"problem,omitempty"`
	Warnings      []string       `json:"warnings,omitempty"`
	ExtraNames    []string       `json:"extra_names,omitempty"`
	Extra         extra.Values   `json:"extra,omitempty"` // after a consent or an import only
	LastError     string         `json:"last_error,omitempty"`
	NextAttemptAt *time.Time     `json:"next_attempt_at,omitempty"`
	Subjects      *[]subjectBody `json:"subjects,omitempty"`
	Next          string         `json:"next,omitempty"`
}

type subjectBody struct {
	Subject       string     `json:"subject"`
	State         string     `json:"state"`
	ConsentedBy   string     `json:"consented_by,omitempty"`
	ConsentedAt   *time.Time `json:"consented_at,omitempty"`
	RenewBy       *time.Time `json:"renew_by,omitempty"`
	Problem       string     `json:"problem,omitempty"`
	Warnings      []string   `json:"warnings,omitempty"`
	ExtraNames    []string   `json:"extra_names,omitempty"`
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
		body.Connections = append(body.Connections, describeState(status))
	}
	return ok(body), nil
}

func (s statusRoutes) get(ctx context.Context, r *request) (response, error) {
	limit, err := parseLimit(r.query)
	if err != nil {
		return response{}, err
	}
	status, err := s.directory.Status(ctx, r.name, limit, r.query["next"])
	if err != nil {
		return response{}, err
	}
	return ok(describe(status)), nil
}

// of reads the status of the request's connection; if the path has a subject,
// only that subject's.
func (s statusRoutes) of(ctx context.Context, r *request) (directory.Status, error) {
	if r.subject == "" {
		return s.directory.Status(ctx, r.name, defaultLimit, "")
	}
	for next, first := "", true; first || next != ""; first = false {
		status, err := s.directory.Status(ctx, r.name, maxLimit, next)
		if err != nil {
			return directory.Status{}, err
		}
		for _, one := range status.Subjects {
			if one.Subject == string(r.subject) {
				status.Subjects, status.Next = []directory.SubjectStatus{one}, ""
				return status, nil
			}
		}
		next = status.Next
	}
	return directory.Status{}, fmt.Errorf("subject %s is not listed", r.subject)
}

// describeState is a status without subjects.
func describeState(s directory.Status) statusBody {
	return statusBody{
		Connection: s.Connection, Provider: s.Provider, GrantType: string(s.GrantType),
		State: string(s.State), Problem: s.Problem, LastError: string(s.LastError), NextAttemptAt: instant(s.NextAttemptAt),
		Warnings: s.Warnings, ExtraNames: s.ExtraNames,
	}
}

func describe(s directory.Status) statusBody {
	body := describeState(s)
	if s.GrantType != connection.AuthorizationCode {
		return body
	}
	subjects := make([]subjectBody, 0, len(s.Subjects))
	for _, one := range s.Subjects {
		subjects = append(subjects, subjectBody{
			Subject: one.Subject, State: string(one.State), ConsentedBy: one.ConsentedBy,
			ConsentedAt: instant(one.ConsentedAt), RenewBy: instant(one.RenewBy),
			Problem: one.Problem, Warnings: one.Warnings, ExtraNames: one.ExtraNames,
			LastError: string(one.LastError), NextAttemptAt: instant(one.NextAttemptAt),
		})
	}
	body.Subjects, body.Next = &subjects, s.Next
	return body
}

// instant truncates to seconds and omits the zero time.
func instant(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Second)
	return &at
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
