package deployed_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

const (
	region = "us-east-1"
	// account is the emulator's.
	account = "000000000000"
	// bucket holds templates and code.
	bucket = "artifacts"
	// root is the tree.
	root = "../../../.."
)

// administrator has every permission on the emulator.
var administrator = aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}

// emulator is a running ministack.
type emulator struct {
	server *engine.Server
	log    *os.File
	// programs is the folder of ministack and of the Python that runs it.
	programs string
	// client sends every request to the emulator, whatever its host, and without TLS,
	// which the emulator does not have.
	client *http.Client
}

// openEmulator starts ministack, transforms the template and uploads the functions.
func openEmulator(programs, work string) (_ *emulator, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	e := &emulator{programs: programs}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.log, err = os.Create(filepath.Join(root, "build", "deployed.log")); err != nil {
		return nil, err
	}
	port, err := engine.FreePort()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", port)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	e.client = &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{DialContext: dial, DialTLSContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cmd := exec.Command(filepath.Join(programs, "ministack"))
	cmd.Stdout, cmd.Stderr = e.log, e.log
	cmd.Env = append(os.Environ(), "BIND_HOST=127.0.0.1", "GATEWAY_PORT="+port, "AWS_ENDPOINT_URL=http://"+address,
		"AUTH=true", "LAMBDA_EXECUTOR=local", "IOT_MTLS_ENABLED=0", "MINISTACK_REGION="+region, "TMPDIR="+work, "STATE_DIR="+work,
		// The names of APIs are then those of the outputs.
		"MINISTACK_HOST="+region+".amazonaws.com",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_SESSION_TOKEN=")
	if e.server, err = engine.Start(ctx, cmd, "http://"+address, time.Minute); err != nil {
		return nil, err
	}
	return e, e.uploadFunctions(ctx)
}

// transform runs SAM's translator on a template. The translator resolves some
// references to parameters itself.
func (e *emulator) transform(ctx context.Context, template string, parameters map[string]string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(e.programs, "python"), "transform.py", template, string(encode(parameters)), bucket)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("transform the template: %w\n%s", err, problems.Bytes())
	}
	return out, nil
}

// packaged is the folder that scripts/build.sh package made for this machine.
func packaged() string { return filepath.Join(root, "build", "package", architecture()) }

func (e *emulator) uploadFunctions(ctx context.Context) error {
	if _, err := e.do(ctx, "s3", http.MethodPut, "/"+bucket, "", nil); err != nil {
		return err
	}
	for _, function := range functions {
		zip, err := os.ReadFile(filepath.Join(packaged(), function+".zip"))
		if err != nil {
			return err
		}
		if err := e.upload(ctx, function+".zip", zip); err != nil {
			return err
		}
	}
	return nil
}

func (e *emulator) upload(ctx context.Context, key string, content []byte) error {
	_, err := e.do(ctx, "s3", http.MethodPut, "/"+bucket+"/"+key, "application/octet-stream", content)
	return err
}

// close ends the emulator. The functions that it runs end with it.
func (e *emulator) close() {
	if e.server != nil {
		e.server.Close()
	}
	if e.log != nil {
		_ = e.log.Close()
	}
}

// json calls an operation of a service that takes JSON.
func (e *emulator) json(ctx context.Context, service, target string, body document) ([]byte, error) {
	text := encode(body)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.server.URL+"/", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", target)
	return e.perform(request, service, text)
}

// iam calls an action of IAM, which takes forms.
func (e *emulator) iam(ctx context.Context, action string, form url.Values) ([]byte, error) {
	form.Set("Action", action)
	form.Set("Version", "2010-05-08")
	return e.do(ctx, "iam", http.MethodPost, "/", "application/x-www-form-urlencoded; charset=utf-8", []byte(form.Encode()))
}

// do sends a request of the administrator.
func (e *emulator) do(ctx context.Context, service, method, path, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return e.perform(request, service, body)
}

// perform signs a request of the administrator and sends it. A status from 400 is an
// error.
func (e *emulator) perform(request *http.Request, service string, body []byte) ([]byte, error) {
	if err := sign(request, service, administrator, body); err != nil {
		return nil, err
	}
	got, err := e.send(request)
	if err == nil && got.status >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s of %s: status %d: %s", request.Method, request.URL.Path, service, got.status, got.body)
	}
	return got.body, err
}

// sign signs a request with Signature Version 4, at the machine's time: the emulator
// has no other.
func sign(request *http.Request, service string, by aws.Credentials, body []byte) error {
	hash := sha256.Sum256(body)
	sum := hex.EncodeToString(hash[:])
	request.Header.Set("X-Amz-Content-Sha256", sum)
	return v4.NewSigner().SignHTTP(request.Context(), by, request, sum, service, region, time.Now())
}

// document is a JSON object of a template or policy.
type document = map[string]any

// encode panics only for values that no template can hold.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
