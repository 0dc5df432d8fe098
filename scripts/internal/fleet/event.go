package fleet

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"
)

// App is a caller as API Gateway names one: a session of a role.
const App = "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0"

// Ask is one request to the API.
type Ask struct {
	// Method is GET when empty; Path is below the stage.
	Method, Path string
	Query        map[string]string
	// Body is a JSON text; empty is none.
	Body string
	// Caller is the ARN of who asks; empty is App.
	Caller string
}

// TokenOf asks for a connection's token.
func TokenOf(connection string) Ask { return Ask{Path: "/connections/" + connection + "/token"} }

// Rejecting asks for another token than the one of that id.
func Rejecting(connection, tokenID string) Ask {
	return Ask{Method: "POST", Path: "/connections/" + connection + "/token", Body: `{"rejected_token_id":"` + tokenID + `"}`}
}

type members = map[string]any

// event is the request as API Gateway's REST API sends it (payload 1.0).
func (a Ask) event(now time.Time) []byte {
	resource, parameters := a.resource()
	headers := map[string]string{
		"Accept": "*/*", "Host": "abcdefghij.execute-api.us-east-1.amazonaws.com", "User-Agent": "fleet",
		"X-Forwarded-For": "192.0.2.10", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https",
	}
	e := members{
		"resource": resource, "path": a.Path, "httpMethod": a.method(), "headers": headers, "multiValueHeaders": lists(headers),
		"queryStringParameters": a.Query, "multiValueQueryStringParameters": lists(a.Query),
		"pathParameters": parameters, "stageVariables": nil, "body": nil, "isBase64Encoded": false,
		"requestContext": a.context(resource, now),
	}
	if a.Body != "" {
		headers["Content-Type"] = "application/json"
		e["multiValueHeaders"], e["body"] = lists(headers), a.Body
	}
	text, _ := json.Marshal(e) // texts and maps of them
	return text
}

func (a Ask) context(resource string, now time.Time) members {
	caller := a.Caller
	if caller == "" {
		caller = App
	}
	return members{
		"resourceId": "reac41", "resourcePath": resource, "httpMethod": a.method(), "requestId": rand.Text(),
		"requestTime": now.UTC().Format("02/Jan/2006:15:04:05 -0700"), "requestTimeEpoch": now.UnixMilli(),
		"path": "/v1" + a.Path, "accountId": "444455556666", "apiId": "abcdefghij", "stage": "v1", "protocol": "HTTP/1.1",
		"domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com", "domainPrefix": "abcdefghij",
		"identity": members{
			"accountId": "111122223333", "caller": "AROAEXAMPLEAPP:i-0123456789abcdef0", "user": "AROAEXAMPLEAPP:i-0123456789abcdef0",
			"accessKey": "ASIAEXAMPLE", "userArn": caller, "sourceIp": "192.0.2.10", "userAgent": "fleet", "principalOrgId": nil,
		},
	}
}

func (a Ask) method() string {
	if a.Method == "" {
		return "GET"
	}
	return a.Method
}

// resource is the template of the path, and what stands in its place holders.
func (a Ask) resource() (string, map[string]string) {
	parts := strings.Split(strings.TrimPrefix(a.Path, "/"), "/")
	if len(parts) < 2 {
		return a.Path, nil
	}
	parameters := map[string]string{"connection": parts[1]}
	parts[1] = "{connection}"
	return "/" + strings.Join(parts, "/"), parameters
}

func lists(single map[string]string) map[string][]string {
	if single == nil {
		return nil
	}
	all := make(map[string][]string, len(single))
	for name, value := range single {
		all[name] = []string{value}
	}
	return all
}

// Tick is the scheduled event of the renew function, made at that time.
func Tick(at time.Time) []byte {
	text, _ := json.Marshal(members{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.events",
		"account": "111122223333", "time": at.UTC().Format(time.RFC3339), "region": "us-east-1",
		"resources": []string{"arn:aws:events:us-east-1:111122223333:rule/renew"}, "detail": members{},
	})
	return text
}

// SecretChanged is Secrets Manager's event when a secret's AWSCURRENT has moved.
func SecretChanged(connection string) []byte {
	text, _ := json.Marshal(members{
		"version": "0", "id": rand.Text(), "detail-type": "Secret Label Updated", "source": "aws.secretsmanager",
		"account": "111122223333", "region": "us-east-1",
		"detail": members{"name": SecretPrefix + connection, "labelUpdated": "AWSCURRENT", "versionId": rand.Text()},
	})
	return text
}
