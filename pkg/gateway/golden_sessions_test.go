package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const (
	// publicBase is the base of the addresses in the events.
	publicBase = "https://abcdefghij.execute-api.eu-west-1.amazonaws.com/v1"
	login      = "https://login.example.com"
)

// app is the principal that starts the consents and sends the events.
var app = consent.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0", UniqueID: "AROAEXAMPLEAPP:i-0123456789abcdef0"}

// delegatedDeclarations are the authorization_code connections. Nothing sends a
// request to login.example.com.
func delegatedDeclarations(provider string) map[string]string {
	delegated := func(name, more string) string {
		return fmt.Sprintf(`{"provider":"creative-force","grant_type":"authorization_code","client_id":"x","client_secret":"hush",
			"token_url":"%[1]s/%[2]s/token","authorization_url":"%[3]s/%[2]s/authorize"%[4]s}`, provider, name, login, more)
	}
	return map[string]string{
		"studio": delegated("studio", ""),
		"gallery": delegated("gallery", fmt.Sprintf(`,"revocation_url":"%s/gallery/revoke",
			"callers":[{"principal":"arn:aws:iam::111122223333:role/app","subjects":["anna","bert","default"]}]`, provider)),
		"lapsed": delegated("lapsed", `,"issuer":"`+login+`"`),
		"abroad": delegated("abroad", `,"redirect_uri":"https://desk.example.com/oauth/landing"`),
	}
}

