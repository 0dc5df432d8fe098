package awsfake

import (
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

type object = map[string]any

// Table is what operators' commands ask of a table: it can be described, scanned,
// protected and deleted. There is one at most.
type Table struct {
	*awsjson.Service

	mu        sync.Mutex
	name      string // empty when there is none
	protected bool
	items     []object
}

func newTable() *Table {
	t := &Table{}
	t.Service = &awsjson.Service{
		Target: "DynamoDB_20120810", Version: "1.0", ErrorPrefix: "com.amazonaws.dynamodb.v20120810#", MessageName: "message",
		Operations: map[string]awsjson.Operation{
			"CreateTable":   awsjson.Operate(t.create),
			"DescribeTable": awsjson.Operate(t.describe),
			"UpdateTable":   awsjson.Operate(t.update),
			"DeleteTable":   awsjson.Operate(t.remove),
			"PutItem":       awsjson.Operate(t.put),
			"Scan":          awsjson.Operate(t.scan),
		},
	}
	return t
}

type named struct{ TableName string }

// open locks the table, if it is the one of that name.
func (t *Table) open(name string) error {
	t.mu.Lock()
	if name == "" || name != t.name {
		t.mu.Unlock()
		return &awsjson.Error{Code: "ResourceNotFoundException", Message: "Requested resource not found: Table: " + name + " not found"}
	}
	return nil
}

func (t *Table) create(in named) (object, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name, t.protected, t.items = in.TableName, false, nil
	return object{"TableDescription": t.description()}, nil
}

func (t *Table) description() object {
	return object{"TableName": t.name, "TableStatus": "ACTIVE", "DeletionProtectionEnabled": t.protected, "ItemCount": len(t.items)}
}

func (t *Table) describe(in named) (object, error) {
	if err := t.open(in.TableName); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	return object{"Table": t.description()}, nil
}

type updateTable struct {
	TableName                 string
	DeletionProtectionEnabled bool
}

func (t *Table) update(in updateTable) (object, error) {
	if err := t.open(in.TableName); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	t.protected = in.DeletionProtectionEnabled
	return object{"TableDescription": t.description()}, nil
}

func (t *Table) remove(in named) (object, error) {
	if err := t.open(in.TableName); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	if t.protected {
		return nil, awsjson.Invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	gone := t.description()
	t.name = ""
	return object{"TableDescription": gone}, nil
}

type putItem struct {
	TableName string
	Item      object
}

func (t *Table) put(in putItem) (object, error) {
	if err := t.open(in.TableName); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	t.items = slices.DeleteFunc(t.items, func(old object) bool {
		return reflect.DeepEqual(old["pk"], in.Item["pk"]) && reflect.DeepEqual(old["sk"], in.Item["sk"])
	})
	t.items = append(t.items, in.Item)
	return object{}, nil
}

// page is how many items a Scan answers at once: few, so that a client which
// reads one page only is noticed.
const page = 2

type scan struct {
	TableName         string
	ConsistentRead    bool
	ExclusiveStartKey *struct {
		Next struct {
			N int `json:",string"`
		}
	}
}

func (t *Table) scan(in scan) (object, error) {
	if err := t.open(in.TableName); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	from := 0
	if in.ExclusiveStartKey != nil {
		from = in.ExclusiveStartKey.Next.N
	}
	until := min(from+page, len(t.items))
	answer := object{"Items": t.items[from:until], "Count": until - from, "ScannedCount": until - from}
	if until < len(t.items) {
		answer["LastEvaluatedKey"] = object{"Next": object{"N": strconv.Itoa(until)}}
	}
	return answer, nil
}

// CreateTokenTable makes the Table.
func (s *Services) CreateTokenTable(name string) error {
	return s.DynamoDB.Call("CreateTable", object{"TableName": name}, nil)
}
