package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// PublicBaseURL is the public base of the functions' consent pages.
const PublicBaseURL = "https://fleet.example.com/v1"

// Delegate registers a connection with a grant at the sandbox's plain server,
// which treats its refresh tokens by that policy. The consent was given that long
// ago, and its access token, which lives for an hour, is as old.
func (f *Fleet) Delegate(ctx context.Context, name string, policy sandbox.RefreshPolicy, ago time.Duration) error {
	client := sandbox.Client{Connection: name, Delegated: true, RedirectURIs: []string{redirectURI(name)}, Refresh: policy}
	if err := f.Provider.Register(client); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	if err := f.PutSecret(name, f.Provider.Connections()[name]); err != nil {
		return err
	}
	return f.Consent(ctx, name, ago)
}

func redirectURI(name string) string { return PublicBaseURL + "/callback/" + name }

// Consent gives consent at the sandbox's pages and stores the grant, by a core
// whose clock is behind by that much.
func (f *Fleet) Consent(ctx context.Context, name string, ago time.Duration) error {
	core := f.Core(func() time.Time { return time.Now().Add(-ago) })
	conn, err := core.Delegated(ctx, vending.Request{Connection: connection.Name(name), Caller: App})
	if err != nil {
		return fmt.Errorf("declaration of %s: %w", name, err)
	}
	verifier, err := oauth.NewVerifier(rand.Reader)
	if err != nil {
		return err
	}
	f.leaks.watch(verifier.Reveal())
	code, err := f.visit(ctx, conn, verifier)
	if err != nil {
		return err
	}
	err = core.Authorize(ctx, vending.Authorization{Connection: conn, Code: redact.New(code), Verifier: verifier,
		RedirectURI: redirectURI(name), Scope: conn.Scope})
	if err != nil {
		return fmt.Errorf("consent to %s: %w", name, err)
	}
	return nil
}

// visit goes through the browser's part of a consent and returns the code.
func (f *Fleet) visit(ctx context.Context, conn connection.Connection, verifier redact.Secret) (string, error) {
	state := rand.Text()
	address, err := oauth.AuthorizationURL(oauth.AuthorizationRequest{
		AuthorizationURL: conn.AuthorizationURL, ClientID: conn.ClientID, RedirectURI: redirectURI(string(conn.Name)),
		Scope: conn.Scope, State: state, Challenge: oauth.Challenge(verifier), Params: conn.AuthorizationParams,
	})
	if err != nil {
		return "", fmt.Errorf("authorization URL: %w", err)
	}
	end, err := browserclient.Consent(ctx, nil, address, "", true)
	if err != nil {
		return "", err
	}
	_, query, _ := strings.Cut(end, "?")
	answer, err := url.ParseQuery(query)
	if err != nil || answer.Get("code") == "" || answer.Get("state") != state {
		return "", errors.New("the browser came back without a code")
	}
	f.leaks.watch(answer.Get("code"))
	return answer.Get("code"), nil
}
