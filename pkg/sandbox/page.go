package sandbox

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

// pages are the bodies of all pages, by name.
var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// style is the style sheet, which is embedded in every page.
var style = func() string {
	text, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic("sandbox: " + err.Error()) // it is embedded
	}
	return string(text)
}()

// contentPolicy allows the style sheet and forms. The target of forms is not
// restricted, because browsers apply that to the redirect after a form too, and it
// leads to the app.
var contentPolicy = func() string {
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; frame-ancestors 'none'"
}()

// view is what a page shows.
type view struct {
	// Brand is the name of the provider, Style the style sheet.
	Brand string
	Style template.CSS
	// CSRFToken is in every form.
	CSRFToken string
	// App requests access. User is signed in; empty for none.
	App, User string
	People    []person
	Scopes    []scopeText
	// Problem says what went wrong and what to do.
	Problem string
}

// scopeText is a scope with its meaning.
type scopeText struct{ Name, Meaning string }

// describe adds the documented meanings of scopes.
func describe(scope string) (all []scopeText) {
	meanings := map[string]string{
		"cfgateway":      "Use the Creative Force Gateway API as you",
		"offline_access": "Keep this access while you are not signed in",
	}
	for _, name := range strings.Fields(scope) {
		all = append(all, scopeText{name, meanings[name]})
	}
	return all
}

// page is the response to a browser: a document or a redirect.
type page struct {
	status   int
	text     []byte
	location string
	cookie   *http.Cookie
}

// redirectTo redirects the browser, by GET (RFC 9700 §4.12).
func redirectTo(location string) page { return page{status: http.StatusSeeOther, location: location} }

// withCookie sets a cookie.
func (p page) withCookie(c *http.Cookie) page {
	p.cookie = c
	return p
}

func (srv *server) page(name string, v view) page {
	v.Brand, v.Style = srv.delegation.brand, template.CSS(style)
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, name, v); err != nil {
		panic("sandbox: page " + name + ": " + err.Error())
	}
	return page{status: http.StatusOK, text: text.Bytes()}
}

// problemPage says what went wrong, without a redirect.
func (srv *server) problemPage(status int, problem string) page {
	p := srv.page("problem", view{Problem: problem})
	p.status = status
	return p
}

func (p page) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	if p.cookie != nil {
		http.SetCookie(w, p.cookie)
	}
	if p.location != "" {
		header.Set("Location", p.location)
		w.WriteHeader(p.status)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	w.WriteHeader(p.status)
	_, _ = w.Write(p.text) // a browser that has left needs no response
}
