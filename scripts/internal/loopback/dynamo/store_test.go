package dynamo_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

// store is the service's own store over a table of the engine.
func store(t *testing.T) *awsdynamodb.Table {
	c := start(t).tokens(t)
	return awsdynamodb.New(awsdynamodb.Config{Client: c, Table: "tokens"})
}

func TestStoreOverTheEngine(t *testing.T) {
	s := store(t)
	storetest.Run(t, func(*testing.T) storetest.Store { return s })
}

func TestStoreOverTheEngineAgainstMemory(t *testing.T) {
	storetest.Compare(t, memory.New(), store(t))
}

func TestSessionsOverTheEngine(t *testing.T) {
	s := awsdynamodb.New(awsdynamodb.Config{Client: start(t).tokens(t), Table: "tokens"})
	storetest.RunSessions(t, func(*testing.T) storetest.Sessions { return s })
}
