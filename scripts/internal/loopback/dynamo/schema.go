package dynamo

import (
	"regexp"
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

// maxIndexes is how many secondary indexes a table has by default.
const maxIndexes = 20

type createTableInput struct {
	TableName              string
	AttributeDefinitions   []attributeDefinition
	KeySchema              []keyElement
	BillingMode            string `json:",omitempty"`
	ProvisionedThroughput  *throughput
	GlobalSecondaryIndexes []indexInput `json:",omitempty"`
	// DeletionProtectionEnabled is all that UpdateTable changes here.
	DeletionProtectionEnabled bool
}

type attributeDefinition struct {
	AttributeName string
	AttributeType attribute.Kind
}

type keyElement struct{ AttributeName, KeyType string }

type throughput struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

type indexInput struct {
	IndexName             string
	KeySchema             []keyElement
	Projection            projectionInput
	ProvisionedThroughput *throughput
}

type projectionInput struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// build makes the table that a request describes, or says what is wrong with it.
func (in createTableInput) build() (*table, error) {
	if !tableName.MatchString(in.TableName) {
		return nil, awsjson.Invalid("TableName must have 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'")
	}
	kinds, err := in.kinds()
	if err != nil {
		return nil, err
	}
	key, err := keyOf(in.KeySchema, kinds)
	if err != nil {
		return nil, err
	}
	if err := in.checkThroughput(); err != nil {
		return nil, err
	}
	t := &table{
		createTableInput: in, key: key, kinds: kinds,
		items: map[string]attribute.Item{}, before: map[string]attribute.Item{},
		own: &index{key: key, primary: key, partitions: map[string][]attribute.Item{}},
	}
	if err := t.buildIndexes(); err != nil {
		return nil, err
	}
	return t, t.checkDefinitions()
}

func (in createTableInput) kinds() (map[string]attribute.Kind, error) {
	kinds := map[string]attribute.Kind{}
	for _, d := range in.AttributeDefinitions {
		if _, twice := kinds[d.AttributeName]; twice || d.AttributeName == "" || !d.AttributeType.Ordered() {
			return nil, awsjson.Invalid("AttributeDefinitions: each names another attribute and has the type S, N or B")
		}
		kinds[d.AttributeName] = d.AttributeType
	}
	return kinds, nil
}

// keyOf reads a key's schema: HASH, and after it RANGE if there is one.
func keyOf(schema []keyElement, kinds map[string]attribute.Kind) (expression.Key, error) {
	var names [2]string
	if len(schema) == 0 || len(schema) > len(names) {
		return expression.Key{}, awsjson.Invalid("Invalid KeySchema: it has one or two elements")
	}
	for i, element := range schema {
		if want := []string{"HASH", "RANGE"}[i]; element.KeyType != want {
			return expression.Key{}, awsjson.Invalid("Invalid KeySchema: element %d is not a %s key type", i+1, want)
		}
		if _, defined := kinds[element.AttributeName]; !defined {
			return expression.Key{}, awsjson.Invalid("Invalid KeySchema: Some index key attribute have no definition")
		}
		names[i] = element.AttributeName
	}
	if names[0] == names[1] {
		return expression.Key{}, awsjson.Invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	return expression.Key{Hash: names[0], Range: names[1]}, nil
}

// checkThroughput requires figures where they are billed, and nowhere else.
func (in createTableInput) checkThroughput() error {
	given := []*throughput{in.ProvisionedThroughput}
	for _, ix := range in.GlobalSecondaryIndexes {
		given = append(given, ix.ProvisionedThroughput)
	}
	provisioned := in.BillingMode == "" || in.BillingMode == "PROVISIONED"
	if !provisioned && in.BillingMode != "PAY_PER_REQUEST" {
		return awsjson.Invalid("BillingMode is neither PROVISIONED nor PAY_PER_REQUEST")
	}
	for _, one := range given {
		if provisioned != (one != nil) {
			return awsjson.Invalid("One or more parameter values were invalid: ProvisionedThroughput goes with BillingMode PROVISIONED, and only with it")
		}
		if one != nil && (one.ReadCapacityUnits < 1 || one.WriteCapacityUnits < 1) {
			return awsjson.Invalid("ProvisionedThroughput: each figure is at least 1")
		}
	}
	return nil
}

func (t *table) buildIndexes() error {
	if given := t.GlobalSecondaryIndexes; given != nil && len(given) == 0 || len(given) > maxIndexes {
		return awsjson.Invalid("One or more parameter values were invalid: GlobalSecondaryIndexes has 1 to %d elements", maxIndexes)
	}
	for _, in := range t.GlobalSecondaryIndexes {
		key, err := keyOf(in.KeySchema, t.kinds)
		if err != nil {
			return err
		}
		if !tableName.MatchString(in.IndexName) || t.index(in.IndexName) != nil {
			return awsjson.Invalid("One or more parameter values were invalid: an index name is not valid, or is a duplicate")
		}
		ix := &index{name: in.IndexName, key: key, primary: t.key, partitions: map[string][]attribute.Item{}}
		if err := ix.project(in.Projection); err != nil {
			return err
		}
		t.indexes = append(t.indexes, ix)
	}
	return nil
}

func (ix *index) project(in projectionInput) error {
	if (in.ProjectionType == "INCLUDE") != (len(in.NonKeyAttributes) > 0) {
		return awsjson.Invalid("One or more parameter values were invalid: NonKeyAttributes goes with ProjectionType INCLUDE, and only with it")
	}
	kept := slices.Concat(keyNames(ix.key), keyNames(ix.primary), in.NonKeyAttributes)
	switch in.ProjectionType {
	case "ALL":
	case "KEYS_ONLY", "INCLUDE":
		ix.projects = func(name string) bool { return slices.Contains(kept, name) }
	default:
		return awsjson.Invalid("One or more parameter values were invalid: ProjectionType is not one of ALL, KEYS_ONLY, INCLUDE")
	}
	return nil
}

// index finds a secondary index; nil when there is none of that name.
func (t *table) index(name string) *index {
	for _, ix := range t.indexes {
		if ix.name == name {
			return ix
		}
	}
	return nil
}

// checkDefinitions refuses definitions of attributes that are in no key.
func (t *table) checkDefinitions() error {
	used := map[string]bool{}
	for _, ix := range append(t.indexes[:len(t.indexes):len(t.indexes)], t.own) {
		for _, name := range keyNames(ix.key) {
			used[name] = true
		}
	}
	if len(used) != len(t.kinds) {
		return awsjson.Invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return nil
}
