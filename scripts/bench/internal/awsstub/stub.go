// Package awsstub plays DynamoDB and Secrets Manager on loopback, over real
// TLS, for measuring the service: how long it takes against services that
// answer at once, and what it asks of them.
//
// It counts requests and capacity as DynamoDB bills them. It is no engine: it
// applies the updates it is sent and judges no condition, so it serves only
// one caller at a time whose conditions hold. Whatever it does not understand
// it refuses, so that nothing is measured that did not happen.
package awsstub

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is what a Stub needs.
type Config struct {
	// Folder is where the certificate of its authority is written; required.
	Folder string
	// Secrets are the secrets' texts by id.
	Secrets map[string]string
	// Indexed is the text attribute that the table's one index, sparse and of
	// keys only, is by; empty means that there is none.
	Indexed string
}

// Stub is both services under one address. It is safe for concurrent use.
type Stub struct {
	table   *table
	secrets map[string]string
	url     string
	bundle  string
	server  *http.Server
}

// Start returns a Stub that serves already. Close it.
func Start(c Config) (*Stub, error) {
	identity, authority, err := makeIdentity(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	s := &Stub{table: newTable(c.Indexed), secrets: c.Secrets, bundle: filepath.Join(c.Folder, "ca.pem")}
	if err := os.WriteFile(s.bundle, authority, 0o600); err != nil {
		return nil, fmt.Errorf("write the authority's certificate: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the stub: %w", err)
	}
	s.url = "https://" + listener.Addr().String()
	s.server = &http.Server{
		Handler: s, TLSConfig: identity, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // a client that is killed resets its connection
	}
	go func() { _ = s.server.ServeTLS(listener, "", "") }()
	return s, nil
}

// Close ends it and every connection.
func (s *Stub) Close() { _ = s.server.Close() }

// Environment are the SDK's standard variables, NAME=value, that lead to the stub.
func (s *Stub) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url, "AWS_CA_BUNDLE=" + s.bundle, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_SESSION_TOKEN=example",
	}
}

// Take returns what the table was asked since the last call, and forgets it.
func (s *Stub) Take() Traffic { return s.table.take() }

// ServeHTTP answers one request of the AWS JSON protocol.
func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		refuse(w, "SerializationException", "the request broke off")
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var answer any
	switch operation {
	case "GetItem":
		answer, err = s.table.get(body)
	case "UpdateItem":
		answer, err = s.table.update(body)
	case "GetSecretValue":
		answer, err = s.secret(body)
	default:
		err = fmt.Errorf("operation %q is not played", operation)
	}
	if err != nil {
		refuse(w, "ValidationException", err.Error())
		return
	}
	respond(w, http.StatusOK, answer)
}

func (s *Stub) secret(body []byte) (any, error) {
	var asked struct{ SecretId string }
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	text, ok := s.secrets[asked.SecretId]
	if !ok {
		return nil, fmt.Errorf("there is no secret %q", asked.SecretId)
	}
	return map[string]string{
		"ARN":  "arn:aws:secretsmanager:us-east-1:000000000000:secret:" + asked.SecretId + "-AbCdEf",
		"Name": asked.SecretId, "VersionId": "v1", "SecretString": text,
	}, nil
}

func refuse(w http.ResponseWriter, code, message string) {
	respond(w, http.StatusBadRequest, map[string]string{"__type": code, "message": message})
}

func respond(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
