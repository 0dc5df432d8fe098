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
	return attributes{"pk": text("session/" + id), "sk": text(sessionSortKey)}
}

// Sessions keeps the sessions of consents, and cannot reach anything else. It
// reads and updates single items whose partition key begins with "session/".
// It is safe for concurrent use.
type Sessions struct {
	client Client
	table  *string
}

// NewSessions returns the sessions of cfg.Table. It sends nothing, and has no
// use for cfg.Now.
func NewSessions(cfg Config) *Sessions {
	return &Sessions{client: cfg.Client, table: aws.String(cfg.Table)}
}

// Session reads a session consistently. One that does not exist has Version 0;
// one that cannot be understood is tokenstore.ErrCorrupt.
func (s *Sessions) Session(ctx context.Context, id string) (tokenstore.Session, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: s.table, Key: sessionKey(id), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return tokenstore.Session{ID: id}, unavailable(ctx, "read session", err)
	}
	return sessionOf(id, out.Item)
}

func sessionOf(id string, found attributes) (tokenstore.Session, error) {
	if len(found) == 0 {
		return tokenstore.Session{ID: id}, nil
	}
	r := &reader{found: found}
	session := tokenstore.Session{ID: id, Version: r.number(attrVersion, maxCount), Text: r.bytes(attrSessionText)}
	session.SweepAt = time.Unix(r.number(attrTTL, never), 0).UTC()
	r.require([]string{"pk"}, attrVersion, attrSessionText, attrTTL)
	if r.number(attrSchema, maxCount) != schemaVersion {
		r.fault(attrSchema)
	}
	if len(r.bad) > 0 {
		return tokenstore.Session{ID: id}, corrupt(tokenstore.ErrCorrupt, r.bad)
	}
	return session, nil
}

// WriteSession replaces a session of that version, 0 being none yet, and returns
// it as it then stands. tokenstore.ErrSuperseded when the version has moved,
// unless this very write moved it.
func (s *Sessions) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	next := session
	next.Version++
	next.SweepAt = time.Unix(session.SweepAt.Unix(), 0).UTC()
	_, err := s.client.UpdateItem(ctx, s.writing(next))
	var failed *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return next, nil
	case !errors.As(err, &failed):
		return tokenstore.Session{ID: session.ID}, unavailable(ctx, "write session", err)
	}
	stands, err := s.Session(ctx, session.ID)
	switch {
	case errors.Is(err, tokenstore.ErrUnavailable):
		return stands, err
	case stands.Version == next.Version && bytes.Equal(stands.Text, next.Text):
		return next, nil
	}
	return tokenstore.Session{ID: session.ID}, fmt.Errorf("write session: %w", tokenstore.ErrSuperseded)
}

func (s *Sessions) writing(next tokenstore.Session) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: s.table, Key: sessionKey(next.ID),
		UpdateExpression:    aws.String("SET #version = :next, #session = :session, #ttl = :ttl, #schema = :schema"),
		ConditionExpression: aws.String("attribute_not_exists(#version)"),
		ExpressionAttributeValues: attributes{
			":next": number(next.Version), ":session": &types.AttributeValueMemberB{Value: next.Text},
			":ttl": number(next.SweepAt.Unix()), ":schema": number(schemaVersion),
		},
	}
	if next.Version > 1 {
		in.ConditionExpression = aws.String("#version = :read")
		in.ExpressionAttributeValues[":read"] = number(next.Version - 1)
	}
	in.ExpressionAttributeNames = names(*in.UpdateExpression, *in.ConditionExpression)
	return in
}
