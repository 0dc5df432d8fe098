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

// userAgent names the service to providers. It bears no version or host of
// ours that would tell them apart.
const userAgent = "tokenvend/1"

// assertionType is the client_assertion_type of private_key_jwt (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// endpoint is one POST: where, as whom, and with which parameters besides those
// of the client's authentication.
type endpoint struct {
	url  string
	auth Authentication
	form url.Values
}

// ours are the parameters that no extra parameter may set, in whatever letters:
// some servers read names without regard to case.
var ours = []string{
	"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"code", "redirect_uri", "code_verifier", "refresh_token",
}

// form returns the parameters of a token request without authentication. What
// is empty is absent (RFC 6749 §3.2).
func (r Request) form() url.Values {
	form := maps.Clone(r.Params)
	if form == nil {
		form = url.Values{}
	}
	maps.DeleteFunc(form, func(name string, _ []string) bool { return slices.Contains(ours, strings.ToLower(name)) })
	form.Set("grant_type", r.GrantType)
	for name, value := range r.own() {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// own are the parameters of the grant type. What belongs to another stays here,
// so that no code or refresh token goes where it is not asked for.
func (r Request) own() map[string]string {
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

// spends reports whether the request carries something that works once only.
func (r Request) spends() bool {
	return r.GrantType == grantAuthorizationCode || r.GrantType == grantRefreshToken
}

// post sends one request and reads the answer if it is one to read.
func (c *Client) post(ctx context.Context, e endpoint, trace *Trace) (answer, *failure) {
	destination, err := c.egress.Parse(e.url)
	if err != nil {
		return answer{}, failUnsent(Misconfigured, ReasonURL)
	}
	req, sent, err := c.newRequest(ctx, destination, e)
	if err != nil {
		return answer{}, failUnsent(Misconfigured, ReasonAuth)
	}
	trace.Calls++
	resp, failure := c.send(req, destination.Private)
	if failure != nil {
		return answer{}, failure
	}
	defer resp.Body.Close()
	trace.Status = resp.StatusCode
	a, failure := readAnswer(ctx, resp, sent, c.instant())
	return a, a.about(failure)
}

// newRequest builds the request and notes what it carries, so that an echo of
// it can be recognised. It has no GetBody: nothing but us may send it again.
func (c *Client) newRequest(ctx context.Context, d egress.Destination, e endpoint) (*http.Request, sent, error) {
	header := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/x-www-form-urlencoded"},
		"User-Agent":   {userAgent},
	}
	if err := c.authenticate(e, header); err != nil {
		return nil, sent{}, err
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
	carried := sent{e.form, e.auth.ClientID, e.auth.ClientSecret, header.Get("Authorization")}
	return req.WithContext(ctx), carried, nil
}

// authenticate adds the client's credentials to the form or to the header,
// never to both (RFC 6749 §2.3.1, RFC 7523 §2.2).
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
