package dynamo_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/dynamo"
)

func TestTablesRefused(t *testing.T) {
	const good = `{"TableName":"table","BillingMode":"PAY_PER_REQUEST",
		"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}]}`
	ix := func(text string) string {
		return `{"GlobalSecondaryIndexes":[{"IndexName":"index","KeySchema":[{"AttributeName":"b","KeyType":"HASH"}],"Projection":` + text +
			`}],"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"N"}]}`
	}
	for _, tc := range []struct{ name, changes, want string }{
		{"good", `{}`, ""},
		{"good, with figures", `{"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}`, ""},
		{"good, with an index", ix(`{"ProjectionType":"INCLUDE","NonKeyAttributes":["c"]}`), ""},
		{"no name", `{"TableName":null}`, "TableName must have"},
		{"a short name", `{"TableName":"ab"}`, "TableName must have"},
		{"no key", `{"KeySchema":[]}`, "one or two elements"},
		{"a key that begins with its range", `{"KeySchema":[{"AttributeName":"a","KeyType":"RANGE"}]}`, "not a HASH key type"},
		{"a key of one attribute twice", `{"KeySchema":[{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"a","KeyType":"RANGE"}]}`, "same name"},
		{"an undefined key", `{"KeySchema":[{"AttributeName":"b","KeyType":"HASH"}]}`, "have no definition"},
		{"a definition of no key", `{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"S"}]}`, "does not exactly match"},
		{"a definition twice", `{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"}]}`, "AttributeDefinitions"},
		{"a key of an unordered type", `{"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"BOOL"}]}`, "AttributeDefinitions"},
		{"no figures", `{"BillingMode":null}`, "ProvisionedThroughput goes with"},
		{"figures on demand", `{"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}}`, "ProvisionedThroughput goes with"},
		{"figures of nothing", `{"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":0,"WriteCapacityUnits":1}}`, "at least 1"},
		{"an unknown billing mode", `{"BillingMode":"FREE"}`, "BillingMode is neither"},
		{"no index among the indexes", `{"GlobalSecondaryIndexes":[]}`, "1 to 20 elements"},
		{"an unknown projection", ix(`{"ProjectionType":"SOME"}`), "ProjectionType is not one of"},
		{"an inclusion of nothing", ix(`{"ProjectionType":"INCLUDE"}`), "NonKeyAttributes goes with"},
		{"keys only, and more", ix(`{"ProjectionType":"KEYS_ONLY","NonKeyAttributes":["c"]}`), "NonKeyAttributes goes with"},
		{"a local index", `{"LocalSecondaryIndexes":[]}`, "LocalSecondaryIndexes"},
		{"a stream", `{"StreamSpecification":{"StreamEnabled":true}}`, "StreamSpecification"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body, over object
			decode(t, good, &body)
			decode(t, tc.changes, &over)
			for name, value := range over {
				if body[name] = value; value == nil {
					delete(body, name)
				}
			}
			p := peer{url: start(t).url, ours: true}
			a := p.call(t, "CreateTable", body)
			if tc.want == "" && a.status != http.StatusOK {
				t.Errorf("refused: %s", a.text)
			} else if tc.want != "" {
				p.answered(t, a, "ValidationException|"+tc.want)
			}
		})
	}
}

func TestLifeOfTables(t *testing.T) {
	e := start(t)
	c := e.tokens(t)
	p := peer{url: e.url, table: "tokens", ours: true}
	if _, err := c.CreateTable(t.Context(), tokensTable()); err == nil || !strings.Contains(err.Error(), "ResourceInUseException") {
		t.Errorf("made twice: %v", err)
	}
	for _, name := range []string{"one", "two"} {
		in := tokensTable()
		in.TableName = &name
		if _, err := c.CreateTable(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{Limit: aws.Int32(2)})
	if err != nil || strings.Join(first.TableNames, " ") != "one tokens" || aws.ToString(first.LastEvaluatedTableName) != "tokens" {
		t.Fatalf("first page %v, %v", first, err)
	}
	rest, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{ExclusiveStartTableName: first.LastEvaluatedTableName})
	if err != nil || strings.Join(rest.TableNames, " ") != "two" || rest.LastEvaluatedTableName != nil {
		t.Errorf("second page %v, %v", rest, err)
	}
	p.put(t, specimen)
	described, err := c.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &p.table})
	if err != nil || *described.Table.ItemCount != 1 || !described.Table.CreationDateTime.Equal(now) || len(described.Table.GlobalSecondaryIndexes) != 1 {
		t.Errorf("described %+v, %v", described.Table, err)
	}
	if _, err := c.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &p.table}); err != nil {
		t.Fatal(err)
	}
	p.answered(t, p.call(t, "DescribeTable", object{"TableName": p.table}), "ResourceNotFoundException|")
	p.answered(t, p.call(t, "ListTables", object{"Limit": 101}), "ValidationException|Limit")
}

