// Package awsdynamodb keeps tokens in one DynamoDB table.
//
// Every operation is one GetItem or one conditional UpdateItem on a single
// item; there is no transaction, no Scan and no read before a write. So a vend
// from the table costs one eventually consistent read, and a refresh two
// writes: Acquire and Commit. Only what has gone wrong costs more: a lease
// lost on the way, an item that cannot be understood, a failure remembered
// beside a token that lives on.
//
// # Table
//
// Partition key pk "connection/<connection>"; sort key sk "token",
// "token/<variant>" or "subject/<subject>". Instants are numbers of
// milliseconds since the epoch; ttl alone is in seconds, because DynamoDB wants
// it so. An item carries schema 1. Whatever does not read as schema 1 says,
// down to the type and range of each attribute, is corrupt: a miss to readers,
// mended by the next Acquire. An item that holds a grant, and any of a subject,
// is never mended: it may have the only living refresh token, and stays as it is
// until the grant is dropped. Only its lease is replaced like any other.
//
// A session of a consent is an item of its own under "session/<id>", so that a
// policy on the leading key can confine the public function to sessions.
//
// # Deletion by TTL
//
// ttl is a day past everything that an item is still good for, so that the
// sweeper never takes an item in use. Two kinds of item are kept out of its
// reach. Those that hold a grant, or are a subject's, have no ttl at all: each
// write that sets one requires that there is no grant, and what finds one takes
// the form that sets none. A connection's own item that lists variants has one
// that never comes, since their tokens may live longer than its own and would
// be forgotten with it by a drop.
package awsdynamodb

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Client is what is used of *dynamodb.Client.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Config is what a Store is made of.
type Config struct {
	// Client is required. Its retries are wanted: every operation recognises
	// its own write when the answer to it was lost.
	Client Client
	// Table is the table's name; required.
	Table string
	// Now is the wall clock; nil means time.Now. Only what has no instant of
	// its own among its arguments asks it.
	Now func() time.Time
}

// Store is safe for concurrent use.
type Store struct {
	client Client
	table  *string
	now    func() time.Time
}

// New returns the store over cfg.Table. It sends nothing.
func New(cfg Config) *Store {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{client: cfg.Client, table: aws.String(cfg.Table), now: cfg.Now}
}

// Get reads one item with one GetItem. A missing item is the zero Item with
// its Key set. Errors are tokenstore.ErrUnavailable, tokenstore.ErrCorrupt, which
// the next Acquire mends, and tokenstore.ErrGrantCorrupt, which nothing mends.
func (s *Store) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	found, err := s.read(ctx, "get", key, consistent)
	if err != nil {
		return tokenstore.Item{Key: key}, err
	}
	return understood(key, found)
}

func (s *Store) read(ctx context.Context, verb string, key tokenstore.Key, consistent bool) (attributes, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: s.table, Key: primaryKey(key), ConsistentRead: aws.Bool(consistent),
	})
	if err != nil {
		return nil, unavailable(ctx, verb, err)
	}
	return out.Item, nil
}
