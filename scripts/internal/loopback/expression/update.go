package expression

import (
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// Apply returns the item as the update leaves it. Every operand is read from
// the item as it was, and so is every index of a list: what is removed shifts
// nothing that the same update sets. The errors are those that only the item
// can show.
func (u *Update) Apply(before attribute.Item) (attribute.Item, error) {
	var writes []write
	for _, set := range u.sets {
		v, err := set.to.evaluate(before)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write{set.path, v})
	}
	for _, add := range u.adds {
		v, err := add.added(before)
		if err != nil {
			return nil, err
		}
		writes = append(writes, write{add.path, v})
	}
	removes := slices.Clone(u.removes)
	for _, taken := range u.deletes {
		v, ok, err := taken.deleted(before)
		switch {
		case err != nil:
			return nil, err
		case !ok:
		case len(v.Members()) == 0:
			removes = append(removes, taken.path)
		default:
			writes = append(writes, write{taken.path, v})
		}
	}
	return carryOut(before, writes, removes)
}

// write puts a value at a path.
type write struct {
	path Path
	v    attribute.Value
}

// carryOut writes in ascending order, as what lies beyond a list's end is
// appended, and then removes in descending order, as each removal shifts what
// comes after it.
func carryOut(before attribute.Item, writes []write, removes []Path) (attribute.Item, error) {
	slices.SortFunc(writes, func(a, b write) int { return a.path.compare(b.path) })
	slices.SortFunc(removes, func(a, b Path) int { return b.compare(a) })
	after := attribute.OfMap(before)
	for _, w := range writes {
		var err error
		if after, err = put(after, w.path, w.v); err != nil {
			return nil, err
		}
	}
	for _, path := range removes {
		var err error
		if after, err = remove(after, path); err != nil {
			return nil, err
		}
	}
	return after.Fields(), nil
}

func errPath() error {
	return awsjson.Invalid("The document path provided in the update expression is invalid for update")
}

// put returns in with v at the path. Only the path's last step may be new.
func put(in attribute.Value, path Path, v attribute.Value) (attribute.Value, error) {
	first := path[0]
	if !first.fits(in) {
		return in, errPath()
	}
	if len(path) > 1 {
		inner, ok := first.from(in)
		if !ok {
			return in, errPath()
		}
		var err error
		if v, err = put(inner, path[1:], v); err != nil {
			return in, err
		}
	}
	return first.replace(in, v), nil
}

// fits says whether a step can be taken from a value of that kind.
func (s step) fits(in attribute.Value) bool {
	if s.list {
		return in.Kind() == attribute.List
	}
	return in.Kind() == attribute.Map
}

// replace returns in with v at the step; beyond a list's end it is appended.
func (s step) replace(in, v attribute.Value) attribute.Value {
	if s.list {
		members := slices.Clone(in.Members())
		if s.index < len(members) {
			members[s.index] = v
		} else {
			members = append(members, v)
		}
		return attribute.OfList(members)
	}
	fields := maps.Clone(in.Fields())
	if fields == nil {
		fields = attribute.Item{}
	}
	fields[s.name] = v
	return attribute.OfMap(fields)
}

// remove returns in without what stands at the path. Only the last step may
// lead nowhere.
func remove(in attribute.Value, path Path) (attribute.Value, error) {
	first := path[0]
	if !first.fits(in) {
		return in, errPath()
	}
	inner, ok := first.from(in)
	switch {
	case len(path) == 1 && !ok:
		return in, nil
	case len(path) == 1:
		return first.without(in), nil
	case !ok:
		return in, errPath()
	}
	inner, err := remove(inner, path[1:])
	if err != nil {
		return in, err
	}
	return first.replace(in, inner), nil
}

func (s step) without(in attribute.Value) attribute.Value {
	if s.list {
		return attribute.OfList(slices.Delete(slices.Clone(in.Members()), s.index, s.index+1))
	}
	fields := maps.Clone(in.Fields())
	delete(fields, s.name)
	return attribute.OfMap(fields)
}

// added is what an ADD leaves at its path.
func (c change) added(before attribute.Item) (attribute.Value, error) {
	now, ok := c.path.resolve(before)
	switch {
	case !ok:
		return c.by, nil
	case now.Kind() != c.by.Kind():
		return now, errWrongType()
	case now.Kind() == attribute.Numeric:
		sum, err := now.Number().Add(c.by.Number())
		return attribute.OfNumber(sum), err
	}
	return attribute.OfSet(now.Kind(), slices.Concat(now.Members(), c.by.Members())), nil
}

// deleted is what a DELETE leaves at its path; ok is false when nothing stands
// there.
func (c change) deleted(before attribute.Item) (left attribute.Value, ok bool, err error) {
	now, ok := c.path.resolve(before)
	if !ok {
		return now, false, nil
	}
	if now.Kind() != c.by.Kind() {
		return now, true, errWrongType()
	}
	var kept []attribute.Value
	for _, member := range now.Members() {
		if !c.by.Contains(member) {
			kept = append(kept, member)
		}
	}
	return attribute.OfSet(now.Kind(), kept), true, nil
}
