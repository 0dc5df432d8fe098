package fleet

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"
)

// Step says what a request of a function is for.
type Step string

// The steps. Those on the table are told apart by what they write, for the
// table sees nothing but conditional updates.
const (
	Get     Step = "get"
	Acquire Step = "acquire"
	Commit  Step = "commit"
	Fail    Step = "fail"
	Release Step = "release"
	Reject  Step = "reject"
	Drop    Step = "drop"
	Mark    Step = "mark"
	Slot    Step = "slot"
	Variant Step = "variant"
	Note    Step = "note"
	Query   Step = "query"
	Secret  Step = "secret"
	List    Step = "list"
	Token   Step = "token"
	Other   Step = "other"
)

// call reads what a request to the table or to Secrets Manager is about.
func call(r *http.Request, body []byte) Call {
	c := Call{Step: Other, From: keyID(r)}
	switch awsjson.OperationOf(r) {
	case "GetItem":
		c.Step = Get
	case "UpdateItem":
		c.Step = writing(body)
	case "Query":
		c.Step = Query
	case "GetSecretValue":
		c.Step = Secret
	case "ListSecrets", "BatchGetSecretValue":
		c.Step = List
	}
	c.Subject = subject(body)
	return c
}

// keyID is the access key id that signed the request: each process has its own.
func keyID(r *http.Request) string {
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(after, "/")
	return id
}

// subject is the connection or secret that a request names, "" when it names none.
func subject(body []byte) string {
	var named struct {
		SecretID string `json:"SecretId"`
		Key      struct {
			PK struct{ S string } `json:"pk"`
		}
	}
	if json.Unmarshal(body, &named) != nil {
		return ""
	}
	if name, ours := strings.CutPrefix(named.Key.PK.S, "connection/"); ours {
		return name
	}
	return strings.TrimPrefix(named.SecretID, SecretPrefix)
}

// writing tells updates apart, the most telling assignment first.
func writing(body []byte) Step {
	var update struct{ UpdateExpression string }
	if json.Unmarshal(body, &update) != nil {
		return Other
	}
	for _, sign := range []struct {
		text string
		step Step
	}{
		{"#lease_owner = ", Acquire}, {"#sealed = ", Commit}, {"#grant = ", Commit}, {"#fail_count = ", Fail}, {"#rejected_id = ", Reject},
		{"#sealed", Drop}, {"#lease_owner", Release}, {"#used = ", Mark}, {"#note = ", Note}, {"#variants", Variant},
		{"#renew_slot", Slot},
	} {
		if strings.Contains(update.UpdateExpression, sign.text) {
			return sign.step
		}
	}
	return Other
}
