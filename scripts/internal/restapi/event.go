package restapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// exchange is one verified request on its way to a function.
type exchange struct {
	r      *http.Request
	body   []byte
	caller Caller
	keyID  string
	path   location
	ids    ids
}

// ids are what API Gateway calls one request.
type ids struct{ request, extended, trace string }

func (a *API) newIDs() ids {
	var b [36]byte
	_, _ = io.ReadFull(a.Rand, b[:]) // ids are for reading, not for security
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:16])
	return ids{
		request:  h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:],
		extended: base64.StdEncoding.EncodeToString(b[16:24]),
		trace:    fmt.Sprintf("Root=1-%08x-%x", a.Now().Unix(), b[24:]),
	}
}

// proxyEvent is the input format of a Lambda function for proxy integration,
// payload 1.0. Absent maps and bodies are null, as they are from API Gateway.
type proxyEvent struct {
	Resource                        string              `json:"resource"`
	Path                            string              `json:"path"`
	HTTPMethod                      string              `json:"httpMethod"`
	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters                  map[string]string   `json:"pathParameters"`
	StageVariables                  map[string]string   `json:"stageVariables"`
	RequestContext                  requestContext      `json:"requestContext"`
	Body                            *string             `json:"body"`
	IsBase64Encoded                 bool                `json:"isBase64Encoded"`
}

type requestContext struct {
	ResourceID        string   `json:"resourceId"`
	ResourcePath      string   `json:"resourcePath"`
	HTTPMethod        string   `json:"httpMethod"`
	ExtendedRequestID string   `json:"extendedRequestId"`
	RequestTime       string   `json:"requestTime"`
	Path              string   `json:"path"`
	AccountID         string   `json:"accountId"`
	Protocol          string   `json:"protocol"`
	Stage             string   `json:"stage"`
	DomainPrefix      string   `json:"domainPrefix"`
	RequestTimeEpoch  int64    `json:"requestTimeEpoch"`
	RequestID         string   `json:"requestId"`
	Identity          identity `json:"identity"`
	DomainName        string   `json:"domainName"`
	APIID             string   `json:"apiId"`
}

// identity shows who signed. The members that are null for an IAM caller stay
// null and are spelt out, because they are in a real event.
type identity struct {
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	AccountID                     string  `json:"accountId"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	Caller                        string  `json:"caller"`
	SourceIP                      string  `json:"sourceIp"`
	PrincipalOrgID                *string `json:"principalOrgId"`
	AccessKey                     string  `json:"accessKey"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	UserARN                       string  `json:"userArn"`
	UserAgent                     *string `json:"userAgent"`
	User                          string  `json:"user"`
}

// apiAccount owns the API; callers' accounts may differ, and only theirs counts.
const apiAccount = "000000000000"

// event encodes what the function receives.
func (a *API) event(x exchange) ([]byte, error) {
	headers := forwarded(x)
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("parse the query: %w", err)
	}
	e := proxyEvent{
		Resource: x.path.route.resource, Path: x.path.raw, HTTPMethod: x.r.Method,
		Headers: last(headers), MultiValueHeaders: headers,
		QueryStringParameters: last(query), MultiValueQueryStringParameters: orNull(query),
		PathParameters: x.path.parameters,
		RequestContext: a.requestContext(x),
	}
	if len(x.body) > 0 {
		text := string(x.body)
		e.Body = &text
	}
	return json.Marshal(e)
}

func (a *API) requestContext(x exchange) requestContext {
	now := a.Now().UTC()
	return requestContext{
		ResourceID: x.path.route.id, ResourcePath: x.path.route.resource, HTTPMethod: x.r.Method,
		ExtendedRequestID: x.ids.extended, RequestID: x.ids.request,
		RequestTime: now.Format("02/Jan/2006:15:04:05 -0700"), RequestTimeEpoch: now.UnixMilli(),
		Path: "/" + a.Stage + x.path.raw, Stage: a.Stage,
		AccountID: apiAccount, APIID: "local", DomainPrefix: "local", DomainName: x.r.Host,
		Protocol: x.r.Proto,
		Identity: identity{
			AccountID: x.caller.AccountID, Caller: x.caller.UniqueID, User: x.caller.UniqueID,
			UserARN: x.caller.ARN, AccessKey: x.keyID,
			SourceIP: sourceIP(x.r), UserAgent: userAgent(x.r),
		},
	}
}

// forwarded are the headers a function sees: the request's, plus those the
// gateway adds. The signature has done its work and stays here.
func forwarded(x exchange) map[string][]string {
	headers := make(map[string][]string, len(x.r.Header)+5)
	for name, values := range x.r.Header {
		if name != "Authorization" {
			headers[name] = values
		}
	}
	_, port, err := net.SplitHostPort(x.r.Host)
	if err != nil {
		port = "80"
	}
	headers["Host"] = []string{x.r.Host}
	headers["X-Amzn-Trace-Id"] = []string{x.ids.trace}
	headers["X-Forwarded-For"] = []string{sourceIP(x.r)}
	headers["X-Forwarded-Port"] = []string{port}
	headers["X-Forwarded-Proto"] = []string{"http"}
	return headers
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func userAgent(r *http.Request) *string {
	if agent, sent := r.Header["User-Agent"]; sent {
		return &agent[0]
	}
	return nil
}

// last keeps the last value of each name, as API Gateway does; nil for none.
func last(values map[string][]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	single := make(map[string]string, len(values))
	for name, all := range values {
		single[name] = all[len(all)-1]
	}
	return single
}

func orNull(values map[string][]string) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	return values
}
