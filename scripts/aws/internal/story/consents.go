package story

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

// publicBase is where the events say that they were sent to.
const publicBase = "https://abcdefghij.execute-api.eu-west-1.amazonaws.com/v1"

// app is who starts consents in the story, and who sends the events.
var app = consent.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0", UniqueID: "AROAEXAMPLEAPP:i-0123456789abcdef0"}

// seeded is randomness that is the same in every run, and the same as in the
// golden world: events name sessions, states and cookies that came of it.
func seeded(name string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(name))) }

// consents tells of the sessions: waiting was just started; departed has sent
// its browser to the provider; received has it back; guessed met two wrong
// codes since; refused came back with a no; expired was started eleven minutes
// ago; used has been completed; lapsed waits for a server that names itself, and
// abroad for one that answers elsewhere. gallery has two grants.
func (t *Teller) consents(ctx context.Context, now time.Time) error {
	err := t.start(ctx, now.Add(-11*time.Minute), "expired", "studio")
	for _, name := range []string{"waiting", "departed", "received", "guessed", "refused", "used"} {
		err = errors.Join(err, t.start(ctx, now.Add(-2*time.Minute), name, "studio"))
	}
	err = errors.Join(err, t.start(ctx, now.Add(-2*time.Minute), "lapsed", "lapsed"), t.start(ctx, now.Add(-2*time.Minute), "abroad", "abroad"))
	minuteAgo, err2 := t.at(now.Add(-time.Minute))
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	s := sessions{t, minuteAgo}
	return errors.Join(
		s.depart(ctx, "departed"), s.depart(ctx, "lapsed"),
		s.received(ctx), s.guessed(ctx), s.refused(ctx), s.used(ctx),
		s.grant(ctx, "", now.Add(20*24*time.Hour)), s.grant(ctx, "anna", now.Add(30*24*time.Hour)),
	)
}

// start begins the session of that name. The one that is completed has a subject
// of its own, so that nobody has consented for studio's default one.
func (t *Teller) start(ctx context.Context, at time.Time, name string, to connection.Name) error {
	past, err := t.at(at)
	if err != nil {
		return err
	}
	subject := connection.Subject("")
	if name == "used" {
		subject = "used"
	}
	t.started[name], err = past.Flow(seeded(name)).Start(ctx, consent.StartRequest{Connection: to, Subject: subject, Principal: app, BaseURL: publicBase})
	return err
}

// sessions goes on with what was started, a minute ago.
type sessions struct {
	*Teller
	past cloud.Past
}

// depart sends the session's browser to the provider, and keeps the state and
// the cookie that it left with.
func (s sessions) depart(ctx context.Context, name string) error {
	door := s.past.Door(seeded(name + " door"))
	page, err := door.Show(ctx, s.started[name].SessionID)
	if err != nil {
		return err
	}
	left, err := door.Continue(ctx, consent.ContinueRequest{SessionID: s.started[name].SessionID, CSRF: page.CSRF})
	if err != nil {
		return err
	}
	address, err := url.Parse(left.Location)
	if err != nil {
		return fmt.Errorf("where session %s departs to is no address", name)
	}
	s.states[name] = address.Query().Get("state")
	s.cookies[name] = left.Cookie.Name + "=" + left.Cookie.Value.Reveal()
	return nil
}

// comeBack brings the session's browser back with an answer.
func (s sessions) comeBack(ctx context.Context, name, parameter, value string) (redact.Secret, error) {
	if err := s.depart(ctx, name); err != nil {
		return redact.Secret{}, err
	}
	receipt, err := s.past.Door(seeded(name+" back")).Receive(ctx, consent.CallbackRequest{Connection: "studio",
		RawQuery: url.Values{parameter: {value}, "state": {s.states[name]}}.Encode(), Cookies: []string{s.cookies[name]}})
	return receipt.ConfirmationCode, err
}

