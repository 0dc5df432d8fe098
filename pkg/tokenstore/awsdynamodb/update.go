package awsdynamodb

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// update is one conditional UpdateItem in the making. Expressions name every
// attribute as #name, so that none can collide with a reserved word.
type update struct {
	key    tokenstore.Key
	verb   string
	set    []string
	remove []string
	add    []string
	drop   []string
	when   []string
	values attributes
	// answer is what comes back of an update that was applied; empty is nothing.
	answer types.ReturnValue
	// blind says that a failed condition is worth no read of how the item stands.
	blind bool
}

func newUpdate(verb string, key tokenstore.Key) *update {
	return &update{key: key, verb: verb, values: attributes{}}
}

// assign sets an attribute.
func (u *update) assign(name string, value types.AttributeValue) {
	u.compute(name, ":"+name)
	u.values[":"+name] = value
}

// text sets a text attribute, or removes it when s is empty.
func (u *update) text(name, s string) {
	if s == "" {
		u.forget(name)
		return
	}
	u.assign(name, text(s))
}

// bytes sets a binary attribute, or removes it when b is empty.
func (u *update) bytes(name string, b []byte) {
	if len(b) == 0 {
		u.forget(name)
		return
	}
	u.assign(name, &types.AttributeValueMemberB{Value: b})
}

// instant sets an instant, or removes it when at is zero.
func (u *update) instant(name string, at time.Time) {
	if at.IsZero() {
		u.forget(name)
		return
	}
	u.assign(name, instant(at))
}

// compute sets an attribute to an expression, whose values the caller adds.
func (u *update) compute(name, expression string) {
	u.set = append(u.set, "#"+name+" = "+expression)
}

func (u *update) forget(names ...string) {
	for _, name := range names {
		u.remove = append(u.remove, "#"+name)
	}
}

// require adds a condition; all must hold.
func (u *update) require(condition string) { u.when = append(u.when, "("+condition+")") }

// value adds a value that expressions name.
func (u *update) value(name string, v types.AttributeValue) { u.values[name] = v }

// stamp marks an item that the update may be creating as one of this schema.
func (u *update) stamp() {
	u.compute(attrSchema, "if_not_exists(#schema, :schema)")
	u.value(":schema", number(schemaVersion))
}

// requireSchema admits an item of this schema, or a missing one: stamping any
// other would make it look sound.
func (u *update) requireSchema() { u.require("attribute_not_exists(#pk) OR #schema = :schema") }

// sweep sets the ttl, where one may stand.
func (u *update) sweep(at types.AttributeValue) {
	if swept(u.key) {
		u.expire(at)
	}
}

// expire sets the ttl, or keeps it where it is pinned.
func (u *update) expire(at types.AttributeValue) {
	u.compute(attrTTL, "if_not_exists(#ttl_pin, :ttl)")
	u.value(":ttl", at)
}

func (u *update) input(table *string) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: table, Key: primaryKey(u.key), ReturnValues: u.answer,
		UpdateExpression: aws.String(u.clauses()),
	}
	if len(u.when) > 0 {
		in.ConditionExpression = aws.String(strings.Join(u.when, " AND "))
		in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	in.ExpressionAttributeNames = names(*in.UpdateExpression, aws.ToString(in.ConditionExpression))
	if len(u.values) > 0 {
		in.ExpressionAttributeValues = u.values
	}
	return in
}

func (u *update) clauses() string {
	var b strings.Builder
	for _, clause := range []struct {
		keyword string
		parts   []string
	}{{"SET ", u.set}, {" REMOVE ", u.remove}, {" ADD ", u.add}, {" DELETE ", u.drop}} {
		if len(clause.parts) > 0 {
			b.WriteString(clause.keyword)
			b.WriteString(strings.Join(clause.parts, ", "))
		}
	}
	return strings.TrimSpace(b.String())
}

// names collects the #name placeholders of the expressions.
func names(expressions ...string) map[string]string {
	found := make(map[string]string)
	for _, expression := range expressions {
		for {
			_, rest, ok := strings.Cut(expression, "#")
			if !ok {
				break
			}
			end := strings.IndexFunc(rest, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') })
			if end < 0 {
				end = len(rest)
			}
			found["#"+rest[:end]] = rest[:end]
			expression = rest[end:]
		}
	}
	return found
}

// apply sends u. When its condition fails, applied is false and the attributes
// are the item as it stands: the engine's word, or, unless u is blind, a
// consistent read where the engine does not say.
func (s *Store) apply(ctx context.Context, u *update) (found attributes, applied bool, err error) {
	out, err := s.client.UpdateItem(ctx, u.input(s.table))
	if err == nil {
		return out.Attributes, true, nil
	}
	var failed *types.ConditionalCheckFailedException
	switch {
	case !errors.As(err, &failed):
		return nil, false, unavailable(ctx, u.verb, err)
	case u.blind || len(failed.Item) > 0:
		return failed.Item, false, nil
	}
	found, err = s.read(ctx, u.verb, u.key, true)
	return found, false, err
}
