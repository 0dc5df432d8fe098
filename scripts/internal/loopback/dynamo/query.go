package dynamo

import (
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

// maxPage is how much one page reads, in bytes.
const maxPage = 1 << 20

// searchInput is what queries and scans have in common.
type searchInput struct {
	TableName                 string
	IndexName                 string
	FilterExpression          *string
	ProjectionExpression      *string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]attribute.Value
	ConsistentRead            bool
	ExclusiveStartKey         attribute.Item
	Limit                     *int
	Select                    string
	ReturnConsumedCapacity    string
}

type queryInput struct {
	searchInput
	KeyConditionExpression *string
	ScanIndexForward       *bool
}

type searchOutput struct {
	Items            *[]attribute.Item `json:",omitempty"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey attribute.Item `json:",omitempty"`
	ConsumedCapacity *capacityJSON  `json:",omitempty"`
}

// search is one query or scan in the making.
type search struct {
	operation  string
	in         searchInput
	table      *table
	index      *index
	scope      *expression.Scope
	filter     expression.Condition
	projection expression.Projection
	// partition holds the candidates in order; it is called under the lock.
	partition func() []attribute.Item
	backward  bool
}

func (e *Engine) query(in queryInput) (searchOutput, error) {
	s, err := e.openSearch("Query", in.searchInput)
	if err != nil {
		return searchOutput{}, err
	}
	if in.KeyConditionExpression == nil {
		return searchOutput{}, awsjson.Invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	key, err := s.scope.KeyCondition(*in.KeyConditionExpression, s.index.key)
	if err != nil {
		return searchOutput{}, err
	}
	if err := s.checkKeyCondition(key); err != nil {
		return searchOutput{}, err
	}
	s.backward = in.ScanIndexForward != nil && !*in.ScanIndexForward
	s.partition = func() []attribute.Item {
		entries := slices.Clone(s.index.partitions[partitionOf(key.Hash)])
		return slices.DeleteFunc(entries, func(entry attribute.Item) bool { return key.Range != nil && !key.Range.Holds(entry) })
	}
	return e.search(s)
}

func (e *Engine) scan(in searchInput) (searchOutput, error) {
	s, err := e.openSearch("Scan", in)
	if err != nil {
		return searchOutput{}, err
	}
	s.partition = func() []attribute.Item { return s.index.all() }
	return e.search(s)
}

// openSearch finds table and index and reads the expressions that both have.
func (e *Engine) openSearch(operation string, in searchInput) (*search, error) {
	if err := checkCapacity(in.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, awsjson.Invalid("Limit is below 1")
	}
	t, err := e.table(in.TableName)
	if err != nil {
		return nil, err
	}
	s := &search{operation: operation, in: in, table: t, index: t.own}
	if s.scope, err = expression.NewScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	if in.IndexName != "" {
		if s.index = t.index(in.IndexName); s.index == nil {
			return nil, awsjson.Invalid("The table does not have the specified index: %s", in.IndexName)
		}
		if in.ConsistentRead {
			return nil, awsjson.Invalid("Consistent reads are not supported on global secondary indexes")
		}
	}
	return s, s.readFilter()
}

func (s *search) readFilter() (err error) {
	if s.in.FilterExpression == nil {
		return nil
	}
	if s.filter, err = s.scope.Condition("FilterExpression", *s.in.FilterExpression); err != nil {
		return err
	}
	for _, name := range expression.Names(s.filter) {
		if s.operation == "Query" && slices.Contains(keyNames(s.index.key), name) {
			return awsjson.Invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", name)
		}
	}
	return nil
}

// checkKeyCondition refuses values that no key has.
func (s *search) checkKeyCondition(key expression.KeyCondition) error {
	if key.Hash.Kind() != s.table.kinds[s.index.key.Hash] {
		return awsjson.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
	}
	for _, v := range key.Values() {
		if v.Kind() != s.table.kinds[s.index.key.Range] {
			return awsjson.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
	}
	if key.Hash.Kind() != attribute.Numeric && key.Hash.Text() == "" {
		return awsjson.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", s.index.key.Hash)
	}
	return nil
}

// checkSelect makes Select and the projection agree, among themselves and with
// what the index holds.
func (s *search) checkSelect() (err error) {
	if s.projection, err = project(s.scope, s.in.ProjectionExpression); err != nil {
		return err
	}
	partial := s.index.projects != nil
	switch wanted, given := s.in.Select, s.projection != nil; {
	case wanted == "" || wanted == "SPECIFIC_ATTRIBUTES" && given:
	case wanted == "COUNT" && !given, wanted == "ALL_ATTRIBUTES" && !given && !partial:
	case wanted == "ALL_PROJECTED_ATTRIBUTES" && !given && s.index.name != "":
	default:
		return awsjson.Invalid("One or more parameter values were invalid: Select does not go with this index or projection, or is unknown")
	}
	for _, path := range s.projection {
		if partial && !s.index.projects(path.Top()) {
			return awsjson.Invalid("One or more parameter values were invalid: the index %s does not project %s", s.index.name, path.Top())
		}
	}
	return nil
}

// search reads one page.
func (e *Engine) search(s *search) (searchOutput, error) {
	if err := s.checkSelect(); err != nil {
		return searchOutput{}, err
	}
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	candidates := s.partition()
	if s.backward {
		slices.Reverse(candidates)
	}
	candidates, err := s.after(candidates)
	if err != nil {
		return searchOutput{}, err
	}
	page, bytes := s.page(candidates)
	out := s.output(page, len(page) < len(candidates))
	cost := readCost(bytes, s.in.ConsistentRead)
	e.meter.count(s.operation, cost)
	where := consumption{table: cost.ReadUnits}
	if s.index.name != "" {
		where = consumption{indexes: map[string]float64{s.index.name: cost.ReadUnits}}
	}
	out.ConsumedCapacity = where.report(s.in.ReturnConsumedCapacity, s.in.TableName)
	return out, nil
}

// after drops what does not come after the start key.
func (s *search) after(candidates []attribute.Item) ([]attribute.Item, error) {
	start := s.in.ExclusiveStartKey
	if start == nil {
		return candidates, nil
	}
	names := s.startNames()
	if len(start) != len(names) {
		return nil, awsjson.Invalid("The provided starting key is invalid")
	}
	for _, name := range names {
		if start[name].Kind() != s.table.kinds[name] {
			return nil, awsjson.Invalid("The provided starting key is invalid")
		}
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(entry attribute.Item) bool { return s.order(entry, start) <= 0 }), nil
}

// startNames are the attributes of a start key: those of the index and of the
// table.
func (s *search) startNames() []string {
	names := slices.Concat(keyNames(s.index.key), keyNames(s.table.key))
	slices.Sort(names)
	return slices.Compact(names)
}

// order compares two entries in the direction of the search.
func (s *search) order(a, b attribute.Item) int {
	hash := s.index.key.Hash
	order := 0
	if one, two := partitionOf(a[hash]), partitionOf(b[hash]); one < two {
		order = -1
	} else if one > two {
		order = 1
	} else {
		order = s.index.compare(a, b)
	}
	if s.backward {
		return -order
	}
	return order
}

// page is what one request reads of the candidates, and its size.
func (s *search) page(candidates []attribute.Item) (page []attribute.Item, bytes int) {
	limit := len(candidates)
	if s.in.Limit != nil {
		limit = min(limit, *s.in.Limit)
	}
	for i, entry := range candidates[:limit] {
		bytes += entry.Size()
		if bytes > maxPage {
			return candidates[:i+1], bytes
		}
	}
	return candidates[:limit], bytes
}

// output filters a page. The last key is told when more may follow: a page that
// was cut by its limit has one although nothing may be left, as in the service.
func (s *search) output(page []attribute.Item, cut bool) searchOutput {
	out := searchOutput{ScannedCount: len(page)}
	items := []attribute.Item{}
	for _, entry := range page {
		if s.filter == nil || s.filter.Holds(entry) {
			items = append(items, projected(s.projection, entry))
		}
	}
	out.Count = len(items)
	if s.in.Select != "COUNT" {
		out.Items = &items
	}
	full := s.in.Limit != nil && len(page) == *s.in.Limit
	if len(page) > 0 && (cut || full) {
		out.LastEvaluatedKey = attribute.Item{}
		for _, name := range s.startNames() {
			out.LastEvaluatedKey[name] = page[len(page)-1][name]
		}
	}
	return out
}