func (s sessions) received(ctx context.Context) error {
	_, err := s.comeBack(ctx, "received", "code", "synthetic-code")
	return err
}

func (s sessions) refused(ctx context.Context) error {
	_, err := s.comeBack(ctx, "refused", "error", "access_denied")
	return err
}

// guessed enters two wrong codes, which is refused each time.
func (s sessions) guessed(ctx context.Context) error {
	if _, err := s.comeBack(ctx, "guessed", "code", "synthetic-code"); err != nil {
		return err
	}
	for range 2 {
		_ = s.past.Flow(seeded("guess")).Complete(ctx, consent.CompleteRequest{Connection: "studio", Principal: app,
			SessionID: redact.New(s.started["guessed"].SessionID), ConfirmationCode: redact.New(strings.Repeat("2", 8))})
	}
	return nil
}

func (s sessions) used(ctx context.Context) error {
	code, err := s.comeBack(ctx, "used", "code", "synthetic-code")
	if err != nil {
		return err
	}
	return s.past.Flow(seeded("end")).Complete(ctx, consent.CompleteRequest{Connection: "studio", Subject: "used", Principal: app,
		SessionID: redact.New(s.started["used"].SessionID), ConfirmationCode: code})
}

// grant imports one of gallery's grants.
func (s sessions) grant(ctx context.Context, subject connection.Subject, until time.Time) error {
	return s.past.Core.Import(ctx, vending.Import{
		Request:      vending.Request{Connection: "gallery", Subject: subject, Caller: app.ARN},
		RefreshToken: redact.New("synthetic-refresh-token"), ExpiresAt: until})
}

// noon is when the golden world's events arrive.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// expiry is an instant in an event's body, as the event escapes it.
var expiry = regexp.MustCompile(`(\\"expires_at\\":\\")([^"\\]+)`)

// Renewed is the event as it would be sent now: instants are as far from now as
// they were from noon, and a form whose token the golden world believed has a
// fresh one, because a token is believed for minutes only.
func (t *Teller) Renewed(ctx context.Context, event, golden []byte) ([]byte, error) {
	event = expiry.ReplaceAllFunc(event, func(found []byte) []byte {
		parts := expiry.FindSubmatch(found)
		at, err := time.Parse(time.RFC3339, string(parts[2]))
		if err != nil {
			return found // that it is none is what the event is about
		}
		return fmt.Append(parts[1], time.Now().Add(at.Sub(noon)).UTC().Format(time.RFC3339))
	})
	old := submitted(event)
	if old.csrf == "" || !believed(golden) {
		return event, nil
	}
	past, err := t.at(time.Now())
	if err != nil {
		return nil, err
	}
	page, err := past.Door(seeded("form")).Show(ctx, old.session)
	if err != nil {
		return nil, fmt.Errorf("open the page whose form the event sends: %w", err)
	}
	return bytes.Replace(event, []byte(url.QueryEscape(old.csrf)), []byte(url.QueryEscape(page.CSRF)), 1), nil
}

// submission is what an event's form tells; empty when it has none.
type submission struct{ session, csrf string }

func submitted(event []byte) submission {
	var e struct {
		Body           string            `json:"body"`
		PathParameters map[string]string `json:"pathParameters"`
	}
	if json.Unmarshal(event, &e) != nil {
		return submission{}
	}
	form, err := url.ParseQuery(e.Body)
	if err != nil {
		return submission{}
	}
	return submission{session: e.PathParameters["session"], csrf: form.Get("csrf")}
}

// believed reports whether the golden world found nothing wrong with a form's
// token: it sent the browser on, or refused it for where the form came from,
// which it looks at afterwards.
func believed(golden []byte) bool {
	var answer struct {
		StatusCode int `json:"statusCode"`
	}
	_ = json.Unmarshal(golden, &answer) // Compare will say what is wrong with it
	return answer.StatusCode == http.StatusSeeOther || bytes.Contains(golden, []byte("a page of another site"))
}
