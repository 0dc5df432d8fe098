package gateway

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// FrontChannel is the public side of the consent flow; *consent.FrontChannel is one. Its errors
// are *problem.Error, their details written for whoever sits at the browser.
type FrontChannel interface {
	// Show returns what the consent page shows of a session.
	Show(ctx context.Context, sessionID string) (consent.Page, error)
	// Continue binds the browser and says where it goes.
	Continue(ctx context.Context, r consent.ContinueRequest) (consent.Redirect, error)
	// Receive takes a browser that comes back from the provider.
	Receive(ctx context.Context, r consent.CallbackRequest) (consent.CallbackResult, error)
}

// Pages writes the pages; *pages.Pages does. They are an interface so that the
// functions without pages carry no templates.
type Pages interface {
	Consent(p consent.Page) (Document, error)
	Callback(r consent.CallbackResult) (Document, error)
	Error(t ErrorPage) (Document, error)
}

// Document is one HTML page.
type Document struct {
	HTML []byte
	// Policy is its Content-Security-Policy.
	Policy string
}

// ErrorPage is what an error page tells.
type ErrorPage struct {
	// Status is the HTTP status, Code the error's code.
	Status int
	Code   problem.Code
	// OtherBrowser: it is not the browser that continued on the consent page.
	OtherBrowser bool
	// ManualState: the provider's page was opened by hand, and the address of the page
	// that shows this is what the consent is completed with.
	ManualState bool
	// Detail says what happened. It is plain text, which may quote what came in.
	Detail string
	// RequestID finds the request in the log.
	RequestID string
}

// ConsentConfig is what the consent function is made of.
type ConsentConfig struct {
	FrontChannel FrontChannel
	Pages        Pages
	Audit        *audit.Writer
	// InvocationID names an invocation whose event names no request; nil when
	// there is no such name.
	InvocationID func(context.Context) string
}

// Consent returns the handler of the public pages. Nobody there has an identity
// and everybody may knock, so it answers errors in HTML too, and gives away
// nothing that its door does not show.
func Consent(c ConsentConfig) *Handler {
	p := publicRoutes{door: c.FrontChannel, pages: c.Pages}
	return &Handler{audit: c.Audit, invocationID: c.InvocationID, public: true, respond: p.errorResponse, routes: map[string]resource{
		"/consent/{session}": {
			http.MethodGet:  {action: "consent_page", run: p.show},
			http.MethodPost: {action: "consent_continue", form: []string{csrf}, run: p.continueToProvider},
		},
		"/callback/{connection}": {
			// The provider's parameters are the door's to judge; RFC 6749 §4.1.2 has
			// unknown ones ignored.
			http.MethodGet: {action: "callback", anyQuery: true, run: p.receive},
		},
	}}
}

// csrf is the field of the consent page's form.
const csrf = "csrf"

type publicRoutes struct {
	door  FrontChannel
	pages Pages
}

func (p publicRoutes) show(ctx context.Context, r *request) (response, error) {
	page, err := p.door.Show(ctx, r.session)
	if err != nil {
		return response{}, err
	}
	document, err := p.pages.Consent(page)
	return document.response(http.StatusOK), err
}

// continueToProvider sends the browser to the provider. 303 makes it a GET without the
// form (RFC 9110 §15.4.4; RFC 9700 §4.12).
func (p publicRoutes) continueToProvider(ctx context.Context, r *request) (response, error) {
	d, err := p.door.Continue(ctx, consent.ContinueRequest{
		SessionID: r.session, CSRF: r.form.Get(csrf), Origin: r.headers.origin, FetchSite: r.headers.fetchSite,
	})
	if err != nil {
		return response{}, err
	}
	res := response{status: http.StatusSeeOther, header: pageHeader(emptyPolicy)}
	res.header = append(res.header, field{"Location", d.Location})
	return res.with(d.Cookie), nil
}

func (p publicRoutes) receive(ctx context.Context, r *request) (response, error) {
	receipt, err := p.door.Receive(ctx, consent.CallbackRequest{
		Connection: r.name, RawQuery: r.rawQuery, Cookies: r.headers.cookies,
	})
	if err != nil {
		return response{}, err
	}
	if receipt.Denied {
		audit.From(ctx).Warn(audit.ConsentRefused)
	}
	document, err := p.pages.Callback(receipt)
	return document.response(http.StatusOK).with(receipt.ClearCookie), err
}

// errorResponse answers an error with a page.
func (p publicRoutes) errorResponse(entry *audit.Entry, err error) response {
	f := toFailure(entry, err)
	document, err := p.pages.Error(ErrorPage{
		Status: f.status, Code: f.problem.Code, OtherBrowser: consent.IsOtherBrowser(f.problem), ManualState: consent.IsManualState(f.problem),
		Detail: f.problem.Detail, RequestID: entry.RequestID,
	})
	if err != nil { // the pages are ours; a test writes each of them
		entry.SetCause(err)
		document = Document{HTML: []byte("<!DOCTYPE html><title>Error</title><p>" + http.StatusText(f.status)), Policy: emptyPolicy}
	}
	res := document.response(f.status)
	res.allow, res.retryAfter = f.allow, f.retryAfter
	return res
}

func (d Document) response(status int) response {
	return response{status: status, contentType: "text/html; charset=utf-8", html: d.HTML, header: pageHeader(d.Policy)}
}

// emptyPolicy is for answers that nothing is shown of.
const emptyPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHeader is what every public answer carries beside the headers of all
// answers (AZ-13). The addresses of these pages are capabilities, so that no
// referrer may carry one on.
func pageHeader(policy string) []field {
	return []field{
		{"Content-Security-Policy", policy},
		{"Referrer-Policy", "no-referrer"},
		{"X-Frame-Options", "DENY"},
	}
}

// with sets a cookie, or clears one that has no age.
func (r response) with(c consent.Cookie) response {
	if c.Name == "" {
		return r
	}
	cookie := http.Cookie{Name: c.Name, Value: c.Value.Reveal(), Path: "/", HttpOnly: true, Secure: c.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: int(c.MaxAge / time.Second)}
	if c.MaxAge <= 0 {
		cookie.MaxAge = -1 // which http.Cookie writes as Max-Age=0
	}
	r.header = append(r.header, field{"Set-Cookie", cookie.String()})
	return r
}

// encodedQuery writes the query as a browser would have sent it. API Gateway
// hands it over decoded, and keeps every value of a repeated parameter.
func encodedQuery(query map[string][]string) string { return url.Values(query).Encode() }