func TestSweep(t *testing.T) {
	e := start(t)
	e.tokens(t)
	p := peer{url: e.url, table: "tokens", ours: true}
	for i, ttl := range []string{`{"N":"1000"}`, `{"N":"1001"}`, `{"S":"1"}`, `{"N":"999"}`} {
		p.put(t, fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":"s%d"},"ttl":%s,"renew_slot":{"S":"slot"}}`, i, ttl))
	}
	p.put(t, `{"pk":{"S":"p"},"sk":{"S":"s4"}}`)
	if swept := e.Sweep(time.Unix(2000, 0)); swept != 0 {
		t.Errorf("FI-33: %d swept of a table without a time to live", swept)
	}
	on := object{"TableName": p.table, "TimeToLiveSpecification": object{"AttributeName": "ttl", "Enabled": true}}
	if a := p.call(t, "UpdateTimeToLive", on); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	p.answered(t, p.call(t, "UpdateTimeToLive", on), "ValidationException|already")
	if a := p.call(t, "DescribeTimeToLive", object{"TableName": p.table}); !strings.Contains(a.text, `"AttributeName":"ttl"`) {
		t.Errorf("described %s", a.text)
	}
	if swept := e.Sweep(time.Unix(1001, 0)); swept != 2 {
		t.Errorf("FI-33: %d swept, want the two of before that second", swept)
	}
	if got := p.walk(t, "Scan", `{}`, 10); got != "s1 s2 s4" {
		t.Errorf("FI-33: %q are left", got)
	}
}

func TestProtocol(t *testing.T) {
	e := start(t)
	c := e.tokens(t)
	a := send(t, e.url, "ListTables", []byte(`{}`))
	if sum := fmt.Sprint(crc32.ChecksumIEEE([]byte(a.text))); a.header.Get("X-Amz-Crc32") != sum || a.header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("headers %v, want the checksum %s", a.header, sum)
	}
	for _, tc := range []struct{ name, operation, body, code string }{
		{"unknown operation", "TransactWriteItems", `{}`, "UnknownOperationException"},
		{"no JSON", "ListTables", `{`, "SerializationException"},
		{"two objects", "ListTables", `{}{}`, "SerializationException"},
		{"another type", "ListTables", `{"Limit":"1"}`, "SerializationException"},
		{"unknown member", "GetItem", `{"AttributesToGet":["a"]}`, "ValidationException"},
		{"unknown capacity", "GetItem", `{"ReturnConsumedCapacity":"ALL"}`, "ValidationException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := send(t, e.url, tc.operation, []byte(tc.body)); a.code != tc.code && !strings.Contains(a.text, tc.code) || a.status != http.StatusBadRequest {
				t.Errorf("status %d: %s", a.status, a.text)
			}
		})
	}
	if _, err := client(e.url).BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{}); err == nil {
		t.Error("a batch is answered")
	}
	_, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("tokens"), TotalSegments: aws.Int32(2), Segment: aws.Int32(0)})
	if err == nil || !strings.Contains(err.Error(), "Segment") {
		t.Errorf("a parallel scan: %v", err)
	}
	if got := e.Requests()["Scan"]; got != 1 {
		t.Errorf("%d scans counted", got)
	}
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	e := start(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var refusal map[string]string
	if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil || !strings.Contains(refusal["__type"], "MissingAuthenticationToken") {
		t.Errorf("%v, %v", refusal, err)
	}
}

