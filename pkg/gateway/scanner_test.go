package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// FuzzDecodeEvent compares the scanner with encoding/json: both accept the same
// texts and decode the same event from them (OC-71).
func FuzzDecodeEvent(f *testing.F) {
	f.Add(string(restEvent()))
	f.Add(string(realisticEvent()))
	f.Add(string(restEvent(query("a", "1", "a", "2", "b", ""), post(`{"x":"\u00e9\n"}`))))
	f.Add(string(restEvent(identity("userArn", []any{1, nil, true, -0.5e-7}))))
	for _, text := range []string{
		`{`, `{}`, `null`, ` [1,2] `, `{"a":}`, `{"a":1,}`, `[1 2]`, `{"a" "b"}`, `"\x"`, `"\u12g4"`, `-`, `01`, `1.`, `1e`, `.5`, `+1`, `tru`,
		"\"a\nb\"", `{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"resource":7}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"\u0062ody":"\ud800"}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"body":"` + "\xff" + `"}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"queryStringParameters":{"a":"1"},"multiValueQueryStringParameters":{"a":["2"],"b":7}}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1","identity":{"caller":"a"}},"requestContext":{"stage":"v2"}}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"headers":{"CONTENT-TYPE":"a"}} x`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1","path":"/v1/r","domainName":"d"},"headers":{"cookie":"a=1","Origin":"null","Sec-Fetch-Site":"none"}}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"multiValueHeaders":{"Cookie":["a=1","b=2"]},"headers":{"COOKIE":"b=2","origin":7}}`,
		`{"resource":"r","httpMethod":"GET","requestContext":{"stage":"v1"},"multiValueHeaders":{"Cookie":[]},"headers":{"Cookie":""}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "{")+strings.Count(text, "[") > gateway.MaxDepth {
			return // may nest deeper than the scanner accepts
		}
		got, ok := gateway.DecodeEvent([]byte(text))
		want, wantOK := decodeReference(text)
		if ok != wantOK {
			t.Fatalf("scanner accepts: %v, encoding/json: %v", ok, wantOK)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +scanner):\n%s", diff)
		}
	})
}

// decodeReference decodes an event with encoding/json into maps, in which names are
// case-sensitive and the last of several members counts.
func decodeReference(text string) (gateway.DecodedEvent, bool) {
	var tree any
	if json.Unmarshal([]byte(text), &tree) != nil {
		return gateway.DecodedEvent{}, false
	}
	root, _ := tree.(map[string]any)
	c, _ := root["requestContext"].(map[string]any)
	id, _ := c["identity"].(map[string]any)
	e := gateway.DecodedEvent{
		Resource: textOf(root["resource"]), Path: textOf(root["path"]), Method: textOf(root["httpMethod"]), Body: textOf(root["body"]),
		IsBase64Encoded: root["isBase64Encoded"] == true, RequestID: textOf(c["requestId"]), Stage: textOf(c["stage"]),
		Domain: textOf(c["domainName"]), FullPath: textOf(c["path"]),
		UserARN: textOf(id["userArn"]), Caller: textOf(id["caller"]), AccountID: textOf(id["accountId"]), Source: textOf(id["sourceIp"]),
	}
	if e.Resource == "" || e.Method == "" || e.Stage == "" {
		return gateway.DecodedEvent{}, false
	}
	readHeaders(&e, object(root["headers"]), object(root["multiValueHeaders"]))
	for name, value := range object(root["pathParameters"]) {
		if e.PathParameters == nil {
			e.PathParameters = map[string]string{}
		}
		e.PathParameters[name] = textOf(value)
	}
	add := func(name string, values []string) {
		if e.Query == nil {
			e.Query = map[string][]string{}
		}
		e.Query[name] = values
	}
	for name, value := range object(root["queryStringParameters"]) {
		add(name, []string{textOf(value)})
	}
	for name, value := range object(root["multiValueQueryStringParameters"]) {
		add(name, textsOf(value))
	}
	return e, true
}

func readHeaders(e *gateway.DecodedEvent, single, all map[string]any) {
	for name, value := range single {
		switch strings.ToLower(name) {
		case "content-type":
			e.ContentType = textOf(value)
		case "origin":
			e.Origin = textOf(value)
		case "sec-fetch-site":
			e.FetchSite = textOf(value)
		case "cookie":
			if text := textOf(value); text != "" {
				e.Cookies = []string{text}
			}
		}
	}
	for name, value := range all {
		if values := textsOf(value); strings.ToLower(name) == "cookie" && len(values) > 0 {
			e.Cookies = values
		}
	}
}

func textsOf(value any) (texts []string) {
	list, _ := value.([]any)
	for _, v := range list {
		texts = append(texts, textOf(v))
	}
	return texts
}

func object(value any) map[string]any {
	o, _ := value.(map[string]any)
	return o
}

func textOf(value any) string {
	s, _ := value.(string)
	return s
}
