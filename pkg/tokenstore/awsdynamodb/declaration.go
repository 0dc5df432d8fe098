package awsdynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

const (
	attrDeclaration      = "record"
	declarationPartition = "declaration/"
	declarationSortKey   = "declaration"
)

func declarationKey(connection string) attributes {
	return attributes{attrPartitionKey: text(declarationPartition + connection), attrSortKey: text(declarationSortKey)}
}

// GetWithDeclaration reads an item and the declaration record of its connection with
// one BatchGetItem. Eventually consistent it costs two half read units, one for each
// that is at most 4 KB, also for a missing one; consistent, two units. The two are
// not of one instant.
//
// Errors are those of Get. With tokenstore.ErrCorrupt and tokenstore.ErrGrantCorrupt
// the record is returned. Keys that the table left unprocessed are requested once
// more, then they are tokenstore.ErrThrottled.
func (t *Table) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	found, err := t.batch(ctx, "get with declaration", []attributes{primaryKey(key), declarationKey(key.Connection)}, consistent)
	if err != nil {
		return tokenstore.Item{Key: key}, tokenstore.DeclarationRecord{Connection: key.Connection}, err
	}
	item, err := decodeValid(key, found[keyText(primaryKey(key))])
	return item, decodeDeclaration(key.Connection, found[keyText(declarationKey(key.Connection))]), err
}

// ReadDeclarations reads the records of connections, in their order, with one
// BatchGetItem for each 100. It costs what GetWithDeclaration costs for a record. A
// missing record has Version 0.
func (t *Table) ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error) {
	records := make([]tokenstore.DeclarationRecord, 0, len(connections))
	for page := range slices.Chunk(connections, batchLimit) {
		var keys []attributes
		for i, connection := range page {
			if !slices.Contains(page[:i], connection) { // the table refuses a repeated key
				keys = append(keys, declarationKey(connection))
			}
		}
		found, err := t.batch(ctx, "read declarations", keys, consistent)
		if err != nil {
			return nil, err
		}
		for _, connection := range page {
			records = append(records, decodeDeclaration(connection, found[keyText(declarationKey(connection))]))
		}
	}
	return records, nil
}

// decodeDeclaration decodes a record. A corrupt one has no Sealed, and the Version
// that a write must name to replace it: the stored number, rounded down, or 0 where
// that is no number or out of range.
func decodeDeclaration(connection string, found attributes) tokenstore.DeclarationRecord {
	d := tokenstore.DeclarationRecord{Connection: connection}
	if len(found) == 0 {
		return d
	}
	r := &reader{found: found}
	whole := tokenstore.DeclarationRecord{Connection: connection, Version: r.number(attrVersion, maxCount), Sealed: r.bytes(attrDeclaration)}
	if found[attrTTL] != nil {
		whole.DeleteAfter = time.Unix(r.number(attrTTL, noExpiry), 0).UTC()
	}
	r.require([]string{attrPartitionKey}, attrVersion, attrDeclaration)
	if r.number(attrSchema, maxCount) != schemaVersion {
		r.fault(attrSchema)
	}
	if len(r.bad) == 0 && whole.Version > 0 {
		return whole
	}
	if n, ok := found[attrVersion].(*types.AttributeValueMemberN); ok {
		floor, _, _ := strings.Cut(n.Value, ".")
		if v, err := strconv.ParseInt(floor, 10, 64); err == nil && v > 0 && v <= maxCount {
			d.Version = v
		}
	}
	return d
}

// WriteDeclaration replaces the record of d.Version, 0 for a missing one, and
// returns it with its new version. tokenstore.ErrSuperseded, with the current record,
// when the version has changed, unless this same write changed it and its response
// was lost.
func (t *Table) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	_, err := t.client.UpdateItem(ctx, t.writeDeclaration(d))
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return d.Next(), nil
	case !errors.As(err, &failed):
		return tokenstore.DeclarationRecord{Connection: d.Connection}, unavailable(ctx, "write declaration", err)
	}
	current := decodeDeclaration(d.Connection, failed.Item)
	if len(failed.Item) == 0 { // an engine that does not return it, or a record that was deleted
		read, err := t.ReadDeclarations(ctx, []string{d.Connection}, true)
		if err != nil {
			return current, err
		}
		current = read[0]
	}
	if !d.AlreadyApplied(current) {
		return current, fmt.Errorf("write declaration: %w", tokenstore.ErrSuperseded)
	}
	return current, nil
}

// writeDeclaration also writes the slot that lists the record. It does not change, so
// only the first write of a record costs a write of the index.
func (t *Table) writeDeclaration(d tokenstore.DeclarationRecord) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: t.name, Key: declarationKey(d.Connection),
		UpdateExpression:    aws.String("SET #version = :next, #record = :record, #schema = :schema, #renew_slot = :slot REMOVE #ttl"),
		ConditionExpression: aws.String("#version >= :read AND #version < :next"),
		ExpressionAttributeValues: attributes{
			":next": number(d.Version + 1), ":record": &types.AttributeValueMemberB{Value: d.Sealed}, ":schema": number(schemaVersion),
			":slot": text(wheel.RecordSlot(wheel.RecordShard(d.Connection))),
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	values := in.ExpressionAttributeValues
	if d.Version > 0 {
		values[":read"] = number(d.Version)
	} else {
		in.ConditionExpression = aws.String("attribute_not_exists(#version) OR NOT attribute_type(#version, :number) OR #version < :next OR #version > :most")
		values[":number"], values[":most"] = text("N"), number(maxCount)
	}
	if !d.DeleteAfter.IsZero() {
		in.UpdateExpression = aws.String("SET #version = :next, #record = :record, #schema = :schema, #renew_slot = :slot, #ttl = :ttl")
		values[":ttl"] = number(d.DeleteAfter.Unix())
	}
	in.ExpressionAttributeNames = names(*in.UpdateExpression, *in.ConditionExpression)
	return in
}

// DeclaredConnections returns one page of the connections of a shard that have a
// record, in no order, and the cursor of the next page, empty at the end. The index
// contains keys only, because any other projection would be written with every
// renewal, so the records are to be read with ReadDeclarations. It is eventually
// consistent.
func (t *Table) DeclaredConnections(ctx context.Context, shard int, next string) ([]string, string, error) {
	found, more, err := t.queryIndex(ctx, "list declarations", wheel.RecordSlot(shard), next)
	if err != nil {
		return nil, "", err
	}
	connections := make([]string, 0, len(found))
	for _, key := range found {
		if connection, ok := strings.CutPrefix(textOf(key[attrPartitionKey]), declarationPartition); ok {
			connections = append(connections, connection)
		}
	}
	return connections, more, nil
}
