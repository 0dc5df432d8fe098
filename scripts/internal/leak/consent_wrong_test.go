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

// TestPanicsOfConsent: the value of a panic in the front channel is printed nowhere.
func TestPanicsOfConsent(t *testing.T) {
	e := newEnv(t, hooks{front: func(_ *env, d gateway.FrontChannel) gateway.FrontChannel {
		return leakyFront{FrontChannel: d, receive: func(_ context.Context, back consent.CallbackRequest) error { panic(back) }}
	}})
	printed := e.sinks.capture(t)
	s := e.begin("app", "")
	e.decide(s, e.leave(s), true)
	if got := e.receive("app", s.back.Query(), s.cookie); got.status != http.StatusInternalServerError || !strings.Contains(got.text, "<!DOCTYPE html>") {
		t.Errorf("INV-5 answer %d, want a page that says 500", got.status)
	}
	printed()
	report(t, e)
}

// TestLeaksOfConsentAreFound makes consent leak in typical ways, and requires that
// the search finds each.
func TestLeaksOfConsentAreFound(t *testing.T) {
	receiving := func(leak func(e *env, ctx context.Context, back consent.CallbackRequest, query url.Values) error) hooks {
		return hooks{front: func(e *env, d gateway.FrontChannel) gateway.FrontChannel {
			return leakyFront{FrontChannel: d, receive: func(ctx context.Context, back consent.CallbackRequest) error {
				query, _ := url.ParseQuery(back.RawQuery)
				return leak(e, ctx, back, query)
			}}
		}}
	}
	tests := []struct {
		name, finding string
		with          hooks
	}{
		{"AZ-54 the code in the audit line", "log: authorization code in plain text",
			receiving(func(_ *env, ctx context.Context, _ consent.CallbackRequest, query url.Values) error {
				audit.From(ctx).Warn(audit.Warning("got " + query.Get("code")))
				return nil
			})},
		{"AZ-54 the query on stdout", "stdout and stderr: state in plain text",
			receiving(func(_ *env, _ context.Context, back consent.CallbackRequest, _ url.Values) error {
				fmt.Println(back.RawQuery)
				return nil
			})},
		{"AZ-54 the cookie in a cause", "log: cookie in plain text",
			receiving(func(_ *env, _ context.Context, back consent.CallbackRequest, _ url.Values) error {
				return fmt.Errorf("cookies %q", back.Cookies)
			})},
		{"AZ-54 the state in a page", "responses: state in plain text",
			receiving(func(_ *env, _ context.Context, _ consent.CallbackRequest, query url.Values) error {
				return problem.New(problem.InvalidRequest, "no such state: "+query.Get("state"))
			})},
		{"AZ-54 the confirmation code in the audit line", "log: confirmation code in plain text",
			hooks{front: func(_ *env, d gateway.FrontChannel) gateway.FrontChannel {
				return leakyFront{FrontChannel: d, received: func(ctx context.Context, r consent.CallbackResult) {
					audit.From(ctx).Warn(audit.Warning("showed " + r.ConfirmationCode.Reveal()))
				}}
			}}},
		{"AZ-54 the session's id in the audit line", "log: session id in plain text",
			hooks{front: func(_ *env, d gateway.FrontChannel) gateway.FrontChannel {
				return leakyFront{FrontChannel: d, show: func(ctx context.Context, id string) { audit.From(ctx).Warn(audit.Warning(id)) }}
			}}},
		{"AZ-54 the session's id in the table", "items: session id in plain text",
			hooks{front: func(e *env, d gateway.FrontChannel) gateway.FrontChannel {
				return leakyFront{FrontChannel: d, show: func(ctx context.Context, id string) { e.note(ctx, id) }}
			}}},
		{"AZ-54 the form's token in the table", "items: form token in plain text",
			hooks{front: func(e *env, d gateway.FrontChannel) gateway.FrontChannel {
				return leakyFront{FrontChannel: d, shown: func(ctx context.Context, p consent.Page) { e.note(ctx, p.CSRF) }}
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnv(t, tt.with)
			printed := e.sinks.capture(t)
			s := e.begin("app", "")
			e.decide(s, e.leave(s), true)
			got := e.receive("app", s.back.Query(), s.cookie)
			if got.status == http.StatusOK {
				s.code = codeInPage.find(got)
				e.complete(s, s.confirmation())
			}
			e.items()
			printed()
			found := e.sinks.search(t)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, tt.finding) }) {
				t.Errorf("found %q, want %q", found, tt.finding)
			}
		})
	}
}

// TestVerifierIsSearchedFor: an unsealed verifier in the table is found.
func TestVerifierIsSearchedFor(t *testing.T) {
	var written [][]byte
	e := newEnv(t, hooks{sessions: func(_ *env, s consent.Sessions) consent.Sessions {
		return recordedSessions{s, func(text []byte) { written = append(written, bytes.Clone(text)) }}
	}})
	e.consent("app", "")
	if e.sinks.guarded()["code verifier"] != 1 || len(written) < 2 {
		t.Fatalf("%v verifiers, %d sessions written", e.sinks.guarded()["code verifier"], len(written))
	}
	for _, text := range written {
		fmt.Fprintf(e.sinks.into("items"), "%s\n", text)
	}
	report(t, e)
	for c := range e.sinks.canaries {
		if c.Name == "code verifier" {
			fmt.Fprintf(e.sinks.into("items"), "%x\n", c.Text)
		}
	}
	if found := e.sinks.search(t); !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "items: code verifier in hex") }) {
		t.Errorf("AZ-54 found %q", found)
	}
}

// note writes a plain text into the table.
func (e *env) note(ctx context.Context, text string) {
	_, err := e.table.PutItem(ctx, &dynamodb.PutItemInput{TableName: &e.tableName, Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "note"}, "sk": &types.AttributeValueMemberS{Value: text}}})
	if err != nil {
		e.t.Error(err)
	}
}

// leakyFront does what it must not; a nil field does nothing.
type leakyFront struct {
	gateway.FrontChannel
	show     func(context.Context, string)
	shown    func(context.Context, consent.Page)
	receive  func(context.Context, consent.CallbackRequest) error
	received func(context.Context, consent.CallbackResult)
}

func (f leakyFront) Show(ctx context.Context, id string) (consent.Page, error) {
	if f.show != nil {
		f.show(ctx, id)
	}
	p, err := f.FrontChannel.Show(ctx, id)
	if f.shown != nil {
		f.shown(ctx, p)
	}
	return p, err
}

func (f leakyFront) Receive(ctx context.Context, back consent.CallbackRequest) (consent.CallbackResult, error) {
	if f.receive != nil {
		if err := f.receive(ctx, back); err != nil {
			return consent.CallbackResult{}, err
		}
	}
	r, err := f.FrontChannel.Receive(ctx, back)
	if f.received != nil {
		f.received(ctx, r)
	}
	return r, err
}

// recordedSessions shows what the back channel writes.
type recordedSessions struct {
	consent.Sessions
	show func(text []byte)
}

func (s recordedSessions) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	s.show(session.Text)
	return s.Sessions.WriteSession(ctx, session)
}
