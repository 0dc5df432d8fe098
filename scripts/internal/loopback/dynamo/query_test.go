package dynamo_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fill puts items 0 … 4 of partition p, of which all but the last have a slot,
// and one of another partition in the same slot.
func fill(t *testing.T, p peer) {
	t.Helper()
	for i := range 5 {
		slot := fmt.Sprintf(`,"renew_slot":{"S":"slot-%d"}`, i%2)
		if i == 4 {
			slot = ""
		}
		p.put(t, fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":"s%d"},"n":{"N":"%d"}%s}`, i, i, slot))
	}
	p.put(t, `{"pk":{"S":"q"},"sk":{"S":"s9"},"n":{"N":"9"},"renew_slot":{"S":"slot-0"}}`)
}

var queries = []struct {
	name, body, want string
}{
	{"a partition", `{"KeyConditionExpression":"pk = :p"}`, "s0 s1 s2 s3 s4"},
	{"backward", `{"KeyConditionExpression":"pk = :p","ScanIndexForward":false}`, "s4 s3 s2 s1 s0"},
	{"another partition", `{"KeyConditionExpression":"pk = :q"}`, "s9"},
	{"an empty partition", `{"KeyConditionExpression":"pk = :s2"}`, ""},
	{"one", `{"KeyConditionExpression":"pk = :p AND sk = :s2"}`, "s2"},
	{"the sort key first", `{"KeyConditionExpression":"sk = :s2 AND pk = :p"}`, "s2"},
	{"below", `{"KeyConditionExpression":"pk = :p AND sk < :s2"}`, "s0 s1"},
	{"from", `{"KeyConditionExpression":"pk = :p AND sk >= :s2"}`, "s2 s3 s4"},
	{"between", `{"KeyConditionExpression":"pk = :p AND sk BETWEEN :s2 AND :s3"}`, "s2 s3"},
	{"in parentheses", `{"KeyConditionExpression":"(pk = :p) AND (sk BETWEEN :s2 AND :s3)"}`, "s2 s3"},
	{"a prefix", `{"KeyConditionExpression":"pk = :p AND begins_with(sk, :s)"}`, "s0 s1 s2 s3 s4"},
	{"filtered", `{"KeyConditionExpression":"pk = :p","FilterExpression":"n > :one"}`, "s2 s3 s4"},
	{"the index", `{"IndexName":"renew","KeyConditionExpression":"renew_slot = :slot0"}`, "s0 s2 s9"},
	{"the index, backward", `{"IndexName":"renew","KeyConditionExpression":"renew_slot = :slot1","ScanIndexForward":false}`, "s3 s1"},
	{"by name", `{"KeyConditionExpression":"#pk = :p AND #sk > :s3"}`, "s4"},

	{"no condition", `{}`, "ValidationException|must be specified"},
	{"no partition", `{"KeyConditionExpression":"sk = :s2"}`, "ValidationException|missed key schema element: pk"},
	{"a range of partitions", `{"KeyConditionExpression":"pk > :p"}`, "ValidationException|Query key condition not supported"},
	{"an attribute that is no key", `{"KeyConditionExpression":"pk = :p AND n = :one"}`, "ValidationException|"},
	{"the index's key on the table", `{"KeyConditionExpression":"renew_slot = :slot0"}`, "ValidationException|missed key schema element: pk"},
	{"OR", `{"KeyConditionExpression":"pk = :p OR pk = :q"}`, "ValidationException|Invalid operator"},
	{"NOT", `{"KeyConditionExpression":"NOT pk = :p"}`, "ValidationException|Invalid operator"},
	{"<>", `{"KeyConditionExpression":"pk = :p AND sk <> :s2"}`, "ValidationException|Invalid operator"},
	{"IN", `{"KeyConditionExpression":"pk IN (:p)"}`, "ValidationException|Invalid operator"},
	{"two conditions on a key", `{"KeyConditionExpression":"pk = :p AND sk > :s2 AND sk < :s3"}`, "ValidationException|one condition per key"},
	{"a nested key", `{"KeyConditionExpression":"pk.a = :p"}`, "ValidationException|"},
	{"a key compared with another", `{"KeyConditionExpression":"pk = sk"}`, "ValidationException|"},
	{"a key of another type", `{"KeyConditionExpression":"pk = :one"}`, "ValidationException|does not match schema type"},
	{"a sort key of another type", `{"KeyConditionExpression":"pk = :p AND sk = :one"}`, "ValidationException|does not match schema type"},
	{"an empty key", `{"KeyConditionExpression":"pk = :empty"}`, "ValidationException|empty string value"},
	{"a filter on the key", `{"KeyConditionExpression":"pk = :p","FilterExpression":"sk = :s2"}`, "ValidationException|can only contain non-primary key attributes: Primary key attribute: sk"},
	{"no such index", `{"IndexName":"other","KeyConditionExpression":"pk = :p"}`, "ValidationException|does not have the specified index: other"},
	{"a consistent read of an index", `{"IndexName":"renew","ConsistentRead":true,"KeyConditionExpression":"renew_slot = :slot0"}`, "ValidationException|not supported on global secondary indexes"},
	{"a limit of 0", `{"Limit":0,"KeyConditionExpression":"pk = :p"}`, "ValidationException|"},
	{"all attributes of an index of keys", `{"IndexName":"renew","Select":"ALL_ATTRIBUTES","KeyConditionExpression":"renew_slot = :slot0"}`, "ValidationException|"},
	{"an attribute that the index has not", `{"IndexName":"renew","ProjectionExpression":"n","KeyConditionExpression":"renew_slot = :slot0"}`, "ValidationException|does not project n"},
	{"a start that is no key", `{"ExclusiveStartKey":{"pk":{"S":"p"}},"KeyConditionExpression":"pk = :p"}`, "ValidationException|starting key is invalid"},
	{"a start of the table's for the index", `{"IndexName":"renew","ExclusiveStartKey":{"pk":{"S":"p"},"sk":{"S":"s0"}},"KeyConditionExpression":"renew_slot = :slot0"}`, "ValidationException|starting key is invalid"},
}

// keyValues are the values that queries name.
var keyValues = map[string]object{
	":p": {"S": "p"}, ":q": {"S": "q"}, ":s": {"S": "s"}, ":s2": {"S": "s2"}, ":s3": {"S": "s3"}, ":one": {"N": "1"}, ":empty": {"S": ""},
	":slot0": {"S": "slot-0"}, ":slot1": {"S": "slot-1"},
}

func (p peer) query(t *testing.T, text string) object {
	t.Helper()
	body := object{}
	decode(t, text, &body)
	given, names := object{}, object{}
	for _, member := range []string{"KeyConditionExpression", "FilterExpression"} {
		expression, _ := body[member].(string)
		for _, found := range placeholder.FindAllString(expression, -1) {
			if found[0] == ':' {
				given[found] = keyValues[found]
			} else {
				names[found] = found[1:]
			}
		}
	}
	body["TableName"] = p.table
	if len(given) > 0 {
		body["ExpressionAttributeValues"] = given
	}
	if len(names) > 0 {
		body["ExpressionAttributeNames"] = names
	}
	return body
}

type page struct {
	Items            []map[string]map[string]string
	Count            int
	ScannedCount     int
	LastEvaluatedKey object
}

func (p page) sortKeys() string {
	var keys []string
	for _, item := range p.Items {
		keys = append(keys, item["sk"]["S"])
	}
	return strings.Join(keys, " ")
}

// laxPeerQueries are queries that dynalite 4 answers otherwise: an index without
// a sort key promises no order, and it does not refuse an empty key or what an
// index does not have.
var laxPeerQueries = map[string]bool{
	"the index": true, "the index, backward": true, "an empty key": true, "an attribute that the index has not": true,
}

func TestQueries(t *testing.T) {
	for _, p := range peers(t) {
		fill(t, p)
		for _, tc := range queries {
			if !p.ours && laxPeerQueries[tc.name] {
				continue
			}
			t.Run(tc.name, func(t *testing.T) {
				a := p.call(t, "Query", p.query(t, tc.body))
				if strings.Contains(tc.want, "|") {
					p.answered(t, a, tc.want)
					return
				}
				var got page
				decode(t, a.text, &got)
				if a.status != http.StatusOK || got.sortKeys() != tc.want || got.LastEvaluatedKey != nil || got.Count != len(got.Items) {
					t.Errorf("ours %t: %q in %s", p.ours, got.sortKeys(), a.text)
				}
			})
		}
	}
}

func TestIndexHasKeysOnly(t *testing.T) {
	p := peers(t)[0]
	fill(t, p)
	var got page
	decode(t, p.call(t, "Query", p.query(t, `{"IndexName":"renew","KeyConditionExpression":"renew_slot = :slot1","Limit":1}`)).text, &got)
	keys := map[string]map[string]string{"pk": {"S": "p"}, "sk": {"S": "s1"}, "renew_slot": {"S": "slot-1"}}
	if d := cmp.Diff([]map[string]map[string]string{keys}, got.Items); d != "" {
		t.Errorf("CR-25 entry (-want +got):\n%s", d)
	}
}

func TestIndexFollowsTheTable(t *testing.T) {
	p := peers(t)[0]
	due := func() string {
		var got page
		decode(t, p.call(t, "Query", p.query(t, `{"IndexName":"renew","KeyConditionExpression":"renew_slot = :slot0"}`)).text, &got)
		return got.sortKeys()
	}
	for _, step := range []struct{ item, want string }{
		{`{"pk":{"S":"p"},"sk":{"S":"s"},"renew_slot":{"S":"slot-0"}}`, "s"},
		{`{"pk":{"S":"p"},"sk":{"S":"s"},"renew_slot":{"S":"slot-0"},"n":{"N":"1"}}`, "s"},
		{`{"pk":{"S":"p"},"sk":{"S":"s"},"renew_slot":{"S":"slot-1"}}`, ""},
		{`{"pk":{"S":"p"},"sk":{"S":"s"},"renew_slot":{"S":"slot-0"}}`, "s"},
		{`{"pk":{"S":"p"},"sk":{"S":"s"}}`, ""},
		{`{"pk":{"S":"p"},"sk":{"S":"s"},"renew_slot":{"S":"slot-0"}}`, "s"},
		{"null", ""},
	} {
		p.put(t, step.item)
		if got := due(); got != step.want {
			t.Errorf("CR-25 after %s: due %q, want %q", step.item, got, step.want)
		}
	}
}

func TestPages(t *testing.T) {
	for _, p := range peers(t) {
		fill(t, p)
		for _, tc := range []struct{ name, operation, body, want string }{
			{"a partition", "Query", `{"KeyConditionExpression":"pk = :p"}`, "s0 s1 s2 s3 s4"},
			{"backward", "Query", `{"KeyConditionExpression":"pk = :p","ScanIndexForward":false}`, "s4 s3 s2 s1 s0"},
			{"filtered", "Query", `{"KeyConditionExpression":"pk = :p","FilterExpression":"n > :one"}`, "s2 s3 s4"},
			{"the index", "Query", `{"IndexName":"renew","KeyConditionExpression":"renew_slot = :slot0"}`, "s0 s2 s9"},
			{"the whole table", "Scan", `{}`, "s0 s1 s2 s3 s4 s9"},
			{"the whole index", "Scan", `{"IndexName":"renew"}`, "s0 s2 s9 s1 s3"},
		} {
			if !p.ours && strings.Contains(tc.name, "whole") || !p.ours && tc.name == "the index" {
				continue // their order is each engine's own
			}
			for limit := 1; limit <= 7; limit++ {
				t.Run(fmt.Sprintf("CR-25 %s, %d at a time", tc.name, limit), func(t *testing.T) {
					if got := p.walk(t, tc.operation, tc.body, limit); got != tc.want {
						t.Errorf("ours %t: %q, want %q", p.ours, got, tc.want)
					}
				})
			}
		}
	}
}

// walk reads page after page, and returns all sort keys.
func (p peer) walk(t *testing.T, operation, text string, limit int) string {
	t.Helper()
	body := p.query(t, text)
	body["Limit"] = limit
	var all []string
	for range 20 {
		var got page
		decode(t, p.call(t, operation, body).text, &got)
		if got.ScannedCount > limit {
			t.Fatalf("a page of %d", got.ScannedCount)
		}
		all = append(all, strings.Fields(got.sortKeys())...)
		if got.LastEvaluatedKey == nil {
			return strings.Join(all, " ")
		}
		body["ExclusiveStartKey"] = got.LastEvaluatedKey
	}
	t.Fatal("the pages do not end")
	return ""
}

func TestPageEndsWithAMegabyte(t *testing.T) {
	p := peers(t)[0]
	for i := range 4 {
		p.put(t, fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":"s%d"},"x":{"S":%q}}`, i, strings.Repeat("x", 390<<10)))
	}
	var got page
	decode(t, p.call(t, "Query", p.query(t, `{"KeyConditionExpression":"pk = :p"}`)).text, &got)
	if got.sortKeys() != "s0 s1 s2" || got.LastEvaluatedKey == nil {
		t.Errorf("CR-25: page of %s", got.sortKeys())
	}
}

func TestFullPageHasANextAlthoughItIsTheLast(t *testing.T) {
	p := peers(t)[0]
	fill(t, p)
	var got page
	decode(t, p.call(t, "Query", p.query(t, `{"KeyConditionExpression":"pk = :p","Limit":5}`)).text, &got)
	if got.Count != 5 || got.LastEvaluatedKey == nil {
		t.Errorf("CR-25: %d items, last key %v", got.Count, got.LastEvaluatedKey)
	}
}

func TestCountOnly(t *testing.T) {
	p := peers(t)[0]
	fill(t, p)
	a := p.call(t, "Query", p.query(t, `{"KeyConditionExpression":"pk = :p","FilterExpression":"n > :one","Select":"COUNT"}`))
	if a.text != `{"Count":3,"ScannedCount":5}` {
		t.Errorf("got %s", a.text)
	}
}
