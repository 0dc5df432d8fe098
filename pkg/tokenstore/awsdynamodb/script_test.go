package awsdynamodb_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
)

// answer is one scripted response of the endpoint.
type answer struct {
	status int
	body   string
}

// script is an endpoint that returns its answers in order, repeats the last one,
// and records the requests. It does not evaluate them.
type script struct {
	mu       sync.Mutex
	answers  []answer
	requests []request
}

// request is one request: the name of the operation and its JSON members.
type request struct {
	operation string
	members   map[string]any
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	text, _ := io.ReadAll(r.Body)
	got := request{operation: operation}
	_ = json.Unmarshal(text, &got.members)
	s.requests = append(s.requests, got)
	next := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

// operations returns the names of the requests so far.
func (s *script) operations() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.requests {
		all = append(all, r.operation)
	}
	return strings.Join(all, " ")
}

func scripted(t *testing.T, answers ...answer) (*awsdynamodb.Table, *script) {
	t.Helper()
	s := &script{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return awsdynamodb.New(awsdynamodb.Config{Client: newClient(server.URL, nil), Table: "tokens"}), s
}

// wire encodes attributes as the protocol does.
func wire(t *testing.T, item attributes) any {
	t.Helper()
	out := make(map[string]any, len(item))
	for name, v := range item {
		out[name] = wireValue(t, v)
	}
	return out
}

func wireValue(t *testing.T, v types.AttributeValue) any {
	t.Helper()
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": v.Value}
	case *types.AttributeValueMemberL:
		all := make([]any, len(v.Value))
		for i, inner := range v.Value {
			all[i] = wireValue(t, inner)
		}
		return map[string]any{"L": all}
	}
	t.Fatalf("no wire form of %T", v)
	return nil
}

// found returns an answer with attributes in the named member.
func found(t *testing.T, member string, item attributes) answer {
	return framed(t, 200, map[string]any{member: wire(t, item)})
}

// conditionFailed returns the answer to a write whose condition failed. A nil item
// is the answer of an engine that does not return the item.
func conditionFailed(t *testing.T, item attributes) answer {
	members := map[string]any{
		"__type":  "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
		"message": "The conditional request failed",
	}
	if item != nil {
		members["Item"] = wire(t, item)
	}
	return framed(t, 400, members)
}

func framed(t *testing.T, status int, members map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: status, body: string(body)}
}

// parseValue decodes the wire form of a value.
func parseValue(t *testing.T, value any) types.AttributeValue {
	t.Helper()
	members, _ := value.(map[string]any)
	switch {
	case members["S"] != nil:
		return str(members["S"].(string))
	case members["N"] != nil:
		return num(members["N"].(string))
	case members["B"] != nil:
		raw, err := base64.StdEncoding.DecodeString(members["B"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return bin(string(raw))
	case members["L"] != nil:
		var all []types.AttributeValue
		for _, element := range members["L"].([]any) {
			all = append(all, parseValue(t, element))
		}
		return list(all...)
	case members["BOOL"] != nil:
		return &types.AttributeValueMemberBOOL{Value: members["BOOL"].(bool)}
	}
	t.Fatalf("a write sets %v", value)
	return nil
}
