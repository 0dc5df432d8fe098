package deployed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// provider is the sandbox of authorization servers, for all stacks.
var provider = sync.OnceValue(func() *sandbox.Sandbox {
	s := sandbox.New(sandbox.Config{LocalRedirects: true})
	s.SetBaseURL(httptest.NewServer(s).URL) // it ends with the process
	return s
})

// usual are the parameters of a stack whose providers are on this machine.
func usual(more ...string) map[string]string {
	parameters := map[string]string{"Architecture": architecture(), "ProviderAllowCidrs": "127.0.0.0/8"}
	for i := 0; i < len(more); i += 2 {
		parameters[more[i]] = more[i+1]
	}
	return parameters
}

// host is the shared stack's. A consent needs it: without a name of its own, a stack
// takes the API's name from the request's context, where the emulator has none.
const host = "tokens.example.com"

func withDomain() map[string]string {
	return usual("DomainName", host, "CertificateArn", "arn:aws:acm:us-east-1:"+account+":certificate/1")
}

// sharedStack has a name of its own and every connection of the sandbox.
var sharedStack = sync.OnceValues(func() (*deployment, error) {
	ctx := context.Background()
	d, err := cloud.deploy(ctx, "tokens", withDomain())
	if err != nil {
		return nil, err
	}
	for name, text := range provider().Connections() {
		if err := d.e.putSecret(ctx, d.SecretPrefix()+name, string(text)); err != nil {
			return nil, err
		}
	}
	return d, nil
})

func shared(t *testing.T) *deployment {
	t.Helper()
	needsEmulator(t)
	d, err := sharedStack()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (e *emulator) secrets() *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: &e.server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return administrator, nil }),
	})
}

// putSecret creates a secret.
func (e *emulator) putSecret(ctx context.Context, name, value string) error {
	_, err := e.secrets().CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	return err
}

// newCaller creates a user with the statements, and an access key.
func (e *emulator) newCaller(t *testing.T, name string, statements ...string) aws.Credentials {
	t.Helper()
	ctx, user := t.Context(), url.Values{"UserName": {name}}
	if _, err := e.iam(ctx, "CreateUser", user); err != nil {
		t.Fatal(err)
	}
	if len(statements) > 0 {
		policy := `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
		if _, err := e.iam(ctx, "PutUserPolicy", url.Values{"UserName": {name}, "PolicyName": {"all"}, "PolicyDocument": {policy}}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := e.iam(ctx, "CreateAccessKey", user)
	if err != nil {
		t.Fatal(err)
	}
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := xml.Unmarshal(text, &key); err != nil || key.ID == "" {
		t.Fatalf("no access key for the user %s: %v", name, err)
	}
	return aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
}

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is the error code of the body; empty when the body is not a problem.
func (a answer) problem() string {
	var p struct{ Error string }
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Error
}

// token is the access token of the body.
func (a answer) token() string {
	var got struct {
		AccessToken string `json:"access_token"`
	}
	_ = json.Unmarshal(a.body, &got) // an empty token then
	return got.AccessToken
}

// request makes a request of the API at its own name.
func (d *deployment) request(ctx context.Context, method, path, body string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, d.URL()+path, strings.NewReader(body))
	if err == nil && body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, err
}

// call calls the API, without a signature when there are no credentials.
func (d *deployment) call(ctx context.Context, by *aws.Credentials, method, path, body string) (answer, error) {
	request, err := d.request(ctx, method, path, body)
	if err == nil && by != nil {
		err = sign(request, "execute-api", *by, []byte(body))
	}
	if err != nil {
		return answer{}, err
	}
	return d.e.send(request)
}

func (d *deployment) signed(ctx context.Context, by aws.Credentials, method, path, body string) (answer, error) {
	return d.call(ctx, &by, method, path, body)
}

func (d *deployment) unsigned(ctx context.Context, method, path, body string) (answer, error) {
	return d.call(ctx, nil, method, path, body)
}

func (e *emulator) send(request *http.Request) (answer, error) {
	response, err := e.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	var body bytes.Buffer
	_, err = io.Copy(&body, response.Body)
	return answer{response.StatusCode, response.Header, body.Bytes()}, errors.Join(err, response.Body.Close())
}

// mustVend returns the token of a connection.
func (d *deployment) mustVend(t *testing.T, connection string) string {
	t.Helper()
	got, err := d.signed(t.Context(), administrator, http.MethodGet, "/connections/"+connection+"/token", "")
	if err != nil || got.status != http.StatusOK || got.token() == "" {
		t.Fatalf("the token of %s: status %d %s, %v", connection, got.status, got.problem(), err)
	}
	return got.token()
}

// only is the statement for a caller of one connection, from the stack's output.
func (d *deployment) only(connection string) string {
	return strings.ReplaceAll(d.CallerStatement(), "NAME", connection)
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.problem()) }

// TestVend_AZ01_deployedStack is a signed request through every part of the stack.
func TestVend_AZ01_deployedStack(t *testing.T) {
	d := shared(t)
	d.mustVend(t, "creative-force")
}
