package dynamo

import (
	"maps"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

// The values of ReturnValues.
const (
	returnNone       = "NONE"
	returnAllOld     = "ALL_OLD"
	returnUpdatedOld = "UPDATED_OLD"
	returnAllNew     = "ALL_NEW"
	returnUpdatedNew = "UPDATED_NEW"
)

// writeInput is what every write has.
type writeInput struct {
	TableName                           string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]attribute.Value
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
}

type putItemInput struct {
	writeInput
	Item attribute.Item
}

type updateItemInput struct {
	writeInput
	Key              attribute.Item
	UpdateExpression *string
}

type deleteItemInput struct {
	writeInput
	Key attribute.Item
}

type writeOutput struct {
	Attributes       attribute.Item `json:",omitempty"`
	ConsumedCapacity *capacityJSON  `json:",omitempty"`
}

// writing is one write in the making.
type writing struct {
	operation string
	in        writeInput
	table     *table
	// key is where; next what becomes of the item there, nil for one that is not.
	key  attribute.Item
	next func(before attribute.Item) (attribute.Item, error)
	// paths are what an update writes.
	paths     expression.Projection
	condition expression.Condition
}

func (e *Engine) putItem(in putItemInput) (writeOutput, error) {
	w, scope, err := e.open("PutItem", in.writeInput)
	if err != nil {
		return writeOutput{}, err
	}
	if err := w.checkReturns(returnNone, returnAllOld); err != nil {
		return writeOutput{}, err
	}
	if err := w.table.checkItem(in.Item); err != nil {
		return writeOutput{}, err
	}
	w.key = w.table.keyOf(in.Item)
	w.next = func(attribute.Item) (attribute.Item, error) { return in.Item, nil }
	return e.write(w, scope)
}

func (e *Engine) deleteItem(in deleteItemInput) (writeOutput, error) {
	w, scope, err := e.open("DeleteItem", in.writeInput)
	if err != nil {
		return writeOutput{}, err
	}
	if err := w.checkReturns(returnNone, returnAllOld); err != nil {
		return writeOutput{}, err
	}
	w.key = in.Key
	w.next = func(attribute.Item) (attribute.Item, error) { return nil, nil }
	return e.write(w, scope)
}

func (e *Engine) updateItem(in updateItemInput) (writeOutput, error) {
	w, scope, err := e.open("UpdateItem", in.writeInput)
	if err != nil {
		return writeOutput{}, err
	}
	if err := w.checkReturns(returnNone, returnAllOld, returnUpdatedOld, returnAllNew, returnUpdatedNew); err != nil {
		return writeOutput{}, err
	}
	update := &expression.Update{}
	if in.UpdateExpression != nil {
		if update, err = scope.Update(*in.UpdateExpression); err != nil {
			return writeOutput{}, err
		}
	}
	w.key, w.paths = in.Key, update.Paths()
	w.next = func(before attribute.Item) (attribute.Item, error) {
		if before == nil {
			before = maps.Clone(in.Key)
		}
		return update.Apply(before)
	}
	return e.write(w, scope)
}

// open finds the table and reads what every write has.
func (e *Engine) open(operation string, in writeInput) (*writing, *expression.Scope, error) {
	if err := checkCapacity(in.ReturnConsumedCapacity); err != nil {
		return nil, nil, err
	}
	scope, err := expression.NewScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, nil, err
	}
	w := &writing{operation: operation, in: in}
	if in.ConditionExpression != nil {
		if w.condition, err = scope.Condition("ConditionExpression", *in.ConditionExpression); err != nil {
			return nil, nil, err
		}
	}
	w.table, err = e.table(in.TableName)
	return w, scope, err
}

// checkReturns refuses a ReturnValues that the operation does not have.
func (w *writing) checkReturns(known ...string) error {
	switch w.in.ReturnValuesOnConditionCheckFailure {
	case "", returnNone, returnAllOld:
	default:
		return awsjson.Invalid("ReturnValuesOnConditionCheckFailure is neither ALL_OLD nor NONE")
	}
	if w.in.ReturnValues == "" {
		w.in.ReturnValues = returnNone
	}
	for _, one := range known {
		if w.in.ReturnValues == one {
			return nil
		}
	}
	return awsjson.Invalid("Return values set to invalid value")
}

// write carries a write out, once everything about it is checked that can be
// without the item.
func (e *Engine) write(w *writing, scope *expression.Scope) (writeOutput, error) {
	if err := scope.CheckUsed(); err != nil {
		return writeOutput{}, err
	}
	if err := w.table.checkKey(w.key); err != nil {
		return writeOutput{}, err
	}
	for _, path := range w.paths {
		if _, isKey := w.key[path.Top()]; isKey {
			return writeOutput{}, awsjson.Invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", path.Top())
		}
	}
	return e.carryOut(w)
}

// carryOut judges the condition and writes, in one step.
func (e *Engine) carryOut(w *writing) (writeOutput, error) {
	t := w.table
	t.mu.Lock()
	defer t.mu.Unlock()
	place := t.identity(w.key)
	before := t.items[place]
	if w.condition != nil && !w.condition.Holds(before) {
		e.meter.count(w.operation, Usage{WriteUnits: t.writeCost(before, before).total()})
		return writeOutput{}, w.conditionFailed(before)
	}
	after, err := w.next(before)
	if err == nil && after != nil {
		err = t.checkItem(after)
	}
	if err != nil {
		return writeOutput{}, err
	}
	t.replace(place, before, after)
	cost := t.writeCost(before, after)
	e.meter.count(w.operation, Usage{WriteUnits: cost.total()})
	return writeOutput{
		Attributes:       w.returned(before, after),
		ConsumedCapacity: cost.report(w.in.ReturnConsumedCapacity, w.in.TableName),
	}, nil
}

func (w *writing) conditionFailed(before attribute.Item) error {
	failed := &awsjson.Error{Code: "ConditionalCheckFailedException", Message: "The conditional request failed"}
	if before != nil && w.in.ReturnValuesOnConditionCheckFailure == returnAllOld {
		failed.Members = map[string]any{"Item": before}
	}
	return failed
}

func (w *writing) returned(before, after attribute.Item) attribute.Item {
	switch w.in.ReturnValues {
	case returnAllOld:
		return before
	case returnAllNew:
		return after
	case returnUpdatedOld:
		return w.paths.Of(before)
	case returnUpdatedNew:
		return w.paths.Of(after)
	}
	return nil
}
