package awssecretsmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// service implements the part of Secrets Manager's JSON protocol that is used here,
// over HTTP, with failures on demand. Its methods are for the operator.
type service struct {
	mu      sync.Mutex
	secrets []*secret // oldest first
	made    int
	calls   []call
	// fail answers a call instead of the service; nil or a zero failure does not.
	fail func(call) failure
	// omit are names that are missing in the response of a batch.
	omit []string
	// batchSize splits the response of a batch into pages; zero is one page.
	batchSize int
	// lax ignores the name filter.
	lax bool
}

// secret is one secret; versions are named v1, v2 … in order of creation.
type secret struct {
	name, arn string
	texts     []string          // text of v1, v2 …
	stages    map[string]string // stage to version
	binary    bool
	deleting  bool
	fault     failure // what reading it answers
}

// failure is an error response.
type failure struct {
	Status  int    `json:"-"`
	Code    string `json:"__type"`
	Message string `json:"Message"`
}

// call is a request as the service got it.
type call struct {
	Action                 string `json:"-"`
	SecretId, VersionStage string
	SecretIdList           []string
	MaxResults             int
	NextToken              string
	IncludePlannedDeletion bool
	Filters                []struct {
		Key    string
		Values []string
	}
}

func newService(t *testing.T) (*service, *secretsmanager.Client) {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, newClient(server.URL)
}

// newClient is an SDK client without retries.
func newClient(endpoint string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &endpoint,
		Region:       "eu-west-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
		Retryer: aws.NopRetryer{},
	})
}

// Put creates a secret below the prefix, or gives it a new version.
func (s *service) Put(_ *testing.T, name, text string) { s.put("tokenvend/"+name, text) }

// Delete removes a secret at once.
func (s *service) Delete(_ *testing.T, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = slices.DeleteFunc(s.secrets, func(x *secret) bool { return x.name == "tokenvend/"+name })
}

// PutBinary gives a secret below the prefix a version that is not text.
func (s *service) PutBinary(_ *testing.T, name string) { s.put("tokenvend/"+name, "").binary = true }

// ScheduleDeletion marks a secret for deletion.
func (s *service) ScheduleDeletion(_ *testing.T, name string) { s.setDeleting(name, true) }

// Restore takes the mark back.
func (s *service) Restore(_ *testing.T, name string) { s.setDeleting(name, false) }

func (s *service) setDeleting(name string, deleting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find("tokenvend/" + name).deleting = deleting
}

func (s *service) put(name, text string) *secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(name)
	if found == nil {
		s.made++
		found = &secret{
			name:   name,
			arn:    fmt.Sprintf("arn:aws:secretsmanager:eu-west-1:111122223333:secret:%s-%06d", name, s.made),
			stages: map[string]string{},
		}
		s.secrets = append(s.secrets, found)
	}
	if current, ok := found.stages["AWSCURRENT"]; ok {
		found.stages["AWSPREVIOUS"] = current
	}
	found.texts, found.binary = append(found.texts, text), false
	found.stages["AWSCURRENT"] = fmt.Sprintf("v%d", len(found.texts))
	return found
}

// find finds by name or ARN; the lock is held.
func (s *service) find(id string) *secret {
	for _, x := range s.secrets {
		if x.name == id || x.arn == id {
			return x
		}
	}
	return nil
}

// count returns how often an action was called.
func (s *service) count(action string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.Action == action {
			n++
		}
	}
	return n
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c := call{Action: action}
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		reply(w, failure{Status: 400, Code: "SerializationException"})
		return
	}
	s.calls = append(s.calls, c)
	if s.fail != nil {
		if f := s.fail(c); f != (failure{}) {
			reply(w, f)
			return
		}
	}
	answer, f := s.answer(c)
	if f != (failure{}) {
		reply(w, f)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func reply(w http.ResponseWriter, f failure) {
	w.Header().Set("X-Amzn-Errortype", f.Code)
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f)
}

