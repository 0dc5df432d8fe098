package localproc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Caller calls the API of a local service.
type Caller struct {
	// URL is the API's, with its stage.
	URL string
	// Key is both access key id and secret: local or local2.
	Key string
	// Now is the clock that signs; nil means time.Now.
	Now func() time.Time
}

// Answer is the API's.
type Answer struct {
	Status int
	// Body is its JSON object; nil when it is not one.
	Body map[string]any
}

// Text is a string member of the body; empty for none.
func (a Answer) Text(member string) string {
	text, _ := a.Body[member].(string)
	return text
}

// String has status and error, and nothing that could be a token.
func (a Answer) String() string {
	return fmt.Sprintf("%d %s %s", a.Status, a.Text("error"), a.Text("detail"))
}

// Ask sends a signed request; a body that is not nil goes as JSON. An answer of
// any status is no error.
func (c Caller) Ask(ctx context.Context, method, path string, body any) (Answer, error) {
	var text string
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
		}
		text = string(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, strings.NewReader(text))
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if err := c.sign(request, text); err != nil {
		return Answer{}, fmt.Errorf("sign %s %s: %w", method, path, err)
	}
	return send(request)
}

func (c Caller) sign(request *http.Request, body string) error {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	hash := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: c.Key, SecretAccessKey: c.Key}
	return v4.NewSigner().SignHTTP(request.Context(), key, request, hex.EncodeToString(hash[:]), "execute-api", "us-east-1", now())
}

func send(request *http.Request) (Answer, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	a := Answer{Status: response.StatusCode}
	_ = json.Unmarshal(text, &a.Body) // other text has no members
	return a, nil
}

// Control calls one of the sandbox's controls.
func (r *Run) Control(ctx context.Context, method, control string, body any) (Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return Answer{}, fmt.Errorf("control %s: %w", control, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.Sandbox+"/control/"+control, strings.NewReader(string(text)))
	if err != nil {
		return Answer{}, fmt.Errorf("control %s: %w", control, err)
	}
	return send(request)
}

// Caller is one of the run's two callers, local or local2.
func (r *Run) Caller(key string) Caller { return Caller{URL: r.URL, Key: key} }
