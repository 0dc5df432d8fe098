// Package flow is what callers and operators do with a deployed stack, each
// step with what must come of it: against built functions, wherever they run.
package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
)

// Stack is what a flow needs of a stack.
type Stack struct {
	// Cloud is what the functions reach.
	Cloud *cloud.Cloud
	// API is how the stack is asked.
	API Curl
	// Renew is the renew function.
	Renew localgateway.Function
	// Consent says that the stack has the public function.
	Consent bool
}

// Check is one step. The steps of a list follow one another.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Checks are all that the stack can be asked.
func (s Stack) Checks() []Check {
	checks := []Check{
		{"a request without a signature is refused", s.unsigned},
		{"every connection is listed", s.listed},
		{"client_credentials tokens are vended once and then served", s.vended},
		{"the table holds no token in clear", s.sealed},
		{"a token just minted may not be forced away", s.rejected},
		{"a token that was forgotten is minted again", s.forgotten},
		{"a changed secret has its token reissued by the event", s.changed},
		{"a tick renews without a failure", s.ticked},
		{"a malformed secret fails alone", s.misconfigured},
		{"a connection without a secret is unknown", s.unknown},
	}
	if s.Consent {
		checks = append(checks, Check{"a user consents, tokens are vended and renewed, and the grant is disconnected", s.consented})
	}
	return append(checks, s.faults()...)
}

// plain are the sandbox's connections of client_credentials.
var plain = []string{"creative-force", "agile-now", "cliquify"}

func tokenOf(connection string) string { return "/connections/" + connection + "/token" }

func (s Stack) unsigned(ctx context.Context) error {
	a, err := Curl{URL: s.API.URL}.Ask(ctx, http.MethodGet, tokenOf(plain[0]), "")
	if err == nil && a.Status != http.StatusForbidden {
		return fmt.Errorf("answered %d", a.Status)
	}
	return err
}

func (s Stack) listed(ctx context.Context) error {
	a, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, "/connections", "")
	if err != nil {
		return err
	}
	states := map[string]string{}
	for _, c := range a.All {
		states[c.Connection] = c.State
	}
	for _, name := range plain {
		if states[name] != "ready" {
			err = errors.Join(err, fmt.Errorf("%s is %q in the list", name, states[name]))
		}
	}
	return err
}

func (s Stack) vended(ctx context.Context) error {
	for _, name := range plain {
		first, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(name), "")
		if err != nil {
			return err
		}
		second, err := s.API.expect(ctx, http.StatusOK, "", http.MethodPost, tokenOf(name), "{}")
		if err != nil {
			return err
		}
		if first.Token == "" || first.Token != second.Token {
			return fmt.Errorf("%s: two vends, two tokens", name)
		}
		if calls := s.Cloud.Provider.TokenRequests(name); calls != 1 {
			return fmt.Errorf("%s: the provider was asked %d times", name, calls)
		}
	}
	return nil
}

func (s Stack) sealed(ctx context.Context) error {
	a, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(plain[0]), "")
	if err != nil {
		return err
	}
	items, err := s.Cloud.Items(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, item := range items {
		id, _ := item["token_id"].(*types.AttributeValueMemberS)
		found = found || id != nil && id.Value == a.TokenID
		for name, value := range item {
			if strings.Contains(textOf(value), a.Token) {
				return fmt.Errorf("attribute %s holds the token", name)
			}
		}
	}
	if !found {
		return errors.New("no item holds the token that was vended")
	}
	return nil
}

// textOf is an attribute's text or bytes; empty for any other.
func textOf(value types.AttributeValue) string {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberB:
		return string(v.Value)
	}
	return ""
}

func (s Stack) rejected(ctx context.Context) error {
	a, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(plain[0]), "")
	if err != nil {
		return err
	}
	_, err = s.API.expect(ctx, http.StatusTooManyRequests, "rate_limited", http.MethodPost, tokenOf(plain[0]),
		`{"rejected_token_id":"`+a.TokenID+`"}`)
	return err
}

func (s Stack) forgotten(ctx context.Context) error {
	return s.replaced(ctx, plain[1], func() error {
		_, err := s.API.expect(ctx, http.StatusNoContent, "", http.MethodDelete, tokenOf(plain[1]), "")
		return err
	})
}

// replaced vends before and after what is done, and expects another token.
func (s Stack) replaced(ctx context.Context, connection string, do func() error) error {
	before, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(connection), "")
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := s.API.expect(ctx, http.StatusOK, "", http.MethodPost, tokenOf(connection), `{"rejected_token_id":"`+before.TokenID+`"}`)
	if err == nil && after.TokenID == before.TokenID {
		return errors.New("the same token is still served")
	}
	return err
}

// summary is what the renew function answers.
type summary struct {
	Failed   int    `json:"failed"`
	LeftOver int    `json:"left_over"`
	Reissued int    `json:"reissued"`
	Refused  string `json:"refused"`
}

func (s Stack) renew(ctx context.Context, event string) (summary, error) {
	text, err := s.Renew.Invoke(ctx, []byte(event))
	if err != nil {
		return summary{}, err
	}
	var done summary
	if err := json.Unmarshal(text, &done); err != nil {
		return done, fmt.Errorf("the renewer's summary: %w", err)
	}
	if done.Refused != "" || done.Failed+done.LeftOver > 0 {
		return done, fmt.Errorf("the renewer answered %s", text)
	}
	return done, nil
}

func secretChanged(connection string) string {
	return fmt.Sprintf(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated",
		"detail":{"name":%q,"labelUpdated":"AWSCURRENT","versionId":"any"}}`, cloud.Prefix+connection)
}

const tick = `{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}`

// changed gives a connection a new client secret, as an operator would.
func (s Stack) changed(ctx context.Context) error {
	const name = "cliquify"
	return s.replaced(ctx, name, func() error {
		if err := s.Cloud.Provider.Rotate(name, sandbox.Rotation{}); err != nil {
			return err
		}
		if err := s.Cloud.PutSecret(ctx, name, string(s.Cloud.Provider.Connections()[name])); err != nil {
			return err
		}
		done, err := s.renew(ctx, secretChanged(name))
		if err == nil && done.Reissued != 1 {
			return fmt.Errorf("%d tokens were reissued, want 1", done.Reissued)
		}
		return err
	})
}

func (s Stack) ticked(ctx context.Context) error {
	_, err := s.renew(ctx, tick)
	return err
}

func (s Stack) misconfigured(ctx context.Context) error {
	if err := s.Cloud.PutSecret(ctx, "broken", `{"provider":"oauth2","clientid":"x"}`); err != nil {
		return err
	}
	_, err := s.API.expect(ctx, http.StatusInternalServerError, "connection_misconfigured", http.MethodGet, tokenOf("broken"), "")
	if err != nil {
		return err
	}
	a, err := s.API.expect(ctx, http.StatusOK, "", http.MethodGet, "/connections/broken", "")
	if err == nil && a.State != "misconfigured" {
		err = fmt.Errorf("its state is %q", a.State)
	}
	if err != nil {
		return err
	}
	_, err = s.API.expect(ctx, http.StatusOK, "", http.MethodGet, tokenOf(plain[0]), "")
	return err
}

func (s Stack) unknown(ctx context.Context) error {
	_, err := s.API.expect(ctx, http.StatusNotFound, "connection_not_found", http.MethodGet, tokenOf("nobody"), "")
	return err
}
