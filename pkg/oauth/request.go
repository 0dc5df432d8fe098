package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
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

// ours are the parameters that no extra parameter may set.
var ours = []string{"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"}

// form returns the parameters of a token request without authentication. What
// is empty is absent (RFC 6749 §4.4.2).
func (r Request) form() url.Values {
	form := url.Values{}
	maps.Copy(form, r.Params)
	for _, name := range ours {
		form.Del(name)
	}
	form.Set("grant_type", r.GrantType)
	if r.Scope != "" {
		form.Set("scope", r.Scope)
	}
	return form
}

// post sends one request and reads the answer if it is one to read.
func (c *Client) post(ctx context.Context, e endpoint, trace *Trace) (answer, *failure) {
	destination, err := c.egress.Parse(e.url)
	if err != nil {
		return answer{}, fail(Misconfigured, ReasonURL)
	}
	req, sent, err := c.newRequest(ctx, destination, e)
	if err != nil {
		return answer{}, fail(Misconfigured, ReasonAuth)
	}
	trace.Calls++
	resp, failure := c.send(req, destination.Inside)
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
