package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// BackChannel starts and completes consents; *consent.BackChannel implements it.
// Its errors are *problem.Error.
type BackChannel interface {
	Start(ctx context.Context, r consent.StartRequest) (consent.Started, error)
	Complete(ctx context.Context, r consent.CompleteRequest) error
}

// Grants imports and ends grants; *vending.Core implements it. Its errors are
// *problem.Error.
type Grants interface {
	// Import verifies a grant that was obtained elsewhere and stores it.
	Import(ctx context.Context, i vending.Import) error
	// Extra is what callers get besides the token that was just stored.
	Extra(ctx context.Context, r vending.Request) (extra.Values, error)
	// Disconnect revokes a grant and deletes it.
	Disconnect(ctx context.Context, r vending.Request) error
}

type authorizationRoutes struct {
	status        statusRoutes
	consents      BackChannel
	grants        Grants
	publicBaseURL string
	now           func() time.Time
}

func (a authorizationRoutes) methods() (authorization, complete resource) {
	return resource{
			http.MethodPost:   {action: "authorize", body: true, run: a.start},
			http.MethodPut:    {action: "import", body: true, limit: maxGrant, run: a.put},
			http.MethodDelete: {action: "disconnect", run: a.delete},
		}, resource{
			http.MethodPost: {action: "complete", body: true, limit: maxGrant, run: a.complete},
		}
}

// startedBody is the response to a start. The session id is a capability of the
// principal that started, and is never logged.
type startedBody struct {
	ConsentURL       string `json:"consent_url"`
	AuthorizationURL string `json:"authorization_url"`
	SessionID        string `json:"session_id"`
	ExpiresIn        int64  `json:"expires_in"`
}

func (a authorizationRoutes) start(ctx context.Context, r *request) (response, error) {
	if _, err := r.texts(); err != nil {
		return response{}, err
	}
	base, err := a.base(r)
	if err != nil {
		return response{}, err
	}
	s, err := a.consents.Start(ctx, consent.StartRequest{
		Connection: r.name, Subject: r.subject, Principal: r.principal(), BaseURL: base,
	})
	if err != nil {
		return response{}, err
	}
	res := ok(startedBody{ConsentURL: s.ConsentURL, AuthorizationURL: s.AuthorizationURL, SessionID: s.SessionID,
		ExpiresIn: int64(s.ExpiresIn / time.Second)})
	res.status = http.StatusCreated
	return res, nil
}

// hostCharacters are those of a host name in lower case (RFC 1123 §2.1).
const hostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-."

// base is the public base of the pages: the configured one, or the one of this
// request. API Gateway serves https only.
func (a authorizationRoutes) base(r *request) (string, error) {
	if a.publicBaseURL != "" {
		return a.publicBaseURL, nil
	}
	domain := strings.ToLower(r.domain)
	if !r.hasBasePath || !isPrefix(r.basePath) || !consistsOf(domain, hostCharacters) {
		return "", fmt.Errorf("the event has no usable domainName and path for the address of the consent page; set PUBLIC_BASE_URL")
	}
	return "https://" + domain + r.basePath, nil
}

// The members of the request that completes a consent.
const (
	sessionID        = "session_id"
	confirmationCode = "confirmation_code"
	redirectURL      = "redirect_url"
	code             = "code"
	state            = "state"
)

func (a authorizationRoutes) complete(ctx context.Context, r *request) (response, error) {
	values, err := r.takeExtra()
	if err != nil {
		return response{}, err
	}
	given, err := r.texts(sessionID, confirmationCode, redirectURL, code, state)
	if err != nil {
		return response{}, err
	}
	if !isOneWay(given) || values != nil && given[code] == "" {
		return response{}, problem.New(problem.InvalidRequest,
			"send session_id with confirmation_code; or, to complete manually, redirect_url, or code with state (and extra), each optionally with session_id")
	}
	err = a.consents.Complete(ctx, consent.CompleteRequest{
		Connection: r.name, Subject: r.subject, Principal: r.principal(),
		SessionID: redact.New(given[sessionID]), ConfirmationCode: redact.New(given[confirmationCode]),
		RedirectURL: redact.New(given[redirectURL]), Code: redact.New(given[code]), State: redact.New(given[state]), Extra: values,
	})
	if err != nil {
		return response{}, err
	}
	return a.statusAfterConsent(ctx, r), nil
}

