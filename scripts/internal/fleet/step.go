package fleet

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/fault"
)

// The names of package fault that every scenario uses.
type (
	// Step says what a request of a function is for.
	Step = fault.Step
	// Call is a request at a phase of its life.
	Call = fault.Call
	// Phase is a moment in the life of a request.
	Phase = fault.Phase
	// Decision is what becomes of a request.
	Decision = fault.Decision
	// Hook decides about calls.
	Hook = fault.Hook
)

// The phases of a request.
const (
	Arrived = fault.Arrived
	Done    = fault.Done
)

// Cut is the decision that ends a connection.
var Cut = fault.Cut

// The steps. All writes are conditional updates, so the attributes that an
// update sets name its step.
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
	Declare Step = "declare"
	Records Step = "records"
	Query   Step = "query"
	Secret  Step = "secret"
	List    Step = "list"
	Token   Step = "token"
	Other   Step = "other"
)

// classify reads the step of a request to the table or to Secrets Manager.
func classify(r *http.Request, body []byte) Call {
	c := Call{Step: Other}
	switch awsjson.OperationOf(r) {
	case "GetItem":
		c.Step = Get
	case "BatchGetItem":
		return batch(body)
	case "UpdateItem":
		c.Step = writing(body)
	case "Query":
		c.Step = Query
	case "GetSecretValue":
		c.Step = Secret
	case "ListSecrets", "BatchGetSecretValue":
		c.Step = List
	}
	c.Subject, c.Consistent = subject(body)
	return c
}

// batch is the read of an item and its connection's declaration record, or of
// records alone.
func batch(body []byte) Call {
	var named struct {
		RequestItems map[string]struct {
			Keys           []tableKey
			ConsistentRead bool
		}
	}
	c := Call{Step: Other}
	if json.Unmarshal(body, &named) != nil {
		return c
	}
	for _, table := range named.RequestItems {
		for _, key := range table.Keys {
			if name, found := strings.CutPrefix(key.PK.S, "connection/"); found {
				return Call{Step: Get, Subject: name, Consistent: table.ConsistentRead}
			}
			if name, found := strings.CutPrefix(key.PK.S, "declaration/"); found {
				c = Call{Step: Records, Subject: name, Consistent: table.ConsistentRead}
			}
		}
	}
	return c
}

// tableKey is the partition key of a primary key.
type tableKey struct {
	PK struct{ S string } `json:"pk"`
}

// subject is the connection or secret that a request names, empty when it names
// none, and whether it reads consistently.
func subject(body []byte) (name string, consistent bool) {
	var named struct {
		SecretID       string `json:"SecretId"`
		Key            tableKey
		ConsistentRead bool
	}
	if json.Unmarshal(body, &named) != nil {
		return "", false
	}
	for _, kind := range []string{"connection/", "declaration/"} {
		if connection, found := strings.CutPrefix(named.Key.PK.S, kind); found {
			return connection, named.ConsistentRead
		}
	}
	return strings.TrimPrefix(named.SecretID, SecretPrefix), false
}

// writing is the step of an update. The first sign that matches decides.
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
		{"#record = ", Declare},
		{"#renew_slot", Slot},
	} {
		if strings.Contains(update.UpdateExpression, sign.text) {
			return sign.step
		}
	}
	return Other
}
