package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// userAgent identifies the service to providers. It does not distinguish
// versions or deployments.
const userAgent = "tokenvend/1"

// assertionType is the client_assertion_type of private_key_jwt (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// endpoint is one POST: its URL, the client's authentication, and the other
// parameters.
type endpoint struct {
	url  string
	auth Authentication
	form url.Values
}

// reservedParams are the parameters that no extra parameter may set, in upper or
// lower case: some servers ignore the case of names.
var reservedParams = []string{
	"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"code", "redirect_uri", "code_verifier", "refresh_token",
}

// form returns the parameters of a token request without authentication. Empty
// ones are omitted (RFC 6749 §3.2).
func (r Request) form() url.Values {
	form := maps.Clone(r.Params)
	if form == nil {
		form = url.Values{}
	}
	maps.DeleteFunc(form, func(name string, _ []string) bool { return slices.Contains(reservedParams, strings.ToLower(name)) })
	form.Set("grant_type", r.GrantType)
	for name, value := range r.grantParams() {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// grantParams are the parameters of the grant type. Fields of other grant types
// are not sent, so that no code or refresh token goes where it is not expected.
func (r Request) grantParams() map[string]string {
	switch r.GrantType {
	case grantAuthorizationCode:
		return map[string]string{
			"scope": r.Scope, "code": r.Code.Reveal(), "redirect_uri": r.RedirectURI, "code_verifier": r.CodeVerifier.Reveal(),
		}
	case grantRefreshToken:
		return map[string]string{"scope": r.Scope, "refresh_token": r.RefreshToken.Reveal()}
	}
	return map[string]string{"scope": r.Scope}
}

// isOneTime reports whether the request carries a one-time credential: a code or
// a refresh token.
func (r Request) isOneTime() bool {
	return r.GrantType == grantAuthorizationCode || r.GrantType == grantRefreshToken
}

// post sends one request and reads its response.
func (c *Client) post(ctx context.Context, e endpoint, trace *Trace) (response, *failure) {
	destination, err := c.egress.Parse(e.url)
	if err != nil {
		return response{}, failUnsent(Misconfigured, ReasonURL)
	}
	req, scrubber, err := c.newRequest(ctx, destination, e)
	if err != nil {
		return response{}, failUnsent(Misconfigured, ReasonAuth)
	}
	trace.Calls++
	resp, failure := c.send(req, destination.Private)
	if failure != nil {
		return response{}, failure
	}
	defer resp.Body.Close()
	trace.Status = resp.StatusCode
	r, failure := readResponse(ctx, resp, scrubber, c.instant())
	return r, r.complete(failure)
}

// newRequest builds the request, and the scrubber that recognises an echo of it.
// The request has no GetBody, so that net/http cannot send it again.
func (c *Client) newRequest(ctx context.Context, d egress.Destination, e endpoint) (*http.Request, echoScrubber, error) {
	header := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/x-www-form-urlencoded"},
		"User-Agent":   {userAgent},
	}
	if err := c.authenticate(e, header); err != nil {
		return nil, echoScrubber{}, err
	}
	body := e.form.Encode()
	req := &http.Request{
		Method:        http.MethodPost,
		URL:           d.URL,
		Host:          d.URL.Host,
		Header:        header,
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	scrubber := echoScrubber{e.form, e.auth.ClientID, e.auth.ClientSecret, header.Get("Authorization")}
	return req.WithContext(ctx), scrubber, nil
}

// authenticate adds the client's credentials to the form or to the header, never
// to both (RFC 6749 §2.3.1, RFC 7523 §2.2).
func (c *Client) authenticate(e endpoint, header http.Header) error {
	id, secret := e.auth.ClientID, e.auth.ClientSecret.Reveal()
	switch e.auth.Method {
	case provider.ClientSecretPost:
		e.form.Set("client_id", id)
		e.form.Set("client_secret", secret)
	case provider.ClientSecretBasic:
		header.Set("Authorization", basic(url.QueryEscape(id), url.QueryEscape(secret)))
	case provider.ClientSecretBasicRaw:
		header.Set("Authorization", basic(id, secret))
	case provider.PrivateKeyJWT:
		assertion, err := c.assertion(e)
		if err != nil {
			return err
		}
		e.form.Set("client_id", id)
		e.form.Set("client_assertion_type", assertionType)
		e.form.Set("client_assertion", assertion)
	case provider.NoClientAuth:
		e.form.Set("client_id", id)
	default:
		return errors.New("unknown client authentication method")
	}
	return nil
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}
