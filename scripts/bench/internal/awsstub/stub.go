// Package awsstub serves what a vend reads, items, declaration records and secrets
// of fixed content, on loopback behind real TLS. Functions are timed against a
// service that answers at once; everything else that they ask for is refused.
package awsstub

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/metered"
	"github.com/tokenvend/tokenvend/scripts/internal/certificate"
)

// Table is the name of the one table.
const Table = "tokens"

// Config is what a Stub needs.
type Config struct {
	// Folder is where the certificate of its authority is written; required.
	Folder string
	// Secrets are the texts of secrets by id.
	Secrets map[string]string
	// Items are the table's.
	Items []tokenstore.Item
	// Declarations are the table's too.
	Declarations []tokenstore.DeclarationRecord
}

// Stub is both services. It is safe for concurrent use.
type Stub struct {
	secrets map[string]string
	items   map[string]stored // by partition and sort key
	url     string
	bundle  string
	server  *http.Server

	mu      sync.Mutex
	traffic Traffic
}

type stored = map[string]metered.Attribute

// Start returns a Stub that serves. Close it.
func Start(c Config) (*Stub, error) {
	s := &Stub{secrets: c.Secrets, items: map[string]stored{}, bundle: filepath.Join(c.Folder, "ca.pem")}
	for _, item := range c.Items {
		s.keep(metered.Attributes(item))
	}
	for _, record := range c.Declarations {
		s.keep(metered.DeclarationAttributes(record))
	}
	authority, err := certificate.NewAuthority()
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	identity, err := authority.Issue(nil)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if err := authority.Write(s.bundle); err != nil {
		return nil, fmt.Errorf("write the authority's certificate: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the stub: %w", err)
	}
	s.url = "https://" + listener.Addr().String()
	s.server = &http.Server{
		Handler: s, TLSConfig: &tls.Config{Certificates: []tls.Certificate{identity}}, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // a client that is killed resets its connection
	}
	go func() { _ = s.server.ServeTLS(listener, "", "") }()
	return s, nil
}

func (s *Stub) keep(item stored) { s.items[*item["pk"].S+" "+*item["sk"].S] = item }

// Close ends it and every connection.
func (s *Stub) Close() { _ = s.server.Close() }

// Bundle is the path of the PEM file with the certificate of its authority.
func (s *Stub) Bundle() string { return s.bundle }

// Environment returns the SDK's standard variables, NAME=value, that lead to the stub.
func (s *Stub) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url, "AWS_CA_BUNDLE=" + s.bundle, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_SESSION_TOKEN=example",
	}
}

// Traffic counts what the table was asked.
type Traffic struct {
	// Reads are requests for eventually consistent reads; Others are all other requests.
	Reads, Others int
}

// Take returns what the table was asked since the last call.
func (s *Stub) Take() Traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.traffic
	s.traffic = Traffic{}
	return taken
}

// request has the members of all operations that matter here.
type request struct {
	ConsistentRead bool
	Key            primaryKey
	RequestItems   map[string]struct {
		ConsistentRead bool
		Keys           []primaryKey
	}
	SecretId string
}

type primaryKey map[string]struct{ S string }

// ServeHTTP answers one request.
func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, "SerializationException")
		return
	}
	if service == "secretsmanager" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		s.secret(w, operation, asked)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	s.item(w, operation, asked)
}

func (s *Stub) item(w http.ResponseWriter, operation string, asked request) {
	batch := asked.RequestItems[Table]
	read := operation == "GetItem" && !asked.ConsistentRead || operation == "BatchGetItem" && !batch.ConsistentRead
	s.mu.Lock()
	if read {
		s.traffic.Reads++
	} else {
		s.traffic.Others++
	}
	s.mu.Unlock()
	switch {
	case !read:
		refuse(w, "ValidationException")
	case operation == "GetItem":
		answer(w, map[string]any{"Item": s.found(asked.Key)})
	default:
		found := []stored{}
		for _, key := range batch.Keys {
			if item := s.found(key); item != nil {
				found = append(found, item)
			}
		}
		answer(w, map[string]any{"Responses": map[string]any{Table: found}})
	}
}

func (s *Stub) found(key primaryKey) stored { return s.items[key["pk"].S+" "+key["sk"].S] }

// answer writes text of its own types alone, which always encodes.
func answer(w http.ResponseWriter, members map[string]any) { _ = json.NewEncoder(w).Encode(members) }

func (s *Stub) secret(w http.ResponseWriter, operation string, asked request) {
	text, found := s.secrets[asked.SecretId]
	if operation != "GetSecretValue" || !found {
		refuse(w, "ResourceNotFoundException")
		return
	}
	answer(w, map[string]any{
		"ARN":  "arn:aws:secretsmanager:us-east-1:000000000000:secret:" + asked.SecretId + "-AbCdEf",
		"Name": asked.SecretId, "VersionId": "v1", "SecretString": text,
	})
}

func refuse(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusBadRequest)
	answer(w, map[string]any{"__type": code})
}
