// Package enginetest gives tests the database that package engine finds.
package enginetest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/scripts/internal/engine"
)

// Endpoint is that of a DynamoDB for the length of a test and its subtests.
// Tables need names of their own: the engine may be shared. Where no engine is
// installed, the test is skipped with a message that says how to get one.
func Endpoint(t testing.TB) string {
	t.Helper()
	server, err := engine.Open(t.Context(), engine.Config{Lookup: os.LookupEnv})
	if errors.Is(err, engine.ErrMissing) {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.URL
}

// Table makes a table of tokens in the engine at endpoint for the length of a
// test, and returns its name.
func Table(t testing.TB, endpoint string) string {
	t.Helper()
	client, name := engine.Client(endpoint), "test-"+rand.Text()
	if err := engine.CreateTable(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &name}) // the engine may be gone
	})
	return name
}
