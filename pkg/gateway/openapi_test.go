package gateway_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
)

// description is openapi.yaml, as JSON values.
type description struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

const descriptionURL = "openapi.json"

func readDescription(t *testing.T) description {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	root := parsed(t, text).(map[string]any)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(descriptionURL, root); err != nil {
		t.Fatal(err)
	}
	return description{root: root, compiler: c}
}

func parsed(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// at returns the object at a JSON Pointer and its own pointer, after the
// references on the way.
func (d description) at(t *testing.T, pointer string) (map[string]any, string) {
	t.Helper()
	value, at := any(d.root), ""
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		value, at = d.follow(t, value, at)
		name, _ := url.PathUnescape(step)
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch parent := value.(type) {
		case map[string]any:
			value = parent[name]
		case []any:
			i, _ := strconv.Atoi(name)
			value = parent[i]
		}
		at += "/" + step
	}
	value, at = d.follow(t, value, at)
	object, _ := value.(map[string]any)
	return object, at
}

func (d description) follow(t *testing.T, value any, at string) (any, string) {
	t.Helper()
	object, _ := value.(map[string]any)
	if ref, ok := object["$ref"].(string); ok && len(object) == 1 {
		found, where := d.at(t, strings.TrimPrefix(ref, "#"))
		if found == nil {
			t.Fatalf("%s does not exist", ref)
		}
		return found, where
	}
	return value, at
}

