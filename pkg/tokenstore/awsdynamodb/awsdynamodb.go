// Package awsdynamodb stores tokens, grants, declaration records, consent sessions
// and the renewer's documents in one DynamoDB table.
//
// Every operation on an item is one GetItem or one conditional UpdateItem; an item
// is read together with its connection's declaration record by one BatchGetItem.
// There is no transaction, no Scan and no read before a write. A vend from the table
// costs one round trip and half a read unit, or one unit where it reads the record;
// a refresh costs two writes, Acquire and Commit. Only exceptions cost more: a lost lease, a corrupt item, or a failure
// recorded next to a token that is still valid.
//
// # Table
//
// [TableDefinition] is the definition of the table. The partition key pk is
// "connection/<connection>"; the sort key sk is "token", "token/<variant>" or
// "subject/<subject>". Instants are numbers of milliseconds since the epoch;
// only ttl is in seconds, as DynamoDB requires.
//
// An item has schema 1. An item that violates the schema in any attribute's type
// or range is corrupt: readers treat it as missing, and the next Acquire repairs
// it. An item that contains a grant, and every item of a subject, is never
// repaired, because it may contain the only valid refresh token. It stays as it
// is until the grant is dropped. Only a corrupt lease is replaced in such an
// item.
//
// A consent session is a separate item with the partition key "session/<id>", so
// that an IAM policy on the leading key can limit the public function to sessions.
// So is a declaration record, with the partition key "declaration/<connection>": it
// is listed neither with the connection's subjects nor with due tokens. In the index
// it has a slot of its own for each shard.
//
// # Deletion by TTL
//
// The ttl of an item is one day after the last instant at which the item is
// useful, so DynamoDB never deletes an item in use. Two kinds of items are never
// deleted:
//
//   - An item that contains a grant, or belongs to a subject, has no ttl. Each
//     write that sets a ttl requires that the item has no grant. If it has one,
//     another form of the write follows, which sets no ttl.
//   - A connection's own item that lists variants has a ttl in the year 9999.
//     The variants' tokens may be valid longer than its own token, and a drop
//     could not find them without the list.
package awsdynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Client is the part of *dynamodb.Client that a Table calls.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Config configures a Table.
type Config struct {
	// Client is required. It should retry: every operation recognizes its own
	// write when the response to it was lost.
	Client Client
	// Table is the table's name; required.
	Table string
}

// Table is the store of everything in one table. It is safe for concurrent use.
//
// It implements the interfaces of several consumers, and an IAM policy needs to
// allow only the calls that a consumer makes: Query on the index for Due and
// DeclaredConnections, Query on the table for Subjects, BatchGetItem for
// GetWithDeclaration and ReadDeclarations, BatchGetItem and UpdateItem for
// WriteDeclaration, GetItem and UpdateItem on session items for Session and
// WriteSession, and GetItem and UpdateItem for the other methods.
type Table struct {
	client Client
	name   *string
}

// New returns the Table named cfg.Table. It sends no request.
func New(cfg Config) *Table {
	return &Table{client: cfg.Client, name: aws.String(cfg.Table)}
}

// Get reads one item with one GetItem. A missing item is the zero Item with its
// Key set. Errors are tokenstore.ErrUnavailable; tokenstore.ErrCorrupt, which the
// next Acquire repairs; and tokenstore.ErrGrantCorrupt, which nothing repairs.
func (t *Table) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	found, err := t.read(ctx, "get", key, consistent)
	if err != nil {
		return tokenstore.Item{Key: key}, err
	}
	return decodeValid(key, found)
}

func (t *Table) read(ctx context.Context, verb string, key tokenstore.Key, consistent bool) (attributes, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: t.name, Key: primaryKey(key), ConsistentRead: aws.Bool(consistent),
	})
	if err != nil {
		return nil, unavailable(ctx, verb, err)
	}
	return out.Item, nil
}
