package measure

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// event asks for the token of connection crm, in the size and shape that API
// Gateway sends.
//
//go:embed event.json
var event []byte

const (
	keyset = `{"primary":"k1","k1":"0123456789abcdef0123456789abcdef"}`
	// declaration is what most connections look like.
	declaration = `{"provider":"oauth2","client_id":"app","client_secret":"example","token_url":"https://idp.example.com/token","scope":"read write"}`
	// userDeclaration is the same for connection crm-user, which acts for a user.
	userDeclaration = `{"provider":"oauth2","grant_type":"authorization_code","client_id":"app","client_secret":"example",
"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize","scope":"read write"}`
	// tokenLength is the length in bytes of access and refresh tokens alike.
	tokenLength = 300
	lifetime    = time.Hour
)

const caller = "arn:aws:sts::111122223333:assumed-role/app/session"

var (
	// crm is what event asks for; crmUser is its counterpart with a grant.
	crm     = vending.Request{Connection: "crm", Caller: caller}
	crmUser = vending.Request{Connection: "crm-user", Caller: caller}
)

// service is the vend function's composition, but for its provider and its
// secrets, which are constants here.
func service(store assembly.Store, now func() time.Time) assembly.Service {
	return assembly.Service{
		Store: store, Secrets: secrets{}, Provider: minter{now: now},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return redact.New(keyset), nil }}),
		Audit:  audit.NewWriter(audit.Config{Output: io.Discard}),
		Now:    now,
	}
}

// secrets holds every connection, each declared alike but crm-user.
type secrets struct{ directory.Lister }

// Versions implements renewal.Versions; no renewer runs here.
func (secrets) Versions(context.Context, int, string) ([]clientsecret.Version, string, error) {
	return nil, "", nil
}

// Load implements clientsecret.Loader.
func (secrets) Load(_ context.Context, name string, _ clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	text := declaration
	if name == string(crmUser.Connection) {
		text = userDeclaration
	}
	return clientsecret.Secret{
		Name: name, ARN: "arn:aws:secretsmanager:us-east-1:000000000000:secret:tokenvend/" + name + "-AbCdEf",
		VersionID: "6f8bd2c4-2f6e-4d6c-9c0c-1c9f5b0e7a11", Text: redact.New(text), Origin: "secret tokenvend/" + name,
	}, nil
}

// minter issues another token each time the clock has moved, and with each
// refresh another refresh token.
type minter struct {
	vending.Revoker
	now func() time.Time
}

// Token implements vending.Minter.
func (m minter) Token(_ context.Context, r oauth.Request) (oauth.Token, error) {
	at := m.now().Round(0).UTC()
	t := oauth.Token{
		AccessToken: redact.New(fmt.Sprintf("%0*d", tokenLength, at.UnixNano())), TokenType: "Bearer", Scope: r.Scope,
		RequestedAt: at, ExpiresAt: at.Add(lifetime), Trace: oauth.Trace{Calls: 1, Status: http.StatusOK},
	}
	if r.GrantType == "refresh_token" {
		t.RefreshToken = redact.New(fmt.Sprintf("r%0*d", tokenLength-1, at.UnixNano()))
	}
	return t, nil
}

// checkVended fails unless answer is a 200 with a token in API Gateway's form.
func checkVended(answer []byte) error {
	var response struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the function answered with status %d", response.StatusCode)
	}
	if !strings.Contains(response.Body, `"access_token":"`) {
		return errors.New("the answer has no token")
	}
	return nil
}
