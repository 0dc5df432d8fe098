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
	// publicBase is where the events say that they were sent to.
	publicBase = "https://abcdefghij.execute-api.eu-west-1.amazonaws.com/v1"
	login      = "https://login.example.com"
)

// app is who starts consents in the story, and who sends the events.
var app = consent.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0", UniqueID: "AROAEXAMPLEAPP:i-0123456789abcdef0"}

// delegatedDeclarations are the connections that users consent to. Nothing of
// the story asks for login.example.com.
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

// seeded is randomness that is the same in every run.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

func (w *world) doorSealer() *seal.Sealer {
	return seal.New(seal.Config{Rand: seeded("forms"), Keyset: func(context.Context) (redact.Secret, error) {
		return redact.New(`{"primary":"k1","k1":"fedcba9876543210fedcba9876543210"}`), nil
	}})
}

func (w *world) flow(name string) *consent.BackChannel {
	return consent.NewBackChannel(consent.BackChannelConfig{Sessions: w.store, Pending: w.store, Grants: w.core(), Sealer: w.sealer, Now: w.clock, Rand: seeded(name)})
}

func (w *world) door(name string) *consent.FrontChannel {
	return consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: w.store, Sealer: w.doorSealer(), Now: w.clock, Rand: seeded(name)})
}

func (w *world) consentFunction() *gateway.Handler {
	return gateway.Consent(gateway.ConsentConfig{FrontChannel: w.door("door"), Pages: pages.New(), Audit: w.audit()})
}

// sessions tells the story of the consents, each known by its name: the session
// waiting was just started; departed has sent its browser to the provider;
// received has it back; guessed met two wrong codes since; refused came back
// with a no; expired was started eleven minutes ago; used has been completed;
// lapsed waits for a server that names itself, and abroad for one that answers
// elsewhere. gallery has two grants.
func (w *world) sessions() {
	w.start("expired", "studio", 11*time.Minute)
	for _, name := range []string{"waiting", "departed", "received", "guessed", "refused", "used"} {
		w.start(name, "studio", 2*time.Minute)
	}
	w.start("lapsed", "lapsed", 2*time.Minute)
	w.start("abroad", "abroad", 2*time.Minute)
	w.depart("departed")
	w.depart("lapsed")
	w.comeBack("received", "code", "synthetic-code")
	w.guess("guessed", w.comeBack("guessed", "code", "synthetic-code"))
	w.comeBack("refused", "error", "access_denied")
	code := w.comeBack("used", "code", "synthetic-code")
	w.must(w.flow("end").Complete(w.t.Context(), consent.CompleteRequest{Connection: "studio", Subject: "used", Principal: app,
		SessionID: redact.New(w.started["used"].SessionID), ConfirmationCode: code}))
	w.grant("", 20*24*time.Hour)
	w.grant("anna", 30*24*time.Hour)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start begins the session of that name. The one that is completed has a subject
// of its own, so that nobody has consented for studio's default one.
func (w *world) start(name string, conn connection.Name, before time.Duration) {
	w.t.Helper()
	w.now = noon.Add(-before)
	subject := connection.Subject("")
	if name == "used" {
		subject = "used"
	}
	started, err := w.flow(name).Start(w.t.Context(), consent.StartRequest{Connection: conn, Subject: subject, Principal: app, BaseURL: publicBase})
	w.must(err)
	w.started[name] = started
}

// depart sends the session's browser to the provider, and keeps the state and
// the cookie that it left with.
func (w *world) depart(name string) {
	w.t.Helper()
	w.now = noon.Add(-time.Minute)
	door := w.door(name + " door")
	page, err := door.Show(w.t.Context(), w.started[name].SessionID)
	w.must(err)
	left, err := door.Continue(w.t.Context(), consent.ContinueRequest{SessionID: w.started[name].SessionID, CSRF: page.CSRF})
	w.must(err)
	address, err := url.Parse(left.Location)
	w.must(err)
	w.states[name] = address.Query().Get("state")
	w.cookies[name] = left.Cookie.Name + "=" + left.Cookie.Value.Reveal()
}

// comeBack brings the session's browser back with an answer.
func (w *world) comeBack(name, parameter, value string) redact.Secret {
	w.t.Helper()
	w.depart(name)
	receipt, err := w.door(name+" back").Receive(w.t.Context(), consent.CallbackRequest{Connection: "studio",
		RawQuery: url.Values{parameter: {value}, "state": {w.states[name]}}.Encode(), Cookies: []string{w.cookies[name]}})
	w.must(err)
	w.codes[name] = receipt.ConfirmationCode.Reveal()
	return receipt.ConfirmationCode
}

// guess enters two wrong codes.
func (w *world) guess(name string, right redact.Secret) {
	w.t.Helper()
	wrong := redact.New(strings.Repeat("2", 8))
	if right == wrong {
		w.t.Fatal("the wrong code is the right one")
	}
	for range 2 {
		_ = w.flow("guess").Complete(w.t.Context(), consent.CompleteRequest{Connection: "studio", Principal: app,
			SessionID: redact.New(w.started[name].SessionID), ConfirmationCode: wrong})
	}
}

// grant imports one of gallery's grants, a minute ago.
func (w *world) grant(subject connection.Subject, life time.Duration) {
	w.t.Helper()
	w.now = noon.Add(-time.Minute)
	w.must(w.core().Import(w.t.Context(), vending.Import{
		Request:      vending.Request{Connection: "gallery", Subject: subject, Caller: app.ARN},
		RefreshToken: redact.New("synthetic-refresh-token"), ExpiresAt: noon.Add(life)}))
}

// checkLog looks for what no audit line may hold, that of the event included.
func (w *world) checkLog(event []byte) {
	w.t.Helper()
	log := w.log.String()
	for _, secret := range w.secrets(event) {
		if strings.Contains(log, secret) {
			w.t.Errorf("INV-5 the audit line holds %q:\n%s", secret, log)
		}
	}
}

// secrets are what the story and the event hold that is for nobody's log.
func (w *world) secrets(event []byte) []string {
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
