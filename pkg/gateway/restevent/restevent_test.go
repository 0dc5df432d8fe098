package restevent_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
)

// TestEncode decodes an event with the type of aws-lambda-go, which is made for
// real events.
func TestEncode(t *testing.T) {
	text := restevent.Request{
		Method: "POST", Path: "/connections/crm/subjects/a%20b/token", Query: url.Values{"scope": {"a", "b"}},
		Header: http.Header{"Cookie": {"a=1", "b=2"}, "User-Agent": {"test"}}, Body: `{}`,
		Identity:   restevent.Identity{ARN: "arn:aws:iam::111122223333:role/app", UniqueID: "AROAEXAMPLE:session", AccountID: "111122223333", AccessKey: "ASIAEXAMPLE"},
		ReceivedAt: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
	}.Encode()
	var got events.APIGatewayProxyRequest
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	want := events.APIGatewayProxyRequest{
		Resource: "/connections/{connection}/subjects/{subject}/token", Path: "/connections/crm/subjects/a%20b/token", HTTPMethod: "POST",
		Headers: map[string]string{"Cookie": "b=2", "User-Agent": "test", "Host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https"},
		MultiValueHeaders: map[string][]string{"Cookie": {"a=1", "b=2"}, "User-Agent": {"test"}, "Host": {"abcdefghij.execute-api.us-east-1.amazonaws.com"},
			"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Proto": {"https"}},
		QueryStringParameters: map[string]string{"scope": "b"}, MultiValueQueryStringParameters: map[string][]string{"scope": {"a", "b"}},
		PathParameters: map[string]string{"connection": "crm", "subject": "a b"}, Body: "{}",
		RequestContext: events.APIGatewayProxyRequestContext{
			AccountID: "999999999999", ResourceID: "abc123", Stage: "v1", DomainName: "abcdefghij.execute-api.us-east-1.amazonaws.com",
			DomainPrefix: "abcdefghij", RequestID: "request-1", ExtendedRequestID: "AbCdEfGhIjKlMnO=", Protocol: "HTTP/1.1",
			ResourcePath: "/connections/{connection}/subjects/{subject}/token", Path: "/v1/connections/crm/subjects/a%20b/token", HTTPMethod: "POST",
			RequestTime: "01/Jan/2026:12:00:00 +0000", RequestTimeEpoch: 1767268800000, APIID: "abcdefghij",
			Identity: events.APIGatewayRequestIdentity{AccountID: "111122223333", Caller: "AROAEXAMPLE:session", User: "AROAEXAMPLE:session",
				UserArn: "arn:aws:iam::111122223333:role/app", AccessKey: "ASIAEXAMPLE", SourceIP: "192.0.2.1", UserAgent: "test"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// TestAbsent checks that what a request does not have is null, as in real events.
func TestAbsent(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(restevent.Request{Path: "/other"}.Encode(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		if value, ok := got[name]; !ok || value != nil {
			t.Errorf("%s is %v, want null", name, value)
		}
	}
	c, _ := got["requestContext"].(map[string]any)
	id, _ := c["identity"].(map[string]any)
	for _, name := range []string{"userArn", "caller", "user", "accountId", "accessKey", "userAgent"} {
		if value, ok := id[name]; !ok || value != nil {
			t.Errorf("AZ-05 identity.%s is %v, want null", name, value)
		}
	}
	if got["resource"] != "/other" || got["httpMethod"] != "GET" {
		t.Errorf("resource %v, method %v", got["resource"], got["httpMethod"])
	}
}
