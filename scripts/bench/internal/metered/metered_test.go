package metered_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
	"github.com/tokenvend/tokenvend/pkg/wheel"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/metered"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
)

var (
	now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	key = tokenstore.Key{Connection: "crm"}
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return metered.New() })
}

// client adds up the capacity that an engine reports.
type client struct {
	*dynamodb.Client
	used metered.Units
}

func (c *client) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.GetItem(ctx, in, o...)
	if err == nil {
		c.used.Read += aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
	}
	return out, err
}

func (c *client) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.BatchGetItem(ctx, in, o...)
	if err == nil {
		for _, table := range out.ConsumedCapacity {
			c.used.Read += aws.ToFloat64(table.CapacityUnits)
		}
	}
	return out, err
}

func (c *client) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.Query(ctx, in, o...)
	if err == nil {
		c.used.Read += aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
	}
	return out, err
}

func (c *client) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := c.Client.UpdateItem(ctx, in, o...)
	if err == nil {
		c.used.Write += aws.ToFloat64(out.ConsumedCapacity.CapacityUnits)
	}
	return out, err
}

// onEngine returns a table on an engine, and the client that adds up.
func onEngine(t *testing.T) (storetest.Store, *client) {
	t.Helper()
	endpoint := enginetest.Endpoint(t)
	c := &client{Client: engine.Client(endpoint)}
	return awsdynamodb.New(awsdynamodb.Config{Client: c, Table: enginetest.Table(t, endpoint)}), c
}

// step is one operation of an ordinary day.
type step struct {
	name string
	do   func(context.Context, storetest.Store) error
}

func commit(version int64, sealed int) step {
	return step{"commit", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Commit(ctx, tokenstore.Commit{
			Key: key, Owner: "owner", Version: version, SecretIncarnation: "0123456789abcdef", Now: now, RenewSlot: "45/7/3",
			Token: tokenstore.SealedToken{
				ID: "9f86d081884c7d65", Sealed: make([]byte, sealed), MintedAt: now, ExpiresAt: now.Add(time.Hour),
				ConfigHash: "hash", SecretVersion: "v1",
			},
		})
		return err
	}}
}

func document(version int64, size int) step {
	return step{"write document", func(ctx context.Context, s storetest.Store) error {
		_, err := s.WriteDocument(ctx, tokenstore.Document{Name: "cursor/1", Version: version, Text: make([]byte, size)})
		return err
	}}
}

func getWithDeclaration(consistent bool) step {
	return step{"get with declaration", func(ctx context.Context, s storetest.Store) error {
		_, _, err := s.GetWithDeclaration(ctx, key, consistent)
		return err
	}}
}

func declare(version int64, size int, deleteAfter time.Time) step {
	return step{"write declaration", func(ctx context.Context, s storetest.Store) error {
		_, err := s.WriteDeclaration(ctx, tokenstore.DeclarationRecord{
			Connection: key.Connection, Version: version, Sealed: make([]byte, size), DeleteAfter: deleteAfter,
		})
		return err
	}}
}

var (
	readDeclarations = step{"read declarations", func(ctx context.Context, s storetest.Store) error {
		_, err := s.ReadDeclarations(ctx, []string{key.Connection, key.Connection + "-x"}, true)
		return err
	}}
	declared = step{"list declarations", func(ctx context.Context, s storetest.Store) error {
		_, _, err := s.DeclaredConnections(ctx, wheel.RecordShard(key.Connection), "")
		return err
	}}
	acquire = step{"acquire", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Acquire(ctx, tokenstore.Acquire{Key: key, Owner: "owner", Now: now, TTL: 19 * time.Second})
		return err
	}}
	get = step{"get", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Get(ctx, key, false)
		return err
	}}
	getConsistently = step{"get consistently", func(ctx context.Context, s storetest.Store) error {
		_, err := s.Get(ctx, key, true)
		return err
	}}
	due = step{"due", func(ctx context.Context, s storetest.Store) error {
		_, _, err := s.Due(ctx, "45/7/3", "")
		return err
	}}
	markUsed = step{"mark used", func(ctx context.Context, s storetest.Store) error { return s.MarkUsed(ctx, key, 1) }}
	reslot   = step{"reslot", func(ctx context.Context, s storetest.Store) error {
		return s.Reslot(ctx, key, "45/7/3", "at/29450000/3")
	}}
	readDocument = step{"read document", func(ctx context.Context, s storetest.Store) error {
		_, err := s.ReadDocument(ctx, "cursor/1")
		return err
	}}
)

// billsIndex reports whether the engine counts the index as DynamoDB does, which
// has a minimum for an empty query. dynalite does not.
func billsIndex(t *testing.T, store storetest.Store, bill *client) bool {
	t.Helper()
	if err := due.do(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if bill.used.Read == 0 {
		t.Log("NOT COMPARED: steps that touch the index, which this engine does not bill; dynoxide does")
		return false
	}
	return true
}

func TestUsageIsWhatAnEngineReports(t *testing.T) {
	store, bill := onEngine(t)
	table := metered.New()
	indexed := billsIndex(t, store, bill)
	for i, s := range []step{
		get, getConsistently, due, acquire, commit(0, 450), get, due, markUsed, acquire, commit(1, 450), get, getConsistently,
		acquire, commit(2, 1500), get, acquire, commit(3, 5000), get, getConsistently, reslot, due,
		readDocument, document(0, 5), document(1, 3000), document(2, 10), readDocument,
		getWithDeclaration(false), declared, declare(0, 700, time.Time{}), getWithDeclaration(false), getWithDeclaration(true), declared,
		declare(1, 1500, now), readDeclarations, declare(2, 4200, time.Time{}), getWithDeclaration(true),
	} {
		before := table.Usage()
		bill.used = metered.Units{}
		if err := s.do(t.Context(), store); err != nil {
			t.Fatalf("step %d, %s on the engine: %v", i, s.name, err)
		}
		if err := s.do(t.Context(), table); err != nil {
			t.Fatalf("step %d, %s: %v", i, s.name, err)
		}
		used := table.Usage().Since(before)
		if !indexed && used.Index != (metered.Units{}) {
			continue
		}
		total := metered.Units{
			Read:  used.Items.Read + used.Declarations.Read + used.Index.Read + used.Documents.Read,
			Write: used.Items.Write + used.Declarations.Write + used.Index.Write + used.Documents.Write,
		}
		if d := cmp.Diff(bill.used, total); d != "" {
			t.Errorf("step %d, %s (-engine +counted):\n%s", i, s.name, d)
		}
	}
}
