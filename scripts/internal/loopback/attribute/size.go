package attribute

// containerOverhead is what a list or a map costs, and elementOverhead each of
// its elements, in bytes.
const (
	containerOverhead = 3
	elementOverhead   = 1
)

// Size is what an item counts in bytes, names included: the rule of the
// developer guide, "DynamoDB item sizes and formats".
func (i Item) Size() int {
	size := 0
	for name, value := range i {
		size += len(name) + value.Size()
	}
	return size
}

// Size is what a value counts in bytes.
func (v Value) Size() int {
	switch v.kind {
	case Numeric:
		return v.number.size()
	case Boolean, Null:
		return 1
	case List:
		return containerOverhead + v.sizeOfMembers() + len(v.members)*elementOverhead
	case Map:
		return containerOverhead + v.fields.Size() + len(v.fields)*elementOverhead
	}
	return len(v.text) + v.sizeOfMembers()
}

func (v Value) sizeOfMembers() int {
	size := 0
	for _, member := range v.members {
		size += member.Size()
	}
	return size
}
