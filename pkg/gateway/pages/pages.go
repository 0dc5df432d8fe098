// Package pages writes the public pages as HTML: the consent page, the page with
// the confirmation code, the one after a refusal, and one for everything that
// can go wrong.
//
// They have no script and load nothing from anywhere; their one style sheet
// stands in the page, and their Content-Security-Policy names its hash. They
// hold no code, no state and no session's id (AZ-29). Templates are parsed when
// the first page is written, and not at every cold start.
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

// Pages writes pages. It is safe for concurrent use.
type Pages struct {
	parsed func() (parsed, error)
}

// parsed are the templates and what a policy says of their style.
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
		"style":   func() template.HTML { return template.HTML("<style>" + string(style) + "</style>") },
		"instant": instant, "hour": hour, "breakable": breakable, "sentence": sentence,
	}).ParseFS(files, "html/*.html")
	if err != nil {
		return parsed{}, fmt.Errorf("parse the pages: %w", err)
	}
	return parsed{templates: templates, style: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}

// Consent writes the consent page. Its form leads to the provider by a redirect,
// and Chromium holds every hop of that to form-action: the provider's own and,
// where it sends people on to sign in elsewhere, ones that nobody can foresee. So
// any https goes; the form has nothing of use to a stranger in it.
func (p *Pages) Consent(c consent.Page) (gateway.Document, error) {
	return p.write("consent", consentView{c}, "'self' "+c.ProviderOrigin+" https:")
}

// Callback writes what a browser sees that came back from the provider.
func (p *Pages) Callback(r consent.CallbackResult) (gateway.Document, error) {
	if r.Denied {
		return p.write("refused", receiptView{r}, "'none'")
	}
	return p.write("receipt", receiptView{r}, "'none'")
}

// Error writes an error page.
func (p *Pages) Error(t gateway.ErrorPage) (gateway.Document, error) {
	return p.write("trouble", viewOf(t), "'none'")
}

// write fills in one page. The policy lets its forms go to formAction only.
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
