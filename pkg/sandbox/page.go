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

// style is the one style sheet, which stands in every page.
var style = func() string {
	text, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic("sandbox: " + err.Error()) // it is embedded
	}
	return string(text)
}()

// contentPolicy lets a page have its own style, and forms: where a form may
// lead is not restricted, because browsers apply that to the redirect behind
// it too, and that one leads to the app.
var contentPolicy = func() string {
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; frame-ancestors 'none'"
}()

// view is what a page shows.
type view struct {
	// Brand is whose page it is, Style its style sheet.
	Brand string
	Style template.CSS
	// Guard goes into every form.
	Guard string
	// App asks, and User, where there is one, is signed in.
	App, User string
	People    []person
	Scopes    []scopeText
	// Problem is what went wrong, and what to do.
	Problem string
}

// scopeText is a scope as people read it.
type scopeText struct{ Name, Meaning string }

// describe explains the scopes that the documents explain.
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

// page is what a browser gets next: something to read, or a way elsewhere.
type page struct {
	status   int
	text     []byte
	location string
	cookie   *http.Cookie
}

// goTo sends the browser elsewhere, by GET (RFC 9700 §4.12).
func goTo(location string) page { return page{status: http.StatusSeeOther, location: location} }

// with has the browser keep a cookie.
func (p page) with(c *http.Cookie) page {
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

// problemPage says what went wrong, and leads nowhere.
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
	_, _ = w.Write(p.text) // a browser that went away needs no answer
}
