package awsdynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	attrSessionText = "session"
	sessionSortKey  = "session"
)

func sessionKey(id string) attributes {
	return attributes{attrPartitionKey: text("session/" + id), attrSortKey: text(sessionSortKey)}
}

// Session reads a consent session consistently. A missing session has Version 0;
// a corrupt one is tokenstore.ErrCorrupt.
func (t *Table) Session(ctx context.Context, id string) (tokenstore.Session, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: t.name, Key: sessionKey(id), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return tokenstore.Session{ID: id}, unavailable(ctx, "read session", err)
	}
	return decodeSession(id, out.Item)
}

func decodeSession(id string, found attributes) (tokenstore.Session, error) {
	if len(found) == 0 {
		return tokenstore.Session{ID: id}, nil
	}
	r := &reader{found: found}
	session := tokenstore.Session{ID: id, Version: r.number(attrVersion, maxCount), Text: r.bytes(attrSessionText)}
	session.DeleteAfter = time.Unix(r.number(attrTTL, noExpiry), 0).UTC()
	r.require([]string{attrPartitionKey}, attrVersion, attrSessionText, attrTTL)
	if r.number(attrSchema, maxCount) != schemaVersion {
		r.fault(attrSchema)
	}
	if len(r.bad) > 0 {
		return tokenstore.Session{ID: id}, corrupt(tokenstore.ErrCorrupt, r.bad)
	}
	return session, nil
}

// WriteSession replaces the session of session.Version, 0 for a new one, and
// returns it with its new version. tokenstore.ErrSuperseded when the version has
// changed, unless this same write changed it and its response was lost.
func (t *Table) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	next := session
	next.Version++
	next.DeleteAfter = time.Unix(session.DeleteAfter.Unix(), 0).UTC()
	_, err := t.client.UpdateItem(ctx, t.writeSession(next))
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return next, nil
	case !errors.As(err, &failed):
		return tokenstore.Session{ID: session.ID}, unavailable(ctx, "write session", err)
	}
	current, err := t.Session(ctx, session.ID)
	switch {
	case errors.Is(err, tokenstore.ErrUnavailable):
		return current, err
	case current.Version == next.Version && bytes.Equal(current.Text, next.Text):
		return next, nil
	}
	return tokenstore.Session{ID: session.ID}, fmt.Errorf("write session: %w", tokenstore.ErrSuperseded)
}

func (t *Table) writeSession(next tokenstore.Session) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: t.name, Key: sessionKey(next.ID),
		UpdateExpression:    aws.String("SET #version = :next, #session = :session, #ttl = :ttl, #schema = :schema"),
		ConditionExpression: aws.String("attribute_not_exists(#version)"),
		ExpressionAttributeValues: attributes{
			":next": number(next.Version), ":session": &types.AttributeValueMemberB{Value: next.Text},
			":ttl": number(next.DeleteAfter.Unix()), ":schema": number(schemaVersion),
		},
	}
	if next.Version > 1 {
		in.ConditionExpression = aws.String("#version = :read")
		in.ExpressionAttributeValues[":read"] = number(next.Version - 1)
	}
	in.ExpressionAttributeNames = names(*in.UpdateExpression, *in.ConditionExpression)
	return in
}
