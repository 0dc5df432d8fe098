package leak_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// TestPanicsOfConsent: whatever the public side panics with, it is printed nowhere.
func TestPanicsOfConsent(t *testing.T) {
	h := newHouse(t, hooks{door: func(_ *house, d gateway.FrontChannel) gateway.FrontChannel {
		return wrongDoor{FrontChannel: d, receive: func(_ context.Context, back consent.CallbackRequest) error { panic(back) }}
	}})
	printed := h.sinks.capture(t)
	s := h.begin("app", "")
	h.decide(s, h.leave(s), true)
	if got := h.receive("app", s.back.Query(), s.cookie); got.status != http.StatusInternalServerError || !strings.Contains(got.text, "<!DOCTYPE html>") {
		t.Errorf("INV-5 answer %d, want a page that says 500", got.status)
	}
	printed()
	report(t, h)
}

// TestLeaksOfConsentAreFound breaks consent in the ways in which services leak,
// and wants each to be found.
func TestLeaksOfConsentAreFound(t *testing.T) {
	receiving := func(leak func(h *house, ctx context.Context, back consent.CallbackRequest, query url.Values) error) hooks {
		return hooks{door: func(h *house, d gateway.FrontChannel) gateway.FrontChannel {
			return wrongDoor{FrontChannel: d, receive: func(ctx context.Context, back consent.CallbackRequest) error {
				query, _ := url.ParseQuery(back.RawQuery)
				return leak(h, ctx, back, query)
			}}
		}}
	}
	tests := []struct {
		name, finding string
		with          hooks
	}{
		{"AZ-54 the code in the audit line", "log: authorization code in plain text",
			receiving(func(_ *house, ctx context.Context, _ consent.CallbackRequest, query url.Values) error {
				audit.From(ctx).Warn(audit.Warning("got " + query.Get("code")))
				return nil
			})},
		{"AZ-54 the query on stdout", "stdout and stderr: state in plain text",
			receiving(func(_ *house, _ context.Context, back consent.CallbackRequest, _ url.Values) error {
				fmt.Println(back.RawQuery)
				return nil
			})},
		{"AZ-54 the cookie in a cause", "log: cookie in plain text",
			receiving(func(_ *house, _ context.Context, back consent.CallbackRequest, _ url.Values) error {
				return fmt.Errorf("cookies %q", back.Cookies)
			})},
		{"AZ-54 the state in a page", "responses: state in plain text",
			receiving(func(_ *house, _ context.Context, _ consent.CallbackRequest, query url.Values) error {
				return problem.New(problem.InvalidRequest, "no such state: "+query.Get("state"))
			})},
		{"AZ-54 the confirmation code in the audit line", "log: confirmation code in plain text",
			hooks{door: func(_ *house, d gateway.FrontChannel) gateway.FrontChannel {
				return wrongDoor{FrontChannel: d, received: func(ctx context.Context, r consent.CallbackResult) {
					audit.From(ctx).Warn(audit.Warning("showed " + r.ConfirmationCode.Reveal()))
				}}
			}}},
		{"AZ-54 the session's id in the audit line", "log: session id in plain text",
			hooks{door: func(_ *house, d gateway.FrontChannel) gateway.FrontChannel {
				return wrongDoor{FrontChannel: d, show: func(ctx context.Context, id string) { audit.From(ctx).Warn(audit.Warning(id)) }}
			}}},
		{"AZ-54 the session's id in the table", "items: session id in plain text",
			hooks{door: func(h *house, d gateway.FrontChannel) gateway.FrontChannel {
				return wrongDoor{FrontChannel: d, show: func(ctx context.Context, id string) { h.note(ctx, id) }}
			}}},
		{"AZ-54 the form's token in the table", "items: form token in plain text",
			hooks{door: func(h *house, d gateway.FrontChannel) gateway.FrontChannel {
				return wrongDoor{FrontChannel: d, shown: func(ctx context.Context, p consent.Page) { h.note(ctx, p.CSRF) }}
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t, tt.with)
			printed := h.sinks.capture(t)
			s := h.begin("app", "")
			h.decide(s, h.leave(s), true)
			got := h.receive("app", s.back.Query(), s.cookie)
			if got.status == http.StatusOK {
				s.code = codeInPage.find(got)
				h.complete(s, s.confirmation())
			}
			h.items()
			printed()
			found := h.sinks.search(t)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, tt.finding) }) {
				t.Errorf("found %q, want %q", found, tt.finding)
			}
		})
	}
}

// TestVerifierIsLookedFor: a verifier that is stored as it is shows.
func TestVerifierIsLookedFor(t *testing.T) {
	var written [][]byte
	h := newHouse(t, hooks{sessions: func(_ *house, s consent.Sessions) consent.Sessions {
		return wrongSessions{s, func(text []byte) { written = append(written, bytes.Clone(text)) }}
	}})
	h.consent("app", "")
	if h.sinks.guarded()["code verifier"] != 1 || len(written) < 2 {
		t.Fatalf("%v verifiers, %d sessions written", h.sinks.guarded()["code verifier"], len(written))
	}
	for _, text := range written {
		fmt.Fprintf(h.sinks.into("items"), "%s\n", text)
	}
	report(t, h)
	for c := range h.sinks.canaries {
		if c.Name == "code verifier" {
			fmt.Fprintf(h.sinks.into("items"), "%x\n", c.Text)
		}
	}
	if found := h.sinks.search(t); !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "items: code verifier in hex") }) {
		t.Errorf("AZ-54 found %q", found)
	}
}

// note writes a text into the table as it is.
func (h *house) note(ctx context.Context, text string) {
	_, err := h.table.PutItem(ctx, &dynamodb.PutItemInput{TableName: &h.tableName, Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "note"}, "sk": &types.AttributeValueMemberS{Value: text}}})
	if err != nil {
		h.t.Error(err)
	}
}

// wrongDoor does something it must not; a nil field does nothing.
type wrongDoor struct {
	gateway.FrontChannel
	show     func(context.Context, string)
	shown    func(context.Context, consent.Page)
	receive  func(context.Context, consent.CallbackRequest) error
	received func(context.Context, consent.CallbackResult)
}

func (d wrongDoor) Show(ctx context.Context, id string) (consent.Page, error) {
	if d.show != nil {
		d.show(ctx, id)
	}
	p, err := d.FrontChannel.Show(ctx, id)
	if d.shown != nil {
		d.shown(ctx, p)
	}
	return p, err
}

func (d wrongDoor) Receive(ctx context.Context, back consent.CallbackRequest) (consent.CallbackResult, error) {
	if d.receive != nil {
		if err := d.receive(ctx, back); err != nil {
			return consent.CallbackResult{}, err
		}
	}
	r, err := d.FrontChannel.Receive(ctx, back)
	if d.received != nil {
		d.received(ctx, r)
	}
	return r, err
}

// wrongSessions shows what the signed side writes.
type wrongSessions struct {
	consent.Sessions
	show func(text []byte)
}

func (s wrongSessions) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	s.show(session.Text)
	return s.Sessions.WriteSession(ctx, session)
}
