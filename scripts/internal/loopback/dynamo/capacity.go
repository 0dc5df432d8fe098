package dynamo

import (
	"sync"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// The bytes that one unit reads or writes.
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
)

// Usage is what one operation has consumed.
type Usage struct {
	// Requests were carried out, whether or not their condition held.
	Requests int
	// Consistent are those of them that read consistently.
	Consistent int
	// ReadUnits and WriteUnits are capacity units, those of indexes included.
	ReadUnits, WriteUnits float64
}

type meter struct {
	mu    sync.Mutex
	usage map[string]Usage
}

// count adds one request.
func (m *meter) count(operation string, one Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := m.usage[operation]
	sum.Requests++
	sum.Consistent += one.Consistent
	sum.ReadUnits += one.ReadUnits
	sum.WriteUnits += one.WriteUnits
	m.usage[operation] = sum
}

// units are what bytes cost, and never nothing.
func units(bytes, unit int) float64 { return float64(max(1, (bytes+unit-1)/unit)) }

// readCost is what reading the bytes costs: half as much when it need not be
// consistent.
func readCost(bytes int, consistent bool) Usage {
	cost := Usage{ReadUnits: units(bytes, readUnit)}
	if consistent {
		cost.Consistent = 1
	} else {
		cost.ReadUnits /= 2
	}
	return cost
}

// consumption is the cost of one request, by where it was consumed.
type consumption struct {
	table   float64
	indexes map[string]float64
}

func (c consumption) total() float64 {
	total := c.table
	for _, one := range c.indexes {
		total += one
	}
	return total
}

// writeCost is what replacing an item costs: the larger of both in the table,
// and in each index a write for an entry that comes, goes or changes.
func (t *table) writeCost(before, after attribute.Item) consumption {
	c := consumption{table: units(max(before.Size(), after.Size()), writeUnit), indexes: map[string]float64{}}
	for _, ix := range t.indexes {
		if cost := ix.writeCost(before, after); cost > 0 {
			c.indexes[ix.name] = cost
		}
	}
	return c
}

func (ix *index) writeCost(before, after attribute.Item) float64 {
	was, is := ix.entry(before), ix.entry(after)
	switch {
	case was == nil && is == nil, was.Equal(is):
		return 0
	case was == nil:
		return units(is.Size(), writeUnit)
	case is == nil:
		return units(was.Size(), writeUnit)
	case ix.compare(was, is) != 0 || !was[ix.key.Hash].Equal(is[ix.key.Hash]): // one goes, one comes
		return units(was.Size(), writeUnit) + units(is.Size(), writeUnit)
	}
	return units(max(was.Size(), is.Size()), writeUnit)
}

// The values of ReturnConsumedCapacity.
const (
	capacityNone    = "NONE"
	capacityTotal   = "TOTAL"
	capacityIndexes = "INDEXES"
)

type capacityJSON struct {
	TableName              string `json:",omitempty"`
	CapacityUnits          float64
	Table                  *capacityJSON             `json:",omitempty"`
	GlobalSecondaryIndexes map[string]map[string]any `json:",omitempty"`
}

func checkCapacity(wanted string) error {
	switch wanted {
	case "", capacityNone, capacityTotal, capacityIndexes:
		return nil
	}
	return awsjson.Invalid("ReturnConsumedCapacity is not one of INDEXES, TOTAL, NONE")
}

// report is what an answer says of a request's cost; nil when it was not asked.
func (c consumption) report(wanted, table string) *capacityJSON {
	report := &capacityJSON{TableName: table, CapacityUnits: c.total()}
	switch wanted {
	case capacityTotal:
		return report
	case capacityIndexes:
		report.Table = &capacityJSON{CapacityUnits: c.table}
		report.GlobalSecondaryIndexes = map[string]map[string]any{}
		for name, units := range c.indexes {
			report.GlobalSecondaryIndexes[name] = map[string]any{"CapacityUnits": units}
		}
		return report
	}
	return nil
}
