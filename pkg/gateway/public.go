package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// FrontChannel is the browser's side of a consent; *consent.FrontChannel
// implements it. Its errors are *problem.Error with details written for the
// person at the browser.
type FrontChannel interface {
	// Show returns the content of a session's consent page.
	Show(ctx context.Context, sessionID string) (consent.Page, error)
	// Continue binds the browser to the session and returns the redirect to the
	// provider.
	Continue(ctx context.Context, r consent.ContinueRequest) (consent.Redirect, error)
	// Receive takes the authorization response from the browser.
	Receive(ctx context.Context, r consent.CallbackRequest) (consent.CallbackResult, error)
}

// Pages renders the pages; *pages.Pages implements it. It is an interface so
// that only the consent function contains the templates.
type Pages interface {
	Consent(p consent.Page) (Document, error)
	Callback(r consent.CallbackResult) (Document, error)
	Error(p ErrorPage) (Document, error)
}

// Document is one HTML page.
type Document struct {
	HTML []byte
	// Policy is its Content-Security-Policy.
	Policy string
}

// ErrorPage is the content of an error page.
type ErrorPage struct {
	// Status is the HTTP status, Code the error code.
	Status int
	Code   problem.Code
	// OtherBrowser: this is not the browser that continued from the consent page.
	OtherBrowser bool
	// ManualState: the state is the one of authorization_url, so the consent is
	// completed with the address of the page that shows this error.
	ManualState bool
	// Detail is plain text. It may quote the request.
	Detail string
	// RequestID finds the request in the log.
	RequestID string
}

// ConsentConfig configures the handler of the consent function. All fields but
// InvocationID and Now are required.
type ConsentConfig struct {
	FrontChannel FrontChannel
	Pages        Pages
	Audit        *audit.Writer
	// InvocationID returns Lambda's id of an invocation, for events that carry no
	// request id; nil means that there is none.
	InvocationID func(context.Context) string
	// Now is the clock that requests are limited by; nil means time.Now.
	Now func() time.Time
}

// Consent returns the handler of the public pages. These routes are
// unauthenticated, so errors are rendered as HTML and expose only what the
// consent package returns.
func Consent(c ConsentConfig) *Handler {
	p := publicRoutes{frontChannel: c.FrontChannel, pages: c.Pages}
	limit := newAddressLimit(c.Now)
	return &Handler{audit: c.Audit, invocationID: c.InvocationID, public: true, respond: p.errorResponse, limit: limit, routes: map[string]resource{
		"/consent/{session}": {
			http.MethodGet:  {action: "consent_page", run: p.show},
			http.MethodPost: {action: "consent_continue", form: []string{csrf}, run: p.continueToProvider},
		},
		"/callback/{connection}": {
			// The consent package reads the query itself: unknown parameters of an
			// authorization response are ignored (RFC 6749 §4.1.2).
			http.MethodGet: {action: "callback", anyQuery: true, run: p.receive},
		},
	}}
}

// csrf is the field of the consent page's form.
const csrf = "csrf"

type publicRoutes struct {
	frontChannel FrontChannel
	pages        Pages
}

func (p publicRoutes) show(ctx context.Context, r *request) (response, error) {
	page, err := p.frontChannel.Show(ctx, r.session)
	if err != nil {
		return response{}, err
	}
	document, err := p.pages.Consent(page)
	return document.response(http.StatusOK), err
}

// continueToProvider redirects the browser to the provider. Status 303 makes the
// next request a GET without the form (RFC 9110 §15.4.4; RFC 9700 §4.12).
func (p publicRoutes) continueToProvider(ctx context.Context, r *request) (response, error) {
	redirect, err := p.frontChannel.Continue(ctx, consent.ContinueRequest{
		SessionID: r.session, CSRF: r.form.Get(csrf), Origin: r.headers.origin, FetchSite: r.headers.fetchSite,
	})
	if err != nil {
		return response{}, err
	}
	res := response{status: http.StatusSeeOther, header: pageHeader(emptyPolicy)}
	res.header.Location, res.header.SetCookie = redirect.Location, setCookie(redirect.Cookie)
	return res, nil
}

func (p publicRoutes) receive(ctx context.Context, r *request) (response, error) {
	result, err := p.frontChannel.Receive(ctx, consent.CallbackRequest{
		Connection: r.name, RawQuery: r.rawQuery, Cookies: r.headers.cookies,
	})
	if err != nil {
		return response{}, err
	}
	if result.Denied {
		audit.From(ctx).Warn(audit.ConsentRefused)
	}
	document, err := p.pages.Callback(result)
	res := document.response(http.StatusOK)
	res.header.SetCookie = setCookie(result.ClearCookie)
	return res, err
}

// errorResponse answers an error with a page.
func (p publicRoutes) errorResponse(entry *audit.Entry, err error) response {
	f := toFailure(entry, err)
	document, err := p.pages.Error(ErrorPage{
		Status: f.status, Code: f.problem.Code, OtherBrowser: consent.IsOtherBrowser(f.problem), ManualState: consent.IsManualState(f.problem),
		Detail: f.problem.Detail, RequestID: entry.RequestID,
	})
	if err != nil { // a template is broken, which the tests of package pages rule out
		entry.SetCause(err)
		document = Document{HTML: []byte("<!DOCTYPE html><title>Error</title><p>" + http.StatusText(f.status)), Policy: emptyPolicy}
	}
	res := document.response(f.status)
	res.header.Allow, res.header.RetryAfter = f.allow, retryAfterHeader(f.retryAfter)
	return res
}

func (d Document) response(status int) response {
	res := response{status: status, html: d.HTML, header: pageHeader(d.Policy)}
	res.header.ContentType = "text/html; charset=utf-8"
	return res
}

// emptyPolicy is for responses without content.
const emptyPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHeader returns the headers that only public responses carry (AZ-13). The
// address of a consent page is a capability, so no Referer header may send it on.
func pageHeader(policy string) header {
	return header{ContentSecurityPolicy: policy, ReferrerPolicy: "no-referrer", XFrameOptions: "DENY"}
}

// setCookie sets a cookie, or deletes one without an age. It is empty when there
// is no cookie.
func setCookie(c consent.Cookie) string {
	if c.Name == "" {
		return ""
	}
	//nolint:gosec // Secure is off over plain http on loopback only (AZ-22)
	cookie := http.Cookie{Name: c.Name, Value: c.Value.Reveal(), Path: "/", HttpOnly: true, Secure: c.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(c.MaxAge / time.Second)}
	if c.MaxAge <= 0 {
		cookie.MaxAge = -1 // which http.Cookie writes as Max-Age=0
	}
	return cookie.String()
}
