package fleet

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// App is the ARN of a caller: a session of a role.
const App = "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0"

// Ask is one request to the API.
type Ask struct {
	// Method is GET when empty. Path is below the stage.
	Method, Path string
	Query        map[string]string
	// Body is JSON; empty means none.
	Body string
	// Caller is the caller's ARN; empty means App.
	Caller string
}

// TokenOf requests a connection's token.
func TokenOf(connection string) Ask { return Ask{Path: "/connections/" + connection + "/token"} }

// Rejecting reports the token with that id as rejected, and requests another.
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
	if a.Body != "" {
		headers["Content-Type"] = "application/json"
	}
	caller := a.Caller
	if caller == "" {
		caller = App
	}
	text, _ := json.Marshal(events.APIGatewayProxyRequest{ // strings and maps of them
		Resource: resource, Path: a.Path, HTTPMethod: a.method(), Headers: headers, MultiValueHeaders: lists(headers),
		QueryStringParameters: a.Query, MultiValueQueryStringParameters: lists(a.Query), PathParameters: parameters, Body: a.Body,
		RequestContext: events.APIGatewayProxyRequestContext{
			ResourcePath: resource, HTTPMethod: a.method(), RequestID: rand.Text(), RequestTimeEpoch: now.UnixMilli(), Stage: "v1",
			DomainName: headers["Host"], Identity: events.APIGatewayRequestIdentity{
				AccountID: "111122223333", Caller: "AROAEXAMPLEAPP:i-0123456789abcdef0", User: "AROAEXAMPLEAPP:i-0123456789abcdef0",
				AccessKey: "ASIAEXAMPLE", UserArn: caller, SourceIP: "192.0.2.10", UserAgent: "fleet",
			},
		},
	})
	return text
}

func (a Ask) method() string {
	if a.Method == "" {
		return "GET"
	}
	return a.Method
}

// resource is the path with its parameters in braces, and the parameters.
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

// Tick is the renew function's scheduled event at that time.
func Tick(at time.Time) []byte {
	text, _ := json.Marshal(members{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.events",
		"account": "111122223333", "time": at.UTC().Format(time.RFC3339), "region": "us-east-1",
		"resources": []string{"arn:aws:events:us-east-1:111122223333:rule/renew"}, "detail": members{},
	})
	return text
}

// SecretChanged is the event after a secret's AWSCURRENT has moved.
func SecretChanged(connection string) []byte {
	text, _ := json.Marshal(members{
		"version": "0", "id": rand.Text(), "detail-type": "Secret Label Updated", "source": "aws.secretsmanager",
		"account": "111122223333", "region": "us-east-1",
		"detail": members{"name": SecretPrefix + connection, "labelUpdated": "AWSCURRENT", "versionId": rand.Text()},
	})
	return text
}
