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

// update builds one conditional UpdateItem. Expressions refer to every attribute
// as #name, so that no name collides with a reserved word.
type update struct {
	key    tokenstore.Key
	verb   string
	set    []string
	remove []string
	add    []string
	drop   []string
	when   []string
	values attributes
	// returns selects what an applied update returns; empty returns nothing.
	returns types.ReturnValue
	// skipRead omits the read of the current item after a failed condition.
	skipRead bool
}

func newUpdate(verb string, key tokenstore.Key) *update {
	return &update{key: key, verb: verb, values: attributes{}}
}

// assign sets an attribute.
func (u *update) assign(name string, value types.AttributeValue) {
	u.compute(name, ":"+name)
	u.values[":"+name] = value
}

// text sets a string attribute, or removes it when s is empty.
func (u *update) text(name, s string) {
	if s == "" {
		u.unset(name)
		return
	}
	u.assign(name, text(s))
}

// texts sets a string set, or removes it when there is none.
func (u *update) texts(name string, set []string) {
	if len(set) == 0 {
		u.unset(name)
		return
	}
	u.assign(name, &types.AttributeValueMemberSS{Value: set})
}

// bytes sets a binary attribute, or removes it when b is empty.
func (u *update) bytes(name string, b []byte) {
	if len(b) == 0 {
		u.unset(name)
		return
	}
	u.assign(name, &types.AttributeValueMemberB{Value: b})
}

// instant sets an instant, or removes it when at is the zero time.
func (u *update) instant(name string, at time.Time) {
	if at.IsZero() {
		u.unset(name)
		return
	}
	u.assign(name, instant(at))
}

// compute sets an attribute to an expression; the caller adds its values.
func (u *update) compute(name, expression string) {
	u.set = append(u.set, "#"+name+" = "+expression)
}

// unset removes attributes.
func (u *update) unset(names ...string) {
	for _, name := range names {
		u.remove = append(u.remove, "#"+name)
	}
}

// require adds a condition. All conditions must hold.
func (u *update) require(condition string) { u.when = append(u.when, "("+condition+")") }

// value adds a value that expressions refer to.
func (u *update) value(name string, v types.AttributeValue) { u.values[name] = v }

// stamp writes the schema of an item that this update may create.
func (u *update) stamp() {
	u.compute(attrSchema, "if_not_exists(#schema, :schema)")
	u.value(":schema", number(schemaVersion))
}

// requireSchema requires an item of this schema, or a missing one. Stamping an
// item without a schema would make a corrupt item look valid.
func (u *update) requireSchema() { u.require("attribute_not_exists(#pk) OR #schema = :schema") }

// expireIfAllowed sets the ttl of an item that may expire.
func (u *update) expireIfAllowed(at types.AttributeValue) {
	if mayExpire(u.key) {
		u.expire(at)
	}
}

// expire sets the ttl, unless it is pinned because the item lists variants.
func (u *update) expire(at types.AttributeValue) {
	u.compute(attrTTL, "if_not_exists(#ttl_pin, :ttl)")
	u.value(":ttl", at)
}

func (u *update) input(table *string) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: table, Key: primaryKey(u.key), ReturnValues: u.returns,
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

// names returns the #name placeholders of the expressions.
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

// apply sends u. If its condition fails, applied is false and found is the
// current item: as returned with the failure or, from an engine that does not
// return it, by a consistent read. With u.skipRead there is no such read.
func (t *Table) apply(ctx context.Context, u *update) (found attributes, applied bool, err error) {
	out, err := t.client.UpdateItem(ctx, u.input(t.name))
	if err == nil {
		return out.Attributes, true, nil
	}
	var failed *types.ConditionalCheckFailedException
	switch {
	case !errors.As(err, &failed):
		return nil, false, unavailable(ctx, u.verb, err)
	case u.skipRead || len(failed.Item) > 0:
		return failed.Item, false, nil
	}
	found, err = t.read(ctx, u.verb, u.key, true)
	return found, false, err
}