func (s *service) answer(c call) (any, failure) {
	switch c.Action {
	case "GetSecretValue":
		return s.value(c.SecretId, c.VersionStage)
	case "DescribeSecret":
		return s.describe(c.SecretId)
	case "ListSecrets":
		return s.list(c)
	case "BatchGetSecretValue":
		return s.batch(c), failure{}
	default:
		return nil, failure{Status: 400, Code: "UnknownOperationException"}
	}
}

func (s *service) value(id, stage string) (map[string]any, failure) {
	x := s.find(id)
	switch {
	case x == nil:
		return nil, failure{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	case x.fault != failure{}:
		return nil, x.fault
	case x.deleting:
		return nil, failure{400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."}
	}
	version, ok := x.stages[stage]
	if !ok {
		return nil, failure{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: " + stage}
	}
	value := map[string]any{"Name": x.name, "ARN": x.arn, "VersionId": version, "VersionStages": []string{stage}}
	if x.binary {
		value["SecretBinary"] = "AAEC"
		return value, failure{}
	}
	var number int
	_, _ = fmt.Sscanf(version, "v%d", &number)
	value["SecretString"] = x.texts[number-1]
	return value, failure{}
}

func (s *service) describe(id string) (any, failure) {
	x := s.find(id)
	if x == nil {
		return nil, failure{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	}
	out := map[string]any{"Name": x.name, "ARN": x.arn, "VersionIdsToStages": x.labels()}
	if x.deleting {
		out["DeletedDate"] = 1767225600
	}
	return out, failure{}
}

func (x *secret) labels() map[string][]string {
	labels := map[string][]string{}
	for stage, version := range x.stages {
		labels[version] = append(labels[version], stage)
	}
	return labels
}

func (s *service) list(c call) (any, failure) {
	matching := slices.DeleteFunc(slices.Clone(s.secrets), func(x *secret) bool {
		return !s.lax && !strings.HasPrefix(x.name, c.Filters[0].Values[0]) || x.deleting && !c.IncludePlannedDeletion
	})
	from := 0
	if c.NextToken != "" {
		if n, err := fmt.Sscanf(c.NextToken, "token-%d", &from); n != 1 || err != nil {
			return nil, failure{400, "InvalidNextTokenException", "The NextToken value is invalid."}
		}
	}
	page := matching[from:min(from+c.MaxResults, len(matching))]
	listed := []map[string]any{}
	for _, x := range page {
		entry := map[string]any{"Name": x.name, "ARN": x.arn, "SecretVersionsToStages": x.labels()}
		if x.deleting {
			entry["DeletedDate"] = 1767225600
		}
		listed = append(listed, entry)
	}
	out := map[string]any{"SecretList": listed}
	if to := from + len(page); to < len(matching) {
		out["NextToken"] = fmt.Sprintf("token-%d", to)
	}
	return out, failure{}
}

func (s *service) batch(c call) any {
	from, to := 0, len(c.SecretIdList)
	if s.batchSize > 0 {
		_, _ = fmt.Sscanf(c.NextToken, "token-%d", &from)
		to = min(from+s.batchSize, to)
	}
	values, failed := []any{}, []any{}
	for _, id := range c.SecretIdList[from:to] {
		x := s.find(id)
		value, f := s.value(id, "AWSCURRENT")
		switch {
		case x != nil && slices.Contains(s.omit, x.name):
		case f != failure{}:
			if f.Code == "AccessDeniedException" { // the documentation allows either
				id = x.name
			}
			failed = append(failed, map[string]any{"SecretId": id, "ErrorCode": f.Code, "Message": f.Message})
		default:
			values = append(values, value)
		}
	}
	out := map[string]any{"SecretValues": values, "Errors": failed}
	if to < len(c.SecretIdList) {
		out["NextToken"] = fmt.Sprintf("token-%d", to)
	}
	return out
}
