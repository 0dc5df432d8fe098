package dialogue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	wellKnown = "/.well-known/"
	// metadataTimeout is for one document, and maxMetadata its size in bytes.
	metadataTimeout = 10 * time.Second
	maxMetadata     = 1 << 20
)

// metadata is a server's own description (RFC 8414 §2, OpenID Connect Discovery §3).
type metadata map[string]any

// discover reads the metadata of a server. The address is that of the document, or
// the issuer. A document that states another issuer is refused (RFC 8414 §3.3):
// whoever can serve a file on a host could otherwise redirect the client's secret.
func discover(ctx context.Context, policy egress.Policy, address string) (metadata, error) {
	if _, err := policy.Parse(address); err != nil {
		return nil, fmt.Errorf("the address %w", err)
	}
	issuer, candidates, err := documents(address)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, candidate := range candidates {
		found, err := fetch(ctx, policy, candidate)
		if err == nil && strings.TrimSuffix(found.text("issuer"), "/") != strings.TrimSuffix(issuer, "/") {
			err = fmt.Errorf("the document does not state the issuer %s", issuer)
		}
		if err == nil {
			return found, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", candidate, err))
	}
	return nil, errors.Join(failures...)
}

// documents returns the issuer of an address, and where its metadata may be.
func documents(address string) (issuer string, candidates []string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", nil, errors.New("the address has a query or a fragment; remove it")
	}
	host, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	if before, rest, is := strings.Cut(path, wellKnown); is {
		_, after, _ := strings.Cut(rest, "/")
		if after != "" {
			after = "/" + after
		}
		return host + before + after, []string{address}, nil
	}
	candidates = []string{host + wellKnown + "oauth-authorization-server" + path, host + path + wellKnown + "openid-configuration"}
	return host + path, candidates, nil
}

// fetch reads one document. It follows no redirect and connects only where a
// provider may be.
func fetch(ctx context.Context, policy egress.Policy, address string) (metadata, error) {
	destination, err := policy.Parse(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("is not an address")
	}
	request.Header.Set("Accept", "application/json")
	transport := &http.Transport{DialContext: policy.Dialer(destination.Private, metadataTimeout).DialContext, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	switch {
	case errors.Is(err, egress.ErrRefused):
		return nil, err
	case err != nil:
		return nil, errors.New("the server cannot be reached")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxMetadata+1))
	if err != nil || len(text) > maxMetadata {
		return nil, errors.New("the document is incomplete or too large")
	}
	root, err := strictjson.ParseTolerant(text)
	members, isObject := root.(map[string]any)
	if err != nil || !isObject {
		return nil, errors.New("the document is not a JSON object")
	}
	return members, nil
}

// text returns a member that a terminal can show.
func (m metadata) text(name string) string {
	text, _ := m[name].(string)
	if !isShown(text) {
		return ""
	}
	return text
}

// list returns the texts of a member that a terminal can show.
func (m metadata) list(name string) (texts []string) {
	values, _ := m[name].([]any)
	for _, value := range values {
		if text, _ := value.(string); text != "" && isShown(text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func isShown(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// grantNames are the grants that can be declared, by their name in metadata.
var grantNames = map[string]string{
	"client_credentials": "client_credentials", "authorization_code": "authorization_code",
	"urn:ietf:params:oauth:grant-type:jwt-bearer": "jwt_bearer",
}

// answers are the defaults that the metadata gives.
func (m metadata) answers() map[string]string {
	defaults := map[string]string{}
	for member, name := range map[string]string{
		"issuer": "issuer", "token_url": "token_endpoint", "authorization_url": "authorization_endpoint",
		"revocation_url": "revocation_endpoint", "documentation": "service_documentation",
	} {
		defaults[member] = m.text(name)
	}
	if issuer, err := url.Parse(defaults["issuer"]); err == nil {
		defaults["title"] = issuer.Hostname()
	}
	var grants []string
	for _, name := range m.list("grant_types_supported") {
		if grant := grantNames[name]; grant != "" {
			grants = append(grants, grant)
		}
	}
	if m["grant_types_supported"] == nil && defaults["authorization_url"] != "" {
		grants = append(grants, "authorization_code") // the default of RFC 8414 §2 that is supported
	}
	defaults["grant_types"] = strings.Join(grants, " ")
	methods := m.list("token_endpoint_auth_methods_supported")
	for _, method := range provider.ClientAuths() {
		if slices.Contains(methods, string(method)) && (defaults["client_auth"] == "" || method == provider.ClientSecretBasic) {
			defaults["client_auth"] = string(method)
		}
	}
	return defaults
}