// isOneWay reports whether the members are those of exactly one way to complete.
func isOneWay(given map[string]string) bool {
	has := func(names ...string) bool {
		return len(given) == len(names) && !slices.ContainsFunc(names, func(name string) bool { return given[name] == "" })
	}
	return has(sessionID, confirmationCode) || has(redirectURL) || has(redirectURL, sessionID) ||
		has(code, state) || has(code, state, sessionID)
}

func (a authorizationRoutes) put(ctx context.Context, r *request) (response, error) {
	values, err := r.takeExtra()
	if err != nil {
		return response{}, err
	}
	given, err := r.texts("refresh_token", "scope", "expires_at")
	if err != nil {
		return response{}, err
	}
	i := vending.Import{Extra: values, Request: vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller}}
	if i.RefreshToken, err = parseRefreshToken(given["refresh_token"]); err != nil {
		return response{}, err
	}
	if scope, ok := given["scope"]; ok {
		if i.Scope, err = parseScope(scope); err != nil {
			return response{}, err
		}
	}
	if at, ok := given["expires_at"]; ok {
		if i.ExpiresAt, err = parseExpiry(at, a.now()); err != nil {
			return response{}, err
		}
	}
	if err := a.grants.Import(ctx, i); err != nil {
		return response{}, err
	}
	return a.statusAfterConsent(ctx, r), nil
}

// parseRefreshToken accepts the refresh tokens of RFC 6749 §A.17.
func parseRefreshToken(raw string) (redact.Secret, error) {
	if raw == "" {
		return redact.Secret{}, problem.New(problem.InvalidRequest, "body member refresh_token is missing")
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c < ' ' || c > '~' }) || strings.TrimSpace(raw) != raw {
		return redact.Secret{}, problem.New(problem.InvalidRequest,
			"refresh_token has a character that is not allowed in refresh tokens, or leading or trailing white space")
	}
	if len(raw) > maxRefreshToken {
		return redact.Secret{}, problem.New(problem.InvalidRequest, "refresh_token is longer than 32 KiB")
	}
	return redact.New(raw), nil
}

// maxRefreshToken bounds a refresh token, in bytes.
const maxRefreshToken = 32 << 10

func parseExpiry(raw string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, raw)
	if err != nil {
		return time.Time{}, problem.New(problem.InvalidRequest, "expires_at must be an RFC 3339 time such as 2026-01-31T12:00:00Z")
	}
	if !at.After(now) {
		return time.Time{}, problem.New(problem.InvalidRequest, "expires_at is in the past; an expired refresh token cannot be imported")
	}
	if at.After(now.AddDate(maxYears, 0, 0)) {
		return time.Time{}, problem.New(problem.InvalidRequest, "expires_at is more than five years ahead; omit it if the expiry is unknown")
	}
	return at.UTC(), nil
}

// maxYears is the longest accepted lifetime of a refresh token.
const maxYears = 5

func (a authorizationRoutes) delete(ctx context.Context, r *request) (response, error) {
	err := a.grants.Disconnect(ctx, vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller})
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusNoContent}, nil
}

// statusAfterConsent returns the connection's status after a grant was stored. A
// failure to read it must not look like a failure of the consent, which cannot be
// completed again.
func (a authorizationRoutes) statusAfterConsent(ctx context.Context, r *request) response {
	status, err := a.status.of(ctx, r)
	if err != nil {
		audit.From(ctx).Warn(audit.StatusNotRead)
		subject := string(cmp.Or(r.subject, connection.DefaultSubject))
		status = directory.Status{Connection: string(r.name), GrantType: connection.AuthorizationCode, State: directory.Ready,
			Subjects: []directory.SubjectStatus{{Subject: subject, State: directory.Ready}}}
	}
	body := describe(onlyOf(status, r.subject))
	if body.Extra, err = a.grants.Extra(ctx, vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller}); err != nil {
		audit.From(ctx).Warn(audit.StatusNotRead)
	}
	return ok(body)
}

// onlyOf keeps only the subject of the path: a caller for one subject need not
// see the others.
func onlyOf(s directory.Status, subject connection.Subject) directory.Status {
	s.Subjects, s.Next = slices.DeleteFunc(slices.Clone(s.Subjects), func(one directory.SubjectStatus) bool {
		return one.Subject != string(cmp.Or(subject, connection.DefaultSubject))
	}), ""
	return s
}