// schema compiles the schema at a pointer.
func (d description) schema(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	s, err := d.compiler.Compile(descriptionURL + "#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func escaped(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

func operationPointer(resource, method string) string {
	return "/paths/" + escaped(resource) + "/" + strings.ToLower(method)
}

// TestDescription_routes requires the operations to be those of the handlers, and
// thereby of the template: the same methods, and IAM on the same ones (AZ-11).
func TestDescription_routes(t *testing.T) {
	d := readDescription(t)
	var described, served []string
	for _, r := range gateway.Routes() {
		served = append(served, r.Method+" "+r.Resource+" public="+strconv.FormatBool(r.Public))
	}
	ids := map[any]bool{}
	for path, item := range d.root["paths"].(map[string]any) {
		for method, value := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			operation := value.(map[string]any)
			security, own := operation["security"].([]any)
			described = append(described, strings.ToUpper(method)+" "+path+" public="+strconv.FormatBool(own && len(security) == 0))
			if ids[operation["operationId"]] {
				t.Errorf("operationId %s is repeated", operation["operationId"])
			}
			ids[operation["operationId"]] = true
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if diff := gocmp.Diff(served, described); diff != "" {
		t.Errorf("AZ-11 operations (-served +described):\n%s", diff)
	}
}

func TestDescription_errorCodes(t *testing.T) {
	d := readDescription(t)
	object, _ := d.at(t, "/components/schemas/ErrorCode")
	var described []string
	for _, code := range object["enum"].([]any) {
		described = append(described, code.(string))
	}
	slices.Sort(described)
	var codes []string
	for _, code := range gateway.Codes() {
		codes = append(codes, string(code))
	}
	if diff := gocmp.Diff(codes, described); diff != "" {
		t.Errorf("BI-48 error codes (-served +described):\n%s", diff)
	}
}

// golden is a golden response of events/, with its event.
type golden struct {
	resource, method string
	status           int
	headers          map[string]string
	body             json.RawMessage
}

func readGolden(t *testing.T, name string) golden {
	t.Helper()
	var event struct {
		Resource   string `json:"resource"`
		HTTPMethod string `json:"httpMethod"`
	}
	var answer struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       json.RawMessage   `json:"body"`
	}
	for file, value := range map[string]any{name: &event, "golden/" + name: &answer} {
		text, err := os.ReadFile(filepath.Join(eventFolder, file+".json"))
		if err == nil {
			err = json.Unmarshal(text, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return golden{event.Resource, event.HTTPMethod, answer.StatusCode, answer.Headers, answer.Body}
}

// TestDescription_answers validates every golden response of a described
// operation: its status, its headers and its body.
func TestDescription_answers(t *testing.T) {
	d := readDescription(t)
	files, err := filepath.Glob(filepath.Join(eventFolder, "golden", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if strings.HasPrefix(name, "renew-") {
			continue
		}
		g := readGolden(t, name)
		operation, at := d.at(t, operationPointer(g.resource, g.method))
		if operation == nil {
			continue // the gateway refuses it: another method, path or kind of event
		}
		checked++
		t.Run(name, func(t *testing.T) { d.checkAnswer(t, at, g) })
	}
	if checked < 100 {
		t.Errorf("%d responses were checked; events/ has more", checked)
	}
}

func (d description) checkAnswer(t *testing.T, operation string, g golden) {
	t.Helper()
	response, at := d.at(t, operation+"/responses/"+strconv.Itoa(g.status))
	if response == nil {
		response, at = d.at(t, operation+"/responses/default")
		if g.status < http.StatusBadRequest {
			t.Fatalf("status %d is not described", g.status)
		}
	}
	d.checkHeaders(t, at, response, g.headers)
	media, described := g.headers["Content-Type"], map[string]any(nil)
	described, _ = response["content"].(map[string]any)
	if len(described) == 0 && media == "" {
		return
	}
	if described[media] == nil {
		t.Fatalf("Content-Type %q is not described", media)
	}
	if strings.HasPrefix(media, "text/html") {
		return
	}
	if err := d.schema(t, at+"/content/"+escaped(media)+"/schema").Validate(parsed(t, g.body)); err != nil {
		t.Errorf("%s\n%v", g.body, err)
	}
}

func (d description) checkHeaders(t *testing.T, at string, response map[string]any, got map[string]string) {
	t.Helper()
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		header, where := d.at(t, at+"/headers/"+escaped(name))
		value, sent := got[name]
		switch {
		case !sent && header["required"] == true:
			t.Errorf("AZ-13 header %s is missing", name)
		case sent:
			if err := d.schema(t, where+"/schema").Validate(value); err != nil {
				t.Errorf("AZ-13 header %s: %v", name, err)
			}
		}
	}
	for name := range got {
		if headers[name] == nil && name != "Content-Type" {
			t.Errorf("header %s is not described", name)
		}
	}
}

// TestDescription_examples requires each example to be the golden response of the
// event that it is named after.
func TestDescription_examples(t *testing.T) {
	d := readDescription(t)
	responses, _ := d.at(t, "/components/responses")
	examples := 0
	for name := range responses {
		response, _ := d.at(t, "/components/responses/"+name)
		content, _ := response["content"].(map[string]any)
		for _, media := range content {
			named, _ := media.(map[string]any)["examples"].(map[string]any)
			for event, example := range named {
				examples++
				want := parsed(t, readGolden(t, event).body)
				if diff := gocmp.Diff(want, example.(map[string]any)["value"]); diff != "" {
					t.Errorf("example %s (-golden +described):\n%s", event, diff)
				}
			}
		}
	}
	if examples < 10 {
		t.Errorf("%d examples; every response with a body has one", examples)
	}
}

// TestDescription_requests sends requests at and past the described limits to the
// real handlers: what the description forbids is 400 invalid_request, and nothing
// that it allows is.
func TestDescription_requests(t *testing.T) {
	d := readDescription(t)
	long := strings.Repeat("a", 64)
	const token, complete = "/connections/{connection}/token", "/connections/{connection}/authorization/complete"
	const authorization = "/connections/{connection}/authorization"
	for _, c := range []struct {
		schema, method, resource, path, body string
		query                                map[string]string
	}{
		{schema: "ConnectionName", path: "crm"},
		{schema: "ConnectionName", path: "bundle.member"},
		{schema: "ConnectionName", path: long},
		{schema: "ConnectionName", path: long + "." + long},
		{schema: "ConnectionName", path: long + "a"},
		{schema: "ConnectionName", path: "crm."},
		{schema: "ConnectionName", path: "a.b.c"},
		{schema: "ConnectionName", path: "-crm"},
		{schema: "ConnectionName", path: "crm-"},
		{schema: "ConnectionName", path: "Crm"},
		{schema: "ConnectionName", path: "a_b"},
		{schema: "ConnectionName", path: "a"},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "0"}},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "99999999"}},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "100000000"}},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "-1"}},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "1.5"}},
		{schema: "/components/parameters/QueryMinTTL/schema", query: map[string]string{"min_ttl": "9s"}},
		{schema: "Scope", query: map[string]string{"scope": "read write"}},
		{schema: "Scope", query: map[string]string{"scope": "!#[]~"}},
		{schema: "Scope", query: map[string]string{"scope": `a"b`}},
		{schema: "Scope", query: map[string]string{"scope": `a\b`}},
		{schema: "Scope", query: map[string]string{"scope": "a\tb"}},
		{schema: "Scope", query: map[string]string{"scope": "ä"}},
		{schema: "TokenRequest", method: "POST", body: `{}`},
		{schema: "TokenRequest", method: "POST", body: `{"min_ttl":60,"scope":"a b","rejected_token_id":"0123456789abcdef"}`},
		{schema: "TokenRequest", method: "POST", body: `{"min_ttl":"60"}`},
		{schema: "TokenRequest", method: "POST", body: `{"min_ttl":-1}`},
		{schema: "TokenRequest", method: "POST", body: `{"min_ttl":100000000}`},
		{schema: "TokenRequest", method: "POST", body: `{"rejected_token_id":"0123456789ABCDEF"}`},
		{schema: "TokenRequest", method: "POST", body: `{"rejected_token_id":"0123456789abcde"}`},
		{schema: "TokenRequest", method: "POST", body: `{"subject":"x"}`},
		{schema: "TokenRequest", method: "POST", body: `[]`},
		{schema: "Empty", method: "POST", resource: authorization, body: `{}`},
		{schema: "Empty", method: "POST", resource: authorization, body: `{"scope":"a"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"r"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"a b","scope":"x","expires_at":"2026-02-01T00:00:00Z"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":" r"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":""}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"é"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"` + strings.Repeat("r", 32<<10) + `"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"` + strings.Repeat("r", 32<<10+1) + `"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"refresh_token":"r","expires_at":"tomorrow"}`},
		{schema: "Grant", method: "PUT", resource: authorization, body: `{"scope":"x"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"session_id":"s","confirmation_code":"c"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"redirect_url":"https://x.example/?code=a&state=b"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"code":"c","state":"s","session_id":"i"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"code":"c"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"session_id":"s"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"session_id":"s","confirmation_code":""}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"session_id":"s","confirmation_code":"c","code":"x","state":"y"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{"redirect_url":"u","code":"c","state":"s"}`},
		{schema: "Completion", method: "POST", resource: complete, body: `{}`},
	} {
		pointer := c.schema
		if !strings.HasPrefix(pointer, "/") {
			pointer = "/components/schemas/" + pointer
		}
		var value any = c.path
		for _, v := range c.query {
			value = v
		}
		if c.body != "" {
			value = parsed(t, []byte(c.body))
		}
		allowed := d.schema(t, pointer).Validate(value) == nil
		resource := cmp.Or(c.resource, token)
		name := cmp.Or(c.path, "crm")
		request := restevent.Request{Method: cmp.Or(c.method, "GET"), Path: strings.Replace(resource, "{connection}", name, 1), Identity: signer, ReceivedAt: now}
		refused := badRequest(t, resource, request, name, c.query, c.body)
		if allowed == refused {
			t.Errorf("%s of %.80v%.80v%.120s: allowed by the description: %t, refused by the handler: %t", c.schema, c.path, c.query, c.body, allowed, refused)
		}
	}
}

// badRequest reports whether the handler of resource answers 400.
func badRequest(t *testing.T, resource string, r restevent.Request, name string, parameters map[string]string, body string) bool {
	t.Helper()
	changes := []func(map[string]any){set("pathParameters", map[string]any{"connection": name}), set("resource", resource)}
	for k, v := range parameters {
		changes = append(changes, query(k, v))
	}
	if body != "" {
		changes = append(changes, set("body", body), set("headers", map[string]any{"content-type": "application/json"}))
	}
	d := newConnections(t)
	d.publicBaseURL = "https://vend.example.com/v1"
	invoke := d.invoke
	if strings.HasSuffix(resource, "/token") {
		invoke = newVend(t).invoke
	}
	got := invoke(encode(r, changes...))
	var p struct {
		Error string `json:"error"`
	}
	if got.Body != "" {
		if err := json.Unmarshal([]byte(got.Body), &p); err != nil {
			t.Fatal(err)
		}
	}
	return got.StatusCode == http.StatusBadRequest && p.Error == "invalid_request"
}
