package awsdynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// documentPartition is the partition key of all documents.
const documentPartition = "renewer"

const attrDocumentText = "note"

func documentKey(name string) attributes {
	return attributes{attrPartitionKey: text(documentPartition), attrSortKey: text(name)}
}

// ReadDocument reads a document consistently. A missing document has Version 0;
// a corrupt one has the stored version and no text.
func (t *Table) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: t.name, Key: documentKey(name), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return tokenstore.Document{}, unavailable(ctx, "read document", err)
	}
	return decodeDocument(name, out.Item), nil
}

func decodeDocument(name string, found attributes) tokenstore.Document {
	r := &reader{found: found}
	d := tokenstore.Document{Name: name, Version: r.number(attrVersion, maxCount)}
	if b, ok := found[attrDocumentText].(*types.AttributeValueMemberB); ok {
		d.Text = b.Value
	}
	return d
}

// WriteDocument replaces the document of d.Version and returns it with its new
// version. tokenstore.ErrSuperseded when the version has changed, unless this
// same write changed it and its response was lost.
func (t *Table) WriteDocument(ctx context.Context, d tokenstore.Document) (tokenstore.Document, error) {
	_, err := t.client.UpdateItem(ctx, t.writeDocument(d))
	written := tokenstore.Document{Name: d.Name, Version: d.Version + 1, Text: d.Text}
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return written, nil
	case !errors.As(err, &failed):
		return tokenstore.Document{}, unavailable(ctx, "write document", err)
	}
	current, err := t.ReadDocument(ctx, d.Name)
	if err != nil {
		return tokenstore.Document{}, err
	}
	if current.Version != written.Version || !bytes.Equal(current.Text, written.Text) {
		return tokenstore.Document{}, fmt.Errorf("write document: %w", tokenstore.ErrSuperseded)
	}
	return written, nil
}

func (t *Table) writeDocument(d tokenstore.Document) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: t.name, Key: documentKey(d.Name),
		UpdateExpression:         aws.String("SET #version = :next, #note = :note"),
		ConditionExpression:      aws.String("attribute_not_exists(#version)"),
		ExpressionAttributeNames: map[string]string{"#version": attrVersion, "#note": attrDocumentText},
		ExpressionAttributeValues: attributes{
			":next": number(d.Version + 1), ":note": &types.AttributeValueMemberB{Value: d.Text},
		},
	}
	if d.Version > 0 {
		in.ConditionExpression = aws.String("#version = :read")
		in.ExpressionAttributeValues[":read"] = number(d.Version)
	}
	return in
}
