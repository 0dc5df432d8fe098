package fleet

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
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

// event is the request as API Gateway sends it.
func (a Ask) event(now time.Time) []byte {
	header := http.Header{"Accept": {"*/*"}, "User-Agent": {"fleet"}}
	if a.Body != "" {
		header.Set("Content-Type", "application/json")
	}
	query := url.Values{}
	for name, value := range a.Query {
		query.Set(name, value)
	}
	return restevent.Request{
		Method: a.Method, Path: a.Path, Query: query, Header: header, Body: a.Body, ID: rand.Text(), ReceivedAt: now,
		Identity: restevent.Identity{
			ARN: cmp.Or(a.Caller, App), UniqueID: "AROAEXAMPLEAPP:i-0123456789abcdef0", AccountID: "111122223333", AccessKey: "ASIAEXAMPLE",
		},
	}.Encode()
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
