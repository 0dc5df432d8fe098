// Package awsstub serves what the functions call, DynamoDB and Secrets Manager,
// on loopback behind one address and real TLS, for measuring how long they take
// against services that answer at once, and what they ask of them.
//
// The table is the loopback engine's, conditions, index and consumed capacity
// included.
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

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/dynamo"
)

// Table is the name of the one table. It is made as the template makes it.
const Table = "tokens"

const createTable = `{"TableName":"` + Table + `","BillingMode":"PAY_PER_REQUEST",
"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],
"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"S"},{"AttributeName":"renew_slot","AttributeType":"S"}],
"GlobalSecondaryIndexes":[{"IndexName":"renew","KeySchema":[{"AttributeName":"renew_slot","KeyType":"HASH"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}]}`

// Config is what a Stub needs.
type Config struct {
	// Folder is where the certificate of its authority is written; required.
	Folder string
	// Secrets are the secrets' texts by id.
	Secrets map[string]string
}

// Stub is both services. It is safe for concurrent use.
type Stub struct {
	engine  *dynamo.Engine
	secrets *awsjson.Service
	url     string
	bundle  string
	server  *http.Server
}

// Start returns a Stub that serves already, with an empty table. Close it.
func Start(c Config) (*Stub, error) {
	s := &Stub{engine: dynamo.New(dynamo.Config{}), secrets: newSecrets(c.Secrets), bundle: filepath.Join(c.Folder, "ca.pem")}
	if _, err := s.engine.Operations["CreateTable"]([]byte(createTable)); err != nil {
		return nil, fmt.Errorf("create the table: %w", err)
	}
	identity, authority, err := makeIdentity(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
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

// Bundle is the path of the PEM file with the certificate of its authority.
func (s *Stub) Bundle() string { return s.bundle }

// Environment are the SDK's standard variables, NAME=value, that lead to the stub.
func (s *Stub) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url, "AWS_CA_BUNDLE=" + s.bundle, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_SESSION_TOKEN=example",
	}
}

// ServeHTTP passes a request to the service that it is for.
func (s *Stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager.") {
		s.secrets.ServeHTTP(w, r)
		return
	}
	s.engine.ServeHTTP(w, r)
}

// Traffic is what a table was asked.
type Traffic struct {
	// Reads are eventually consistent GetItems, ConsistentReads the others.
	Reads, ConsistentReads int
	// Writes are UpdateItems, WriteUnits what they consumed, the index included.
	Writes     int
	WriteUnits float64
}

// Take returns what the table was asked since the last call, and forgets it.
func (s *Stub) Take() Traffic {
	usage := s.engine.Usage()
	s.engine.ResetUsage()
	read, written := usage["GetItem"], usage["UpdateItem"]
	return Traffic{
		Reads: read.Requests - read.Consistent, ConsistentReads: read.Consistent,
		Writes: written.Requests, WriteUnits: written.WriteUnits,
	}
}

// ItemSize is the size in bytes, as DynamoDB counts it, of the item with that
// primary key. Asking for it is no traffic.
func (s *Stub) ItemSize(pk, sk string) (int, error) {
	request, err := json.Marshal(map[string]any{"TableName": Table, "ConsistentRead": true,
		"Key": map[string]map[string]string{"pk": {"S": pk}, "sk": {"S": sk}}})
	if err != nil {
		return 0, err
	}
	answer, err := s.engine.Operations["GetItem"](request)
	s.engine.ResetUsage()
	if err != nil {
		return 0, fmt.Errorf("read the item: %w", err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return 0, err
	}
	var found struct{ Item attribute.Item }
	if err := json.Unmarshal(text, &found); err != nil {
		return 0, fmt.Errorf("read the item: %w", err)
	}
	if found.Item == nil {
		return 0, fmt.Errorf("there is no item %s, %s", pk, sk)
	}
	return found.Item.Size(), nil
}