func TestUsage(t *testing.T) {
	item := func(bytes int, rest string) string {
		const names = len("pk") + len("p") + len("sk") + len("s") + len("x")
		return fmt.Sprintf(`{"pk":{"S":"p"},"sk":{"S":"s"},"x":{"S":%q}%s}`, strings.Repeat("x", bytes-names), rest)
	}
	const slot, other = `,"renew_slot":{"S":"slot"}`, `,"renew_slot":{"S":"other"}`
	put := func(text string) object { return object{"Item": raw(text)} }
	get := func(consistent bool) object { return object{"Key": raw(key), "ConsistentRead": consistent} }
	for _, tc := range []struct {
		name, before, operation string
		body                    object
		want                    dynamo.Usage
	}{
		{"CR-29 a read of 4 KB that need not be consistent", item(4096, ""), "GetItem", get(false), dynamo.Usage{ReadUnits: 0.5}},
		{"CR-29 a read of more", item(4097, ""), "GetItem", get(false), dynamo.Usage{ReadUnits: 1}},
		{"CR-29 a consistent one", item(4097, ""), "GetItem", get(true), dynamo.Usage{Consistent: 1, ReadUnits: 2}},
		{"CR-29 a read of nothing", "null", "GetItem", get(false), dynamo.Usage{ReadUnits: 0.5}},
		{"a write of 1 KB", "null", "PutItem", put(item(1024, "")), dynamo.Usage{WriteUnits: 1}},
		{"a write of more", "null", "PutItem", put(item(1025, "")), dynamo.Usage{WriteUnits: 2}},
		{"a write of less over more", item(3000, ""), "PutItem", put(item(100, "")), dynamo.Usage{WriteUnits: 3}},
		{"an entry that comes", item(100, ""), "PutItem", put(item(100, slot)), dynamo.Usage{WriteUnits: 2}},
		{"an entry that goes", item(100, slot), "PutItem", put(item(100, "")), dynamo.Usage{WriteUnits: 2}},
		{"an entry that moves", item(100, slot), "PutItem", put(item(100, other)), dynamo.Usage{WriteUnits: 3}},
		{"an entry that stays although the item changes", item(100, slot), "PutItem", put(item(200, slot)), dynamo.Usage{WriteUnits: 1}},
		{"a deletion", item(2000, slot), "DeleteItem", object{"Key": raw(key)}, dynamo.Usage{WriteUnits: 3}},
		{"a condition that fails", item(2000, slot), "DeleteItem", object{"Key": raw(key), "ConditionExpression": "attribute_not_exists(pk)"}, dynamo.Usage{WriteUnits: 2}},
		{"a query of 4 KB", item(4096, ""), "Query", object{"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": raw(`{":p":{"S":"p"}}`)}, dynamo.Usage{ReadUnits: 0.5}},
		{"a query that reads more than it returns", item(5000, ""), "Query",
			object{"KeyConditionExpression": "pk = :p", "FilterExpression": "x = :p", "ExpressionAttributeValues": raw(`{":p":{"S":"p"}}`)}, dynamo.Usage{ReadUnits: 1}},
		{"a query of the index", item(5000, slot), "Query",
			object{"IndexName": "renew", "KeyConditionExpression": "renew_slot = :p", "ExpressionAttributeValues": raw(`{":p":{"S":"slot"}}`)}, dynamo.Usage{ReadUnits: 0.5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t)
			e.tokens(t)
			p := peer{url: e.url, table: "tokens", ours: true}
			p.put(t, tc.before)
			e.ResetUsage()
			tc.body["TableName"] = p.table
			tc.body["ReturnConsumedCapacity"] = "TOTAL"
			a := p.call(t, tc.operation, tc.body)
			tc.want.Requests = 1
			if got := e.Usage()[tc.operation]; got != tc.want {
				t.Errorf("used %+v, want %+v", got, tc.want)
			}
			said := fmt.Sprintf(`"CapacityUnits":%v`, tc.want.ReadUnits+tc.want.WriteUnits)
			if a.code == "" && !strings.Contains(a.text, said) {
				t.Errorf("the answer does not say %s: %s", said, a.text)
			}
		})
	}
}

func TestCapacityByIndex(t *testing.T) {
	e := start(t)
	e.tokens(t)
	p := peer{url: e.url, table: "tokens", ours: true}
	a := p.call(t, "PutItem", object{"TableName": p.table, "Item": raw(specimen), "ReturnConsumedCapacity": "INDEXES"})
	want := `{"ConsumedCapacity":{"TableName":"tokens","CapacityUnits":2,"Table":{"CapacityUnits":1},"GlobalSecondaryIndexes":{"renew":{"CapacityUnits":1}}}}`
	if a.text != want {
		t.Errorf("got %s", a.text)
	}
}
