package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// userAgent identifies the service to providers. It does not distinguish
// versions or deployments.
const userAgent = "tokenvend/1"

// assertionType is the client_assertion_type of private_key_jwt (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// endpoint is one request: its URL, the client's authentication, the other
// parameters, and how it differs from RFC 6749.
type endpoint struct {
	url   string
	auth  Authentication
	form  url.Values
	shape provider.RequestShape
	// grant is the assertion of grant_type jwt_bearer; nil for other requests.
	grant *Assertion
	// timeout is the time until the header of the response; zero is the transport's.
	timeout time.Duration
}

// reservedParams are the parameters that no extra parameter may set, in upper or
// lower case: some servers ignore the case of names.
var reservedParams = []string{
	"grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"code", "redirect_uri", "code_verifier", "refresh_token", "assertion", "username", "password",
}

// isReserved reports whether the service sets a parameter itself, also under
// another name that this server has for it.
func isReserved(param string, shape provider.RequestShape) bool {
	for _, other := range shape.Names {
		if strings.EqualFold(param, other) {
			return true
		}
	}
	return slices.Contains(reservedParams, strings.ToLower(param))
}

func (r Request) endpoint() endpoint {
	e := endpoint{url: r.TokenURL, auth: r.Authentication, form: r.form(), shape: r.Shape}
	if r.GrantType == grantJWTBearer {
		e.grant = &r.Grant
	}
	if r.Timeout > 0 {
		e.timeout = r.Timeout
	}
	return e
}

// form returns the parameters of a token request without authentication. Empty
// ones are omitted (RFC 6749 §3.2).
func (r Request) form() url.Values {
	form := maps.Clone(r.Params)
	if form == nil {
		form = url.Values{}
	}
	maps.DeleteFunc(form, func(name string, _ []string) bool { return isReserved(name, r.Shape) })
	form.Set("grant_type", r.grantTypeName())
	for name, value := range r.grantParams() {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// grantTypeName is the grant_type as this server calls it.
func (r Request) grantTypeName() string {
	if other := r.Shape.GrantType[r.GrantType]; other != "" {
		return other
	}
	if r.GrantType == grantJWTBearer {
		return "urn:ietf:params:oauth:grant-type:jwt-bearer"
	}
	return r.GrantType
}

// grantParams are the parameters of the grant type. Fields of other grant types
// are not sent, so that no code or refresh token goes where it is not expected.
func (r Request) grantParams() map[string]string {
	params := map[string]string{"scope": JoinScope(r.Scope, r.ScopeSeparator)}
	switch r.GrantType {
	case grantAuthorizationCode:
		params["code"], params["redirect_uri"], params["code_verifier"] = r.Code.Reveal(), r.RedirectURI, r.CodeVerifier.Reveal()
	case grantRefreshToken:
		params["refresh_token"] = r.RefreshToken.Reveal()
	case grantPassword:
		params["username"], params["password"] = r.Username, r.Password.Reveal()
	}
	return params
}

// JoinScope writes a scope with the separator that the server has in place of a
// space; empty is a space.
func JoinScope(scope, separator string) string {
	if separator == "" {
		return scope
	}
	return strings.Join(strings.Fields(scope), separator)
}

// isOneTime reports whether the request carries a one-time credential: a code or
// a refresh token.
func (r Request) isOneTime() bool {
	return r.GrantType == grantAuthorizationCode || r.GrantType == grantRefreshToken
}

// post sends one request, a GET where the server wants that, and reads its response.
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
	resp, failure := c.send(req, destination.Private, e.timeout)
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
	header, err := c.header(e)
	if err != nil {
		return nil, echoScrubber{}, err
	}
	if err := c.authenticate(e, header); err != nil {
		return nil, echoScrubber{}, err
	}
	scrubber := echoScrubber{maps.Clone(e.form), e.auth, header.Get("Authorization")}
	e.rename()
	req := &http.Request{Method: http.MethodPost, URL: d.URL, Host: d.URL.Host, Header: header}
	if e.shape.Body == provider.BodyQuery {
		withQuery := *d.URL
		withQuery.RawQuery = joinQuery(withQuery.RawQuery, e.form.Encode())
		req.Method, req.URL = http.MethodGet, &withQuery
		return req.WithContext(ctx), scrubber, nil
	}
	body, contentType := e.body()
	header.Set("Content-Type", contentType)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return req.WithContext(ctx), scrubber, nil
}

// header makes the headers of a request: the service's, those that the provider
// wants, and the connection's secret ones.
func (c *Client) header(e endpoint) (http.Header, error) {
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {userAgent}}
	for name, value := range e.shape.Headers {
		if strings.Contains(value, "{uuid}") {
			id, err := c.uuid()
			if err != nil {
				return nil, err
			}
			value = strings.ReplaceAll(value, "{uuid}", id)
		}
		header.Set(name, value)
	}
	for name, value := range e.auth.Headers {
		header.Set(name, value.Reveal())
	}
	return header, nil
}

// uuid is a random UUID (RFC 9562 §5.4).
func (c *Client) uuid() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.rand, id[:]); err != nil {
		return "", errors.New("no randomness for the id of a request")
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

// rename gives the parameters the names that this server has for them.
func (e endpoint) rename() {
	renamed := url.Values{}
	for name, other := range e.shape.Names {
		if values, ok := e.form[name]; ok {
			delete(e.form, name)
			renamed[other] = values
		}
	}
	maps.Copy(e.form, renamed)
}

// body encodes the parameters: as a form, or as a JSON object of strings, in which
// a parameter of several values is a list.
func (e endpoint) body() (body, contentType string) {
	if e.shape.Body != provider.BodyJSON {
		return e.form.Encode(), "application/x-www-form-urlencoded"
	}
	object := make(map[string]any, len(e.form))
	for name, values := range e.form {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	text, _ := json.Marshal(object) // strings and lists of strings always encode
	return string(text), "application/json"
}

// authenticate adds the client's credentials to the form or to the header, never
// to both (RFC 6749 §2.3.1, RFC 7523 §2.2), and the grant's assertion (RFC 7523 §2.1).
func (c *Client) authenticate(e endpoint, header http.Header) error {
	if e.grant != nil {
		assertion, err := c.assertion(e, *e.grant)
		if err != nil {
			return err
		}
		e.form.Set("assertion", assertion)
	}
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
		assertion, err := c.assertion(e, e.auth.Assertion)
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
