package dynamo

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// The states that answers tell.
const (
	creating = "CREATING"
	active   = "ACTIVE"
	deleting = "DELETING"
)

type tableInput struct{ TableName string }

type tableDescription struct {
	createTableInput
	GlobalSecondaryIndexes []indexDescription `json:",omitempty"`
	BillingModeSummary     map[string]string  `json:",omitempty"`
	BillingMode            string             `json:"-"`
	TableArn               string
	TableStatus            string
	CreationDateTime       float64
	ItemCount              int
	TableSizeBytes         int
}

type indexDescription struct {
	indexInput
	IndexStatus string
}

// describe tells of a table. Unlike the service's, its counts are exact.
func (t *table) describe(status string) tableDescription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := tableDescription{
		createTableInput: t.createTableInput,
		TableArn:         "arn:aws:dynamodb:us-east-1:000000000000:table/" + t.TableName,
		TableStatus:      status,
		CreationDateTime: float64(t.createdAt.UnixMilli()) / 1000,
		ItemCount:        len(t.items),
	}
	if t.BillingMode != "" {
		d.BillingModeSummary = map[string]string{"BillingMode": t.BillingMode}
	}
	for _, item := range t.items {
		d.TableSizeBytes += item.Size()
	}
	for _, in := range t.createTableInput.GlobalSecondaryIndexes {
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, indexDescription{in, status})
	}
	return d
}

func (t *table) protected() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.DeletionProtectionEnabled
}

func (e *Engine) createTable(in createTableInput) (any, error) {
	t, err := in.build()
	if err != nil {
		return nil, err
	}
	t.createdAt = e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tables[in.TableName] != nil {
		return nil, &awsjson.Error{Code: "ResourceInUseException", Message: "Table already exists: " + in.TableName}
	}
	e.tables[in.TableName] = t
	return map[string]any{"TableDescription": t.describe(creating)}, nil
}

func (e *Engine) describeTable(in tableInput) (any, error) {
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Table": t.describe(active)}, nil
}

type updateTableInput struct {
	TableName                 string
	DeletionProtectionEnabled *bool
}

func (e *Engine) updateTable(in updateTableInput) (any, error) {
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if in.DeletionProtectionEnabled == nil {
		return nil, awsjson.Invalid("At least one of the parameters that this engine can update is required")
	}
	t.mu.Lock()
	t.DeletionProtectionEnabled = *in.DeletionProtectionEnabled
	t.mu.Unlock()
	return map[string]any{"TableDescription": t.describe(active)}, nil
}

func (e *Engine) deleteTable(in tableInput) (any, error) {
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if t.protected() {
		return nil, awsjson.Invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tables, in.TableName)
	return map[string]any{"TableDescription": t.describe(deleting)}, nil
}

type listTablesInput struct {
	ExclusiveStartTableName string
	Limit                   *int
}

type listTablesOutput struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (e *Engine) listTables(in listTablesInput) (listTablesOutput, error) {
	limit := 100
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > 100 {
		return listTablesOutput{}, awsjson.Invalid("Limit is not from 1 to 100")
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(e.tables)), func(name string) bool { return name <= in.ExclusiveStartTableName })
	out := listTablesOutput{TableNames: append([]string{}, names[:min(limit, len(names))]...)}
	if len(names) > limit {
		out.LastEvaluatedTableName = names[limit-1]
	}
	return out, nil
}

type timeToLive struct {
	AttributeName string
	Enabled       bool
}

type updateTimeToLiveInput struct {
	TableName               string
	TimeToLiveSpecification timeToLive
}

func (e *Engine) updateTimeToLive(in updateTimeToLiveInput) (any, error) {
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	wanted := in.TimeToLiveSpecification
	t.mu.Lock()
	defer t.mu.Unlock()
	if wanted.AttributeName == "" || wanted.Enabled == (t.ttl != "") {
		return nil, awsjson.Invalid("TimeToLive: no attribute is named, or it is already so")
	}
	t.ttl = ""
	if wanted.Enabled {
		t.ttl = wanted.AttributeName
	}
	return map[string]any{"TimeToLiveSpecification": wanted}, nil
}

func (e *Engine) describeTimeToLive(in tableInput) (any, error) {
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	description := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttl != "" {
		description = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}
	}
	return map[string]any{"TimeToLiveDescription": description}, nil
}

// Sweep deletes what has expired at now in every table with a time to live, and
// returns how many items that were. The service does so up to days late; a test
// says when.
func (e *Engine) Sweep(now time.Time) int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	swept := 0
	for _, t := range e.tables {
		swept += t.sweep(now)
	}
	return swept
}

func (t *table) sweep(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	end, _ := attribute.ParseNumber(strconv.FormatInt(now.Unix(), 10))
	swept := 0
	for place, item := range t.items {
		expiry := item[t.ttl]
		if t.ttl != "" && expiry.Kind() == attribute.Numeric && expiry.Number().Compare(end) < 0 {
			t.replace(place, item, nil)
			swept++
		}
	}
	return swept
}
