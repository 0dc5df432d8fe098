package localgateway

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// exchange is one admitted request on its way to a function.
type exchange struct {
	r     *http.Request
	body  []byte
	query url.Values
	// caller and keyID are the signer; empty on a public route, where a signature is
	// not checked.
	caller Caller
	keyID  string
	path   location
	ids    ids
}

// open reads a request that needs no signature. Errors are a *sigv4.Refusal.
func (x *exchange) open() (err error) {
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return &sigv4.Refusal{Status: http.StatusBadRequest, Type: "BadRequestException", Message: "Bad Request"}
	}
	x.body, err = io.ReadAll(io.LimitReader(x.r.Body, sigv4.MaxBody+1))
	switch {
	case err != nil:
		return &sigv4.Refusal{Status: http.StatusBadRequest, Type: "BadRequestException", Message: "Bad Request"}
	case len(x.body) > sigv4.MaxBody:
		return &sigv4.Refusal{Status: http.StatusRequestEntityTooLarge, Type: "RequestTooLargeException", Message: "Request Too Long"}
	}
	return nil
}

// ids are API Gateway's ids of one request.
type ids struct{ request, extended, trace string }

func (a *API) newIDs() ids {
	var b [36]byte
	_, _ = io.ReadFull(a.Rand, b[:]) // ids are not secret
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:16])
	return ids{
		request:  h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:],
		extended: base64.StdEncoding.EncodeToString(b[16:24]),
		trace:    "Root=1-" + strconv.FormatInt(a.Now().Unix(), 16) + "-" + hex.EncodeToString(b[24:]),
	}
}

// apiAccount is the account of the API. Functions use the caller's account instead.
const apiAccount = "000000000000"

// eventSize is the initial capacity for an event, in bytes.
const eventSize = 2 << 10

// event returns the input of a Lambda function for proxy integration, payload format
// 1.0. Absent maps and bodies are null, as from API Gateway. It is encoded by hand:
// encoding/json, as in package restevent, takes an eighth of a request's whole time,
// and the local server misses its aim.
func (a *API) event(x exchange) []byte {
	headers := x.headers()
	e := make(object, 0, eventSize+len(x.body)+2*len(x.r.URL.RawQuery))
	e = e.open().
		text("resource", x.path.route.resource).text("path", x.path.raw).text("httpMethod", x.r.Method).
		last("headers", headers).all("multiValueHeaders", headers)
	query := fields(x.query)
	e = e.last("queryStringParameters", query).all("multiValueQueryStringParameters", query)
	e = e.last("pathParameters", x.path.parameters).null("stageVariables")
	e = a.requestContext(e.name("requestContext"), x)
	if len(x.body) > 0 {
		e = e.text("body", string(x.body))
	} else {
		e = e.null("body")
	}
	return e.literal("isBase64Encoded", "false").close().end()
}

func (a *API) requestContext(e object, x exchange) object {
	now := a.Now().UTC()
	e = e.open().
		text("resourceId", x.path.route.id).text("resourcePath", x.path.route.resource).text("httpMethod", x.r.Method).
		text("extendedRequestId", x.ids.extended).text("requestId", x.ids.request).
		text("requestTime", now.Format("02/Jan/2006:15:04:05 -0700")).
		literal("requestTimeEpoch", strconv.FormatInt(now.UnixMilli(), 10)).
		text("path", "/"+a.Stage+x.path.raw).text("stage", a.Stage).
		text("accountId", apiAccount).text("apiId", "local").text("domainPrefix", "local").
		text("domainName", x.r.Host).text("protocol", x.r.Proto)
	return x.identity(e.name("identity")).close()
}

// identity describes the signer, if the route requires one. Members that are null are
// included, because a real event has them.
func (x exchange) identity(e object) object {
	e = e.open().
		null("cognitoIdentityPoolId").null("cognitoIdentityId").null("principalOrgId").
		null("cognitoAuthenticationType").null("cognitoAuthenticationProvider")
	if x.path.route.public {
		e = e.null("accountId").null("caller").null("user").null("userArn").null("accessKey")
	} else {
		e = e.text("accountId", x.caller.AccountID).text("caller", x.caller.UniqueID).text("user", x.caller.UniqueID).
			text("userArn", x.caller.ARN).text("accessKey", x.keyID)
	}
	e = e.text("sourceIp", sourceIP(x.r))
	if agent, sent := x.r.Header["User-Agent"]; sent {
		return e.text("userAgent", agent[0]).close()
	}
	return e.null("userAgent").close()
}

// headers are the request's headers without the signature, and with those that the
// gateway sets itself.
func (x exchange) headers() []field {
	added := []field{
		{"Host", []string{x.r.Host}},
		{"X-Amzn-Trace-Id", []string{x.ids.trace}},
		{"X-Forwarded-For", []string{sourceIP(x.r)}},
		{"X-Forwarded-Port", []string{port(x.r.Host)}},
		{"X-Forwarded-Proto", []string{"http"}},
	}
	headers := make([]field, 0, len(added)+len(x.r.Header))
	for name, values := range x.r.Header {
		switch name {
		case "Authorization", "Host", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto":
		default:
			headers = append(headers, field{name, values})
		}
	}
	return append(headers, added...)
}

func port(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return port
	}
	return "80"
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func fields(values url.Values) []field {
	if len(values) == 0 {
		return nil
	}
	all := make([]field, 0, len(values))
	for name, list := range values {
		all = append(all, field{name, list})
	}
	return all
}
