package dynamo_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// peerVariable names another engine that speaks the protocol, against which the
// tables of expressions here were written and can be checked again.
const peerVariable = "TOKENVEND_TEST_DYNAMODB"

// peer is an engine under test: ours, or the other.
type peer struct {
	url, table string
	ours       bool
}

// peers are ours and, when it is named, the other.
func peers(t *testing.T) []peer {
	t.Helper()
	all := []peer{{url: start(t).url, table: "tokens", ours: true}}
	if url := os.Getenv(peerVariable); url != "" {
		all = append(all, peer{url: url, table: "loopback-" + rand.Text()})
	} else {
		t.Logf("NOT COMPARED with another engine: set %s to its URL", peerVariable)
	}
	for _, p := range all {
		in := tokensTable()
		in.TableName = &p.table
		if _, err := client(p.url).CreateTable(t.Context(), in); err != nil {
			t.Fatalf("CreateTable at %s: %v", p.url, err)
		}
		p.waitUntilActive(t)
	}
	return all
}

func (p peer) waitUntilActive(t *testing.T) {
	t.Helper()
	for range 1000 {
		if answer := p.call(t, "DescribeTable", map[string]any{"TableName": p.table}); strings.Contains(answer.text, `"TableStatus":"ACTIVE"`) {
			return
		}
	}
	t.Fatal("the table does not become active")
}

// answer is an answer of an engine. code is empty of one that does not refuse.
type answer struct {
	status        int
	code, message string
	text          string
	header        http.Header
}

// call sends a request as it is, without what an SDK would correct.
func (p peer) call(t *testing.T, operation string, body any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, p.url, operation, text)
}

func send(t *testing.T, url, operation string, body []byte) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Date", "20260102T030405Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=any/20260102/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=any")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, text: string(read), header: response.Header}
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if a.status != http.StatusOK && json.Unmarshal(read, &refusal) == nil {
		_, a.code, _ = strings.Cut(refusal.Type, "#")
		a.message = refusal.Message
	}
	return a
}

// specimen is an item with an attribute of each kind, beside its key.
const specimen = `{"pk":{"S":"p"},"sk":{"S":"s"},
	"s":{"S":"abc"},"n":{"N":"5"},"b":{"B":"YWJj"},"t":{"BOOL":true},"z":{"NULL":true},
	"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"bs":{"BS":["YQ==","Yg=="]},
	"l":{"L":[{"N":"1"},{"S":"x"},{"N":"3"}]},"m":{"M":{"a":{"N":"1"},"deep":{"M":{"b":{"S":"y"}}}}},
	"e":{"S":""},"renew_slot":{"S":"slot"}}`

// values are the values that rows name.
var values = map[string]string{
	":zero": `{"N":"0"}`, ":one": `{"N":"1"}`, ":two": `{"N":"2"}`, ":five": `{"N":"5"}`, ":fivezero": `{"N":"5.00"}`, ":nine": `{"N":"9"}`,
	":half": `{"N":"0.5"}`, ":huge": `{"N":"9e125"}`, ":long": `{"N":"12345678901234567890123456789012345678"}`,
	":abc": `{"S":"abc"}`, ":ab": `{"S":"ab"}`, ":a": `{"S":"a"}`, ":x": `{"S":"x"}`, ":empty": `{"S":""}`,
	":bin": `{"B":"YWJj"}`, ":binab": `{"B":"YWI="}`, ":binb": `{"B":"Yg=="}`, ":yes": `{"BOOL":true}`, ":no": `{"BOOL":false}`, ":null": `{"NULL":true}`,
	":ss": `{"SS":["b","a"]}`, ":ssbc": `{"SS":["b","c"]}`, ":ns": `{"NS":["1","2.0"]}`, ":nsone": `{"NS":["1"]}`, ":bsb": `{"BS":["Yg=="]}`,
	":list": `{"L":[{"N":"7"}]}`, ":map": `{"M":{"k":{"S":"v"}}}`, ":nothing": `{"M":{}}`,
	":S": `{"S":"S"}`, ":N": `{"S":"N"}`, ":SS": `{"S":"SS"}`, ":L": `{"S":"L"}`, ":NULL": `{"S":"NULL"}`, ":X": `{"S":"X"}`,
}

var placeholder = regexp.MustCompile(`[:#][A-Za-z0-9_]+`)

// request is a request on the specimen's key with the placeholders that its
// expressions name. #x stands for the attribute x.
func (p peer) request(expressions map[string]string) map[string]any {
	names, given := map[string]string{}, map[string]json.RawMessage{}
	body := map[string]any{"TableName": p.table, "Key": json.RawMessage(`{"pk":{"S":"p"},"sk":{"S":"s"}}`)}
	for member, text := range expressions {
		body[member] = text
		for _, found := range placeholder.FindAllString(text, -1) {
			if value, known := values[found]; known {
				given[found] = json.RawMessage(value)
			} else if found[0] == '#' {
				names[found] = found[1:]
			}
		}
	}
	if len(names) > 0 {
		body["ExpressionAttributeNames"] = names
	}
	if len(given) > 0 {
		body["ExpressionAttributeValues"] = given
	}
	return body
}

// put replaces the specimen; what reads `null` is taken away instead.
func (p peer) put(t *testing.T, item string) {
	t.Helper()
	operation, body := "PutItem", map[string]any{"TableName": p.table, "Item": json.RawMessage(item)}
	if item == "null" {
		operation, body = "DeleteItem", p.request(nil)
	}
	if a := p.call(t, operation, body); a.status != http.StatusOK {
		t.Fatalf("%s: %s", operation, a.text)
	}
}
