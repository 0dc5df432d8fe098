package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
)

// step leads from a map to a field, or from a list to a member.
type step struct {
	name  string
	index int
	list  bool
}

// Path is a document path. It has at least one step, and the first is a name.
type Path []step

// Top is the name of the attribute that the path begins with.
func (p Path) Top() string { return p[0].name }

// String writes a path as the service's messages do.
func (p Path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		if steps[i] = s.name; s.list {
			steps[i] = fmt.Sprintf("[%d]", s.index)
		}
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

func (p Path) resolve(item attribute.Item) (attribute.Value, bool) {
	v, ok := attribute.OfMap(item), true
	for _, s := range p {
		if v, ok = s.from(v); !ok {
			break
		}
	}
	return v, ok
}

func (s step) from(v attribute.Value) (attribute.Value, bool) {
	if s.list {
		members := v.Members()
		if v.Kind() != attribute.List || s.index >= len(members) {
			return attribute.Value{}, false
		}
		return members[s.index], true
	}
	inner, ok := v.Fields()[s.name]
	return inner, ok
}

// compare orders paths; members of a list stand in ascending order.
func (p Path) compare(q Path) int {
	return slices.CompareFunc(p, q, func(a, b step) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.index - b.index
	})
}

// clash says why two paths cannot both be given; empty when they can.
func clash(p, q Path) string {
	for i := range min(len(p), len(q)) {
		switch {
		case p[i].list != q[i].list:
			return "conflict"
		case p[i] != q[i]:
			return ""
		}
	}
	return "overlap"
}

// checkClashes refuses paths of which one is, or contains, another.
func (p *parser) checkClashes(paths []Path) {
	for i, one := range paths {
		for _, two := range paths[:i] {
			if how := clash(two, one); how != "" {
				p.refuse("Two document paths %s with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", how, two, one)
				return
			}
		}
	}
}

// Projection is what of an item is wanted.
type Projection []Path

// Projection reads a ProjectionExpression.
func (s *Scope) Projection(text string) (Projection, error) {
	p := s.open("ProjectionExpression", text)
	paths := list(p, p.path)
	if p.err == nil {
		p.checkClashes(paths)
	}
	return paths, p.close()
}

// Of returns the part of item that the paths lead to, in the item's own shape;
// members of a list close up.
func (p Projection) Of(item attribute.Item) attribute.Item {
	part := attribute.Item{}
	for name, tails := range p.tails(func(s step) string { return s.name }) {
		if v, ok := item[name]; ok {
			if inner, ok := tails.within(v); ok {
				part[name] = inner
			}
		}
	}
	return part
}

// tails are the rests of the paths by their first step.
func (p Projection) tails(first func(step) string) map[string]Projection {
	tails := map[string]Projection{}
	for _, path := range p {
		tails[first(path[0])] = append(tails[first(path[0])], path[1:])
	}
	return tails
}

// within is Of for a value inside an item.
func (p Projection) within(v attribute.Value) (attribute.Value, bool) {
	if slices.ContainsFunc(p, func(path Path) bool { return len(path) == 0 }) {
		return v, true
	}
	if p[0][0].list {
		return p.withinList(v)
	}
	part := p.Of(v.Fields())
	return attribute.OfMap(part), len(part) > 0
}

func (p Projection) withinList(v attribute.Value) (attribute.Value, bool) {
	if v.Kind() != attribute.List {
		return attribute.Value{}, false
	}
	tails := p.tails(func(s step) string { return fmt.Sprint(s.index) })
	var part []attribute.Value
	for i, member := range v.Members() {
		if wanted := tails[fmt.Sprint(i)]; wanted != nil {
			if inner, ok := wanted.within(member); ok {
				part = append(part, inner)
			}
		}
	}
	return attribute.OfList(part), len(part) > 0
}