// seeded is randomness that is the same in every run. The events contain ids that
// depend on the names.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func (w *fixture) frontSealer() *seal.Sealer {
	return seal.New(seal.Config{Rand: seeded("forms"), Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"fedcba9876543210fedcba9876543210"}`), nil
	}})
}

func (w *fixture) backChannel(name string) *consent.BackChannel {
	return consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.store, Pending: w.store, Grants: w.core(), Sealer: w.sealer, Now: w.clock, Rand: seeded(name)})
}

func (w *fixture) frontChannel(name string) *consent.FrontChannel {
	return consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.store, Sealer: w.frontSealer(), Now: w.clock, Rand: seeded(name)})
}

func (w *fixture) consentFunction() *gateway.Handler {
	return gateway.Consent(gateway.ConsentConfig{FrontChannel: w.frontChannel("door"), Pages: pages.New(), Audit: w.audit()})
}

// sessions creates the consent sessions: waiting was just started; the browser of
// departed is at the provider; received has a response; guessed has also had two
// wrong codes; refused has an error; expired was started eleven minutes ago; used
// was completed; lapsed has a connection with an issuer, and abroad one with a
// foreign redirect URI. gallery has two grants.
func (w *fixture) sessions() {
	// A fourth pending session would end the first: those with a response come first.
	for _, name := range []string{"received", "guessed", "refused"} {
		w.start(name, "studio", 2*time.Minute)
		w.respond(name)
	}
	w.start("expired", "studio", 11*time.Minute)
	for _, name := range []string{"waiting", "departed", "used"} {
		w.start(name, "studio", 2*time.Minute)
	}
	w.start("lapsed", "lapsed", 2*time.Minute)
	w.start("abroad", "abroad", 2*time.Minute)
	w.redirect("departed")
	w.redirect("lapsed")
	code := w.callback("used", "code", "synthetic-code")
	w.must(w.backChannel("end").Complete(w.t.Context(), consent.CompleteRequest{Connection: "studio", Subject: "used", Principal: app,
		SessionID: redact.New(w.started["used"].SessionID), ConfirmationCode: code}))
	w.grant("", 20*24*time.Hour)
	w.grant("anna", 30*24*time.Hour)
}

// respond brings the response to the session of that name.
func (w *fixture) respond(name string) {
	w.t.Helper()
	switch name {
	case "received":
		w.callback(name, "code", "synthetic-code")
	case "guessed":
		w.guess(name, w.callback(name, "code", "synthetic-code"))
	case "refused":
		w.callback(name, "error", "access_denied")
	}
}

func (w *fixture) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts the session of that name. The one that is completed has a subject of
// its own, so that the default subject of studio has no grant.
func (w *fixture) start(name string, conn connection.Name, before time.Duration) {
	w.t.Helper()
	w.now = noon.Add(-before)
	subject := connection.Subject("")
	if name == "used" {
		subject = "used"
	}
	started, err := w.backChannel(name).Start(w.t.Context(), consent.StartRequest{Connection: conn, Subject: subject, Principal: app, BaseURL: publicBase})
	w.must(err)
	w.started[name] = started
}

// redirect sends the session's browser to the provider, and keeps its state and
// cookie.
func (w *fixture) redirect(name string) {
	w.t.Helper()
	w.now = noon.Add(-time.Minute)
	front := w.frontChannel(name + " door")
	page, err := front.Show(w.t.Context(), w.started[name].SessionID)
	w.must(err)
	redirect, err := front.Continue(w.t.Context(), consent.ContinueRequest{SessionID: w.started[name].SessionID, CSRF: page.CSRF})
	w.must(err)
	address, err := url.Parse(redirect.Location)
	w.must(err)
	w.states[name] = address.Query().Get("state")
	w.cookies[name] = redirect.Cookie.Name + "=" + redirect.Cookie.Value.Reveal()
}

// callback sends an authorization response from the session's browser.
func (w *fixture) callback(name, parameter, value string) redact.Secret {
	w.t.Helper()
	w.redirect(name)
	result, err := w.frontChannel(name+" back").Receive(w.t.Context(), consent.CallbackRequest{Connection: "studio",
		RawQuery: url.Values{parameter: {value}, "state": {w.states[name]}}.Encode(), Cookies: []string{w.cookies[name]}})
	w.must(err)
	w.codes[name] = result.ConfirmationCode.Reveal()
	return result.ConfirmationCode
}

// guess sends two wrong codes.
func (w *fixture) guess(name string, right redact.Secret) {
	w.t.Helper()
	wrong := redact.New(strings.Repeat("2", 8))
	if right == wrong {
		w.t.Fatal("the wrong code is the right one")
	}
	for range 2 {
		_ = w.backChannel("guess").Complete(w.t.Context(), consent.CompleteRequest{Connection: "studio", Principal: app,
			SessionID: redact.New(w.started[name].SessionID), ConfirmationCode: wrong})
	}
}

// grant imports a grant for gallery, a minute ago.
func (w *fixture) grant(subject connection.Subject, life time.Duration) {
	w.t.Helper()
	w.now = noon.Add(-time.Minute)
	w.must(w.core().Import(w.t.Context(), vending.Import{
		Request:      vending.Request{Connection: "gallery", Subject: subject, Caller: app.ARN},
		RefreshToken: redact.New("synthetic-refresh-token"), ExpiresAt: noon.Add(life)}))
}

// checkLog searches the audit line for secrets, including those of the event.
func (w *fixture) checkLog(event []byte) {
	w.t.Helper()
	log := w.log.String()
	for _, secret := range w.secrets(event) {
		if strings.Contains(log, secret) {
			w.t.Errorf("INV-5 the audit line contains %q:\n%s", secret, log)
		}
	}
}

// secrets are the secrets of the sessions and of the event.
func (w *fixture) secrets(event []byte) []string {
	secrets := []string{"synthetic-code", "synthetic-refresh-token", "fedcba9876543210", "0123456789abcdef0123"}
	for name, s := range w.started {
		secrets = append(secrets, s.SessionID)
		address, err := url.Parse(s.AuthorizationURL)
		w.must(err)
		secrets = append(secrets, address.Query().Get("state"))
		for _, known := range []map[string]string{w.states, w.cookies, w.codes} {
			if known[name] != "" {
				secrets = append(secrets, known[name])
			}
		}
	}
	var e struct{ Body string }
	w.must(json.Unmarshal(event, &e))
	if form, err := url.ParseQuery(e.Body); err == nil && form.Get("csrf") != "" {
		secrets = append(secrets, form.Get("csrf"))
	}
	return secrets
}
