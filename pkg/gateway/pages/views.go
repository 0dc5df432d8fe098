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

// IsDefault reports whether the page omits the subject.
func (v consentView) IsDefault() bool { return v.Subject == connection.DefaultSubject }

// ProviderHost is where the browser goes next. An origin is scheme and host.
func (v consentView) ProviderHost() string {
	_, host, _ := strings.Cut(v.ProviderOrigin, "://")
	return host
}

// ProviderName is the provider's name in the catalogue, if it has one.
func (v consentView) ProviderName() string { return providerName(v.Provider) }

// providerName omits the catalogue's generic entry.
func providerName(provider string) string {
	if provider == "oauth2" {
		return ""
	}
	return provider
}

type callbackView struct{ consent.CallbackResult }

// IsDefault reports whether the page omits the subject.
func (v callbackView) IsDefault() bool { return v.Subject == connection.DefaultSubject }

// ProviderName is the provider's name in the catalogue, if it has one.
func (v callbackView) ProviderName() string { return providerName(v.Provider) }

// Code is the confirmation code. Only the callback page may contain it.
func (v callbackView) Code() string { return v.ConfirmationCode.Reveal() }

type errorView struct {
	gateway.ErrorPage
	advice
}

// StatusText is the name of the status.
func (v errorView) StatusText() string { return http.StatusText(v.Status) }

// advice is the text of an error page beside the error's detail.
type advice struct{ Title, Remedy string }

func viewOf(e gateway.ErrorPage) errorView { return errorView{ErrorPage: e, advice: adviceFor(e)} }

func adviceFor(e gateway.ErrorPage) advice {
	switch {
	case e.OtherBrowser:
		return advice{"This is another browser", "Nothing has been stored. Go back to the browser in which you pressed Continue and finish there, " +
			"or open your link in this browser and start from there."}
	case e.ManualState:
		return advice{"Copy the address of this page", "Copy the whole address from the address bar. Complete the consent with it, or give it to the person you " +
			"started this with and to no one else: anyone who has it can act for you. If you did not start this, close this page."}
	case e.Status == http.StatusMethodNotAllowed:
		return advice{"This address cannot be used like that", "Open the link that you were given in a browser, without changing it."}
	}
	switch e.Code {
	case problem.SessionExpired:
		return advice{"This consent is over", "If you have handed over a confirmation code, there is nothing left to do here. If not, ask the person you started this with " +
			"to start again. You will get a new link; this one no longer works."}
	case problem.ConnectionNotFound:
		return advice{"There is nothing here", "Check that you opened the whole link that you were given, or ask the person who sent it for another one."}
	case problem.AccessDenied:
		return advice{"This is not allowed", "Open the link that you were given again. If that does not help, ask the person who sent it to start again."}
	case problem.RateLimited, problem.StoreUnavailable:
		return advice{"Not possible right now", "Wait a minute, then load this page again. Nothing is lost."}
	case problem.InvalidRequest:
		return advice{"This page cannot go on", "Open the complete link that you were given again, in one browser, and continue from there. " +
			"If that does not help, ask the person who sent it to start again."}
	default:
		return advice{"Something went wrong here", "It is not your fault. Load this page again in a minute; if that does not help, give the request number below to the operator of this service."}
	}
}

// instant renders a time for people and for programs.
func instant(at time.Time) template.HTML { return timeElement(at, "2 January 2006, 15:04 MST") }

// hour renders a time whose day is already on the page.
func hour(at time.Time) template.HTML { return timeElement(at, "15:04 MST") }

func timeElement(at time.Time, layout string) template.HTML {
	at = at.UTC()
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + at.Format(layout) + `</time>`) //nolint:gosec // neither layout has characters that are special in HTML
}

// breakable lets a browser wrap a long host name behind its dots.
func breakable(host string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(host), ".", ".<wbr>")) //nolint:gosec // the host is escaped
}

// sentence starts an error's detail with a capital letter and ends it with a dot.
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
