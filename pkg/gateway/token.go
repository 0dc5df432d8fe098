package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Tokens vends and forgets tokens; *vending.Core implements it. Its errors are
// *problem.Error.
type Tokens interface {
	Vend(ctx context.Context, r vending.Request) (vending.Vended, error)
	Forget(ctx context.Context, r vending.Request, revoke bool) error
}

// VendConfig configures the handler of the vend function. Tokens and Audit are
// required.
type VendConfig struct {
	Tokens Tokens
	Audit  *audit.Writer
	// InvocationID returns Lambda's id of an invocation, for events that carry no
	// request id; nil means that there is none.
	InvocationID func(context.Context) string
	// Now is the wall clock for expires_in; nil means time.Now.
	Now func() time.Time
}

// Vend returns the handler of the …/token routes.
func Vend(c VendConfig) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	t := tokenRoutes{tokens: c.Tokens, now: c.Now}
	methods := resource{
		http.MethodGet:    {action: "vend", query: []string{"min_ttl", "scope"}, run: t.get},
		http.MethodPost:   {action: "vend", body: true, run: t.post},
		http.MethodDelete: {action: "forget", query: []string{"revoke"}, run: t.delete},
	}
	return &Handler{audit: c.Audit, invocationID: c.InvocationID, respond: problemResponse, routes: map[string]resource{
		"/connections/{connection}/token":                    methods,
		"/connections/{connection}/subjects/{subject}/token": methods,
	}}
}

type tokenRoutes struct {
	tokens Tokens
	now    func() time.Time
}

// tokenResponse has the members of RFC 6749 §5.1 and what a caller needs to
// refresh in time.
type tokenResponse struct {
	AccessToken      string    `json:"access_token"`
	TokenType        string    `json:"token_type"`
	ExpiresIn        int64     `json:"expires_in,omitempty"` // absent, as ExpiresAt, for a token without end
	Scope            string    `json:"scope,omitempty"`
	ExpiresAt        time.Time `json:"expires_at,omitzero"`
	RefreshIn        int64     `json:"refresh_in"`
	TokenID          string    `json:"token_id"`
	Connection       string    `json:"connection"`
	ExpiresInAssumed bool      `json:"expires_in_assumed,omitempty"`
	Stale            bool      `json:"stale,omitempty"`
	// Extra is what the provider sends besides the token; Present is how to present
	// the token, where that differs from Authorization and Bearer.
	Extra   extra.Values `json:"extra,omitempty"`
	Present *presentBody `json:"present,omitempty"`
}

type presentBody struct {
	Header string `json:"header"`
	Prefix string `json:"prefix"`
}

func present(p provider.Present) *presentBody {
	if p == (provider.Present{}) || p == (provider.Present{Header: "Authorization", Prefix: "Bearer "}) {
		return nil
	}
	return &presentBody{Header: p.Header, Prefix: p.Prefix}
}

func (t tokenRoutes) get(ctx context.Context, r *request) (response, error) {
	want := vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller, CallerID: r.callerID}
	var err error
	if raw, ok := r.query["min_ttl"]; ok {
		if want.MinTTL, err = parseMinTTL(raw); err != nil {
			return response{}, err
		}
	}
	if raw, ok := r.query["scope"]; ok {
		if want.Scope, err = parseScope(raw); err != nil {
			return response{}, err
		}
	}
	return t.vend(ctx, want)
}

func (t tokenRoutes) post(ctx context.Context, r *request) (response, error) {
	want := vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller, CallerID: r.callerID}
	for name, value := range r.body {
		if err := readMember(&want, name, value); err != nil {
			return response{}, err
		}
	}
	switch {
	case want.RejectedTokenID != "" && want.ClearReport:
		return response{}, problem.New(problem.InvalidRequest, "rejected_token_id reports a token and clear_report forgets reports; send one of them")
	case want.RejectedTokenID != "":
		audit.From(ctx).Action = "reject"
	case want.ClearReport:
		audit.From(ctx).Action = "clear_report"
	}
	return t.vend(ctx, want)
}

