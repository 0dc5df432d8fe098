package fleet_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

func TestUpdatesAreClassified(t *testing.T) {
	for expression, want := range map[string]fleet.Step{
		"SET #lease_owner = :lease_owner, #lease_until = :lease_until":               fleet.Acquire,
		"SET #version = :version, #sealed = :sealed REMOVE #lease_owner":             fleet.Commit,
		"SET #fail_count = :fail_count REMOVE #lease_owner, #lease_until":            fleet.Fail,
		"REMOVE #lease_owner, #lease_until":                                          fleet.Release,
		"SET #rejected_id = :rejected_id":                                            fleet.Reject,
		"SET #version = if_not_exists(#version, :zero) + :one REMOVE #sealed, #used": fleet.Drop,
		"SET #used = :used":                                                        fleet.Mark,
		"SET #renew_slot = :renew_slot":                                            fleet.Slot,
		"SET #schema = :schema ADD #variants :variant":                             fleet.Variant,
		"SET #version = :next, #note = :note":                                      fleet.Note,
		"SET #version = :next, #record = :record, #renew_slot = :slot REMOVE #ttl": fleet.Declare,
		"SET #anything = :else":                                                    fleet.Other,
	} {
		t.Run(string(want), func(t *testing.T) {
			body := fmt.Sprintf(`{"Key":{"pk":{"S":"connection/crm"}},"UpdateExpression":%q}`, expression)
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("X-Amz-Target", "DynamoDB_20120810.UpdateItem")
			if got := fleet.Classify(r, []byte(body)); got != (fleet.Call{Step: want, Subject: "crm"}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestConsistentReadIsClassified(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	body := []byte(`{"Key":{"pk":{"S":"connection/crm"}},"ConsistentRead":true}`)
	if got := fleet.Classify(r, body); got != (fleet.Call{Step: fleet.Get, Subject: "crm", Consistent: true}) {
		t.Errorf("got %+v", got)
	}
}

func TestBatchReadIsClassified(t *testing.T) {
	const item, record = `{"pk":{"S":"connection/crm"},"sk":{"S":"token"}}`, `{"pk":{"S":"declaration/crm"},"sk":{"S":"declaration"}}`
	for keys, want := range map[string]fleet.Step{
		item + "," + record: fleet.Get,
		record + "," + item: fleet.Get,
		record:              fleet.Records,
	} {
		body := fmt.Appendf(nil, `{"RequestItems":{"tokens":{"Keys":[%s],"ConsistentRead":true}}}`, keys)
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.BatchGetItem")
		if got := fleet.Classify(r, body); got != (fleet.Call{Step: want, Subject: "crm", Consistent: true}) {
			t.Errorf("%s: got %+v", keys, got)
		}
	}
}
