package pages

import (
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

type consentView struct{ consent.Page }

// IsDefault reports whether there is no subject worth naming.
func (v consentView) IsDefault() bool { return v.Subject == connection.DefaultSubject }

// ProviderHost is where the browser goes next. An origin is scheme and host.
func (v consentView) ProviderHost() string {
	_, host, _ := strings.Cut(v.ProviderOrigin, "://")
	return host
}

// ProviderName is the catalogue's name, if that says anything.
func (v consentView) ProviderName() string { return telling(v.Provider) }

// telling leaves out what the catalogue calls servers that it does not know.
func telling(provider string) string {
	if provider == "oauth2" {
		return ""
	}
	return provider
}

type receiptView struct{ consent.CallbackResult }

// IsDefault reports whether there is no subject worth naming.
func (v receiptView) IsDefault() bool { return v.Subject == connection.DefaultSubject }

// ProviderName is the catalogue's name, if that says anything.
func (v receiptView) ProviderName() string { return telling(v.Provider) }

// Code is the confirmation code, for the one page that it is meant for.
func (v receiptView) Code() string { return v.ConfirmationCode.Reveal() }

type troubleView struct {
	gateway.ErrorPage
	words
}

// StatusText is the status in words.
func (v troubleView) StatusText() string { return http.StatusText(v.Status) }

// words are what an error page says beside the detail of the error.
type words struct{ Title, Remedy string }

func viewOf(t gateway.ErrorPage) troubleView { return troubleView{ErrorPage: t, words: wordsFor(t)} }

func wordsFor(t gateway.ErrorPage) words {
	switch {
	case t.OtherBrowser:
		return words{"This is another browser", "Nothing has been stored. Go back to the browser in which you pressed Continue and finish there, " +
			"or open your link in this one and begin anew."}
	case t.ManualState:
		return words{"Copy the address of this page", "Copy the whole address from the address bar, and complete the consent with it or hand it to whoever you " +
			"started with, and to nobody else: whoever has it may act for you. If you did not start this, close this page."}
	case t.Status == http.StatusMethodNotAllowed:
		return words{"This address cannot be used like that", "Open the link that you were given in a browser, as it is."}
	}
	switch t.Code {
	case problem.SessionExpired:
		return words{"This consent is over", "If you have handed over a confirmation code, there is nothing left to do here. If not, ask whoever you started with " +
			"to start again. You will get a new link; this one stays used up."}
	case problem.ConnectionNotFound:
		return words{"There is nothing here", "Check that you opened the whole link that you were given, or ask whoever sent it for another one."}
	case problem.AccessDenied:
		return words{"This is not allowed", "Open the link that you were given again. If that does not help, ask whoever sent it to start again."}
	case problem.RateLimited, problem.StoreUnavailable:
		return words{"Not possible right now", "Wait a minute, then load this page again. Nothing is lost."}
	case problem.InvalidRequest:
		return words{"This page cannot go on", "Open the link that you were given again, the whole of it and in one browser, and continue from there. " +
			"If that does not help, ask whoever sent it to start again."}
	}
	return words{"Something went wrong here", "It is not your fault. Load this page again in a minute; if that does not help, tell whoever runs this service the request number below."}
}

// instant shows an instant to people, and to programs.
func instant(at time.Time) template.HTML { return timeElement(at, "2 January 2006, 15:04 MST") }

// hour shows an instant where the day has been said.
func hour(at time.Time) template.HTML { return timeElement(at, "15:04 MST") }

func timeElement(at time.Time, layout string) template.HTML {
	at = at.UTC()
	// Both forms are digits, letters and signs that mean nothing to HTML.
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + at.Format(layout) + `</time>`)
}

// breakable lets a long host go on in the next line where a reader expects it,
// and not in the middle of a word.
func breakable(host string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(host), ".", ".<wbr>"))
}

// sentence makes one of an error's detail.
func sentence(detail string) string {
	first, size := utf8.DecodeRuneInString(detail)
	if size == 0 {
		return ""
	}
	text := string(unicode.ToUpper(first)) + detail[size:]
	if strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}
