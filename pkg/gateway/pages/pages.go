// Package pages renders the public pages as HTML: the consent page, the page with
// the confirmation code, the page after a refusal, and the error page.
//
// They have no script and load nothing; the style sheet is inline, and the
// Content-Security-Policy allows only its hash. They contain no authorization
// code, state or session id (AZ-29). Templates are parsed when the first page is
// rendered, not at every cold start.
package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
)

//go:embed html
var files embed.FS

// Pages renders pages. It is safe for concurrent use.
type Pages struct {
	parsed func() (parsed, error)
}

// parsed holds the templates and the hash of their style for the policy.
type parsed struct {
	templates *template.Template
	style     string
}

// New returns Pages.
func New() *Pages {
	return &Pages{parsed: sync.OnceValues(parse)}
}

func parse() (parsed, error) {
	style, err := files.ReadFile("html/style.css")
	if err != nil {
		return parsed{}, fmt.Errorf("read the pages' style: %w", err)
	}
	sum := sha256.Sum256(style)
	templates, err := template.New("pages").Funcs(template.FuncMap{
		"style":   func() template.HTML { return template.HTML("<style>" + string(style) + "</style>") }, //nolint:gosec // an embedded file
		"instant": instant, "hour": hour, "breakable": breakable, "sentence": sentence,
	}).ParseFS(files, "html/*.html")
	if err != nil {
		return parsed{}, fmt.Errorf("parse the pages: %w", err)
	}
	return parsed{templates: templates, style: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}

// Consent renders the consent page. Its form is answered with a redirect to the
// provider, and Chromium applies form-action to every further redirect, such as
// to a sign-in page on a host that cannot be known here. So any https host is
// allowed; the form contains nothing that another site could use.
func (p *Pages) Consent(c consent.Page) (gateway.Document, error) {
	return p.write("consent", consentView{c}, "'self' "+c.ProviderOrigin+" https:")
}

// Callback renders the page after the authorization response.
func (p *Pages) Callback(r consent.CallbackResult) (gateway.Document, error) {
	if r.Denied {
		return p.write("refused", callbackView{r}, "'none'")
	}
	return p.write("callback", callbackView{r}, "'none'")
}

// Error renders an error page.
func (p *Pages) Error(e gateway.ErrorPage) (gateway.Document, error) {
	return p.write("error", viewOf(e), "'none'")
}

// write renders one page. Its policy allows forms to be sent to formAction only.
func (p *Pages) write(name string, view any, formAction string) (gateway.Document, error) {
	all, err := p.parsed()
	if err != nil {
		return gateway.Document{}, err
	}
	var html bytes.Buffer
	if err := all.templates.ExecuteTemplate(&html, name, view); err != nil {
		return gateway.Document{}, fmt.Errorf("write the %s page: %w", name, err)
	}
	return gateway.Document{
		HTML: html.Bytes(),
		Policy: "default-src 'none'; style-src " + all.style + "; base-uri 'none'; form-action " + formAction +
			"; frame-ancestors 'none'",
	}, nil
}