// readMember reads one member of the body into want.
func readMember(want *vending.Request, name string, value any) (err error) {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	switch {
	case name == "clear_report" && value == true:
		want.ClearReport = true
	case name == "clear_report":
		err = problem.New(problem.InvalidRequest, "body member clear_report must be true, or omitted")
	case name == "min_ttl" && isNumber:
		want.MinTTL, err = parseMinTTL(number.String())
	case name == "scope" && isText:
		want.Scope, err = parseScope(text)
	case name == "rejected_token_id" && isText:
		want.RejectedTokenID, err = parseTokenID(text)
	case name == "min_ttl" || name == "scope" || name == "rejected_token_id":
		err = problem.New(problem.InvalidRequest, "body member "+name+" has the wrong type; min_ttl must be a number, the others must be strings")
	default:
		err = problem.New(problem.InvalidRequest, "unknown body member "+quoteName(name)+
			"; this request takes the members min_ttl, scope, rejected_token_id, clear_report")
	}
	return err
}

func (t tokenRoutes) vend(ctx context.Context, want vending.Request) (response, error) {
	v, err := t.tokens.Vend(ctx, want)
	if err != nil {
		return response{}, err
	}
	now := t.now()
	left := v.ExpiresAt.Sub(now)
	if v.NoEnd() {
		left = 0
	} else if left < time.Second { // its last second began after the core had judged it
		return response{}, &problem.Error{Code: problem.RefreshInProgress, RetryAfter: time.Second,
			Detail: "the token expired before it could be served"}
	}
	return ok(tokenResponse{
		AccessToken: v.AccessToken.Reveal(), TokenType: "Bearer", Scope: v.Scope, TokenID: v.ID,
		ExpiresIn: int64(left / time.Second), ExpiresAt: v.ExpiresAt.Truncate(time.Second),
		RefreshIn:  int64(v.RefreshIn(now) / time.Second),
		Connection: string(want.Connection), ExpiresInAssumed: v.ExpiresInAssumed, Stale: v.Stale,
		Extra: v.Extra, Present: present(v.Present),
	}), nil
}

func (t tokenRoutes) delete(ctx context.Context, r *request) (response, error) {
	revoke := false
	switch value, given := r.query["revoke"]; {
	case !given, value == "false":
	case value == "true":
		revoke = true
	default:
		return response{}, problem.New(problem.InvalidRequest, "revoke must be true or false")
	}
	err := t.tokens.Forget(ctx, vending.Request{Connection: r.name, Subject: r.subject, Caller: r.caller}, revoke)
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusNoContent}, nil
}

// maxDigits bounds a number of seconds, to about three years.
const maxDigits = 8

// consistsOf reports whether text is not empty and has only these characters.
// Compiling a regular expression instead would slow every cold start down.
func consistsOf(text, characters string) bool {
	return text != "" && strings.Trim(text, characters) == ""
}

func parseMinTTL(raw string) (time.Duration, error) {
	if len(raw) > maxDigits || !consistsOf(raw, "0123456789") {
		return 0, problem.New(problem.InvalidRequest, "min_ttl must be a whole number of seconds, at most half of the token's lifetime")
	}
	n, err := strconv.Atoi(raw)
	return time.Duration(n) * time.Second, err
}

func parseScope(raw string) (string, error) {
	if raw == "" {
		return "", problem.New(problem.InvalidRequest, "scope is empty; omit it to use the scope of the connection")
	}
	scope, err := connection.NormalizeScope(raw)
	if err != nil {
		return "", problem.New(problem.InvalidRequest, err.Error())
	}
	return scope, nil
}

func parseTokenID(raw string) (string, error) {
	if len(raw) != 16 || !consistsOf(raw, "0123456789abcdef") {
		return "", problem.New(problem.InvalidRequest,
			"rejected_token_id must be the token_id of the response with the token: 16 lower-case hex digits, never the token itself")
	}
	return raw, nil
}

// quoteName quotes an unknown name. Long names are not echoed: they may be a
// misplaced token.
func quoteName(name string) string {
	if len(name) > 24 {
		return "of " + strconv.Itoa(len(name)) + " characters"
	}
	return strconv.Quote(name)
}
