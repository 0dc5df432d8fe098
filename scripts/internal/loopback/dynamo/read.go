package dynamo

import (
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

type getItemInput struct {
	TableName                string
	Key                      attribute.Item
	ConsistentRead           bool
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
}

type getItemOutput struct {
	// Item is absent when there is none, and empty when nothing of it was wanted.
	Item             *attribute.Item `json:",omitempty"`
	ConsumedCapacity *capacityJSON   `json:",omitempty"`
}

func (e *Engine) getItem(in getItemInput) (getItemOutput, error) {
	if err := checkCapacity(in.ReturnConsumedCapacity); err != nil {
		return getItemOutput{}, err
	}
	scope, err := expression.NewScope(in.ExpressionAttributeNames, nil)
	if err != nil {
		return getItemOutput{}, err
	}
	projection, err := project(scope, in.ProjectionExpression)
	if err != nil {
		return getItemOutput{}, err
	}
	t, err := e.table(in.TableName)
	if err != nil {
		return getItemOutput{}, err
	}
	if err := t.checkKey(in.Key); err != nil {
		return getItemOutput{}, err
	}
	item := t.read(in.Key, e.stale.Load() && !in.ConsistentRead)
	cost := readCost(item.Size(), in.ConsistentRead)
	e.meter.count("GetItem", cost)
	out := getItemOutput{ConsumedCapacity: consumption{table: cost.ReadUnits}.report(in.ReturnConsumedCapacity, in.TableName)}
	if item != nil {
		wanted := projected(projection, item)
		out.Item = &wanted
	}
	return out, nil
}

// project reads the projection of a request that may have none, and checks that
// every placeholder was used.
func project(scope *expression.Scope, text *string) (projection expression.Projection, err error) {
	if text != nil {
		if projection, err = scope.Projection(*text); err != nil {
			return nil, err
		}
	}
	return projection, scope.CheckUsed()
}

// projected is what of an item is wanted; no projection wants all.
func projected(projection expression.Projection, item attribute.Item) attribute.Item {
	if projection == nil {
		return item
	}
	return projection.Of(item)
}

// read returns an item, or nil; a stale one is as it was before its latest
// write.
func (t *table) read(key attribute.Item, stale bool) attribute.Item {
	t.mu.RLock()
	defer t.mu.RUnlock()
	place := t.identity(key)
	if stale {
		return t.before[place]
	}
	return t.items[place]
}
