// Package dynamo is a DynamoDB of one process: tables in memory behind the
// service's own protocol, for tests and benchmarks on a machine with Go alone.
//
// It does what a store of single items needs and does it as the service does:
// conditional writes that are atomic per item, secondary indexes, consumed
// capacity. What it does not model (transactions, batches, streams, local
// indexes, the parameters from before expressions) it refuses; it never ignores
// a member. Tables are active at once, indexes are never behind, and nothing is
// throttled: what goes wrong in the cloud is package fault's business.
package dynamo

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// Config is what an Engine is made of.
type Config struct {
	// Now is the wall clock; nil means time.Now. Only the creation times of
	// tables ask it.
	Now func() time.Time
}

// Engine is an http.Handler and safe for concurrent use.
type Engine struct {
	*awsjson.Service
	now   func() time.Time
	stale atomic.Bool
	meter meter

	mu     sync.RWMutex
	tables map[string]*table
}

// New returns an engine without tables.
func New(c Config) *Engine {
	if c.Now == nil {
		c.Now = time.Now
	}
	e := &Engine{now: c.Now, tables: map[string]*table{}, meter: meter{usage: map[string]Usage{}}}
	e.Service = awsjson.New(awsjson.Config{
		Target:      "DynamoDB_20120810",
		Version:     "1.0",
		ErrorPrefix: "com.amazonaws.dynamodb.v20120810#",
		MessageName: "message",
		Checksum:    true,
		Operations: map[string]awsjson.Operation{
			"CreateTable":        awsjson.Operate(e.createTable),
			"DescribeTable":      awsjson.Operate(e.describeTable),
			"UpdateTable":        awsjson.Operate(e.updateTable),
			"DeleteTable":        awsjson.Operate(e.deleteTable),
			"ListTables":         awsjson.Operate(e.listTables),
			"UpdateTimeToLive":   awsjson.Operate(e.updateTimeToLive),
			"DescribeTimeToLive": awsjson.Operate(e.describeTimeToLive),
			"GetItem":            awsjson.Operate(e.getItem),
			"PutItem":            awsjson.Operate(e.putItem),
			"UpdateItem":         awsjson.Operate(e.updateItem),
			"DeleteItem":         awsjson.Operate(e.deleteItem),
			"Query":              awsjson.Operate(e.query),
			"Scan":               awsjson.Operate(e.scan),
		},
	})
	return e
}

// ServeStale makes every GetItem that is not consistent return the item as it
// was before its latest write: the worst that an eventually consistent read may
// do. Queries are not affected.
func (e *Engine) ServeStale(on bool) { e.stale.Store(on) }

// Usage tells what each operation has consumed since the engine was made or
// last reset. Refused requests consume nothing, failed conditions do.
func (e *Engine) Usage() map[string]Usage {
	e.meter.mu.Lock()
	defer e.meter.mu.Unlock()
	return maps.Clone(e.meter.usage)
}

// ResetUsage sets every count of Usage to zero.
func (e *Engine) ResetUsage() {
	e.meter.mu.Lock()
	defer e.meter.mu.Unlock()
	clear(e.meter.usage)
}

// table finds a table.
func (e *Engine) table(name string) (*table, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	found := e.tables[name]
	switch {
	case name == "":
		return nil, awsjson.Invalid("TableName is required")
	case found == nil:
		return nil, &awsjson.Error{Code: "ResourceNotFoundException", Message: "Requested resource not found"}
	}
	return found, nil
}
