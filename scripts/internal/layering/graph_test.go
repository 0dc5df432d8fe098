// Package layering_test checks the imports between packages: the domain imports no
// technology, technologies import the domain, and only mains import technologies.
//
// A rule covers everything that a package imports, directly or not. The exception
// is os, which net/http imports: there only direct imports by this module's packages
// count.
package layering_test

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/tokenvend/tokenvend"

// Graph maps an import path to what that package imports directly, its tests
// not counted.
type Graph map[string][]string

// Rule forbids imports of one package and of those below it.
type Rule struct {
	// Package is a path inside the module, for example pkg/oauth.
	Package string
	// Except are paths below Package to which the rule does not apply.
	Except []string
	// Never are import paths that must not be imported, directly or not, nor packages
	// below them. A path that begins with a slash is inside the module.
	Never []string
	// NeverDirectly are import paths that no package of this module may import
	// directly, among those that Package imports directly or not.
	NeverDirectly []string
}

// AppliesTo reports whether the rule applies to that package.
func (r Rule) AppliesTo(path string) bool {
	within := func(root string) bool { return below(path, Module+"/"+root) }
	return within(r.Package) && !slices.ContainsFunc(r.Except, within)
}

// Broken names every forbidden import of one package, each with the path of
// imports that leads to it.
func (r Rule) Broken(g Graph, path string) []string {
	var broken []string
	for imported, way := range g.reach(path) {
		if slices.ContainsFunc(r.Never, func(never string) bool { return below(imported, absolute(never)) }) {
			broken = append(broken, way)
		}
		if !below(imported, Module) {
			continue
		}
		for _, direct := range g[imported] {
			if slices.Contains(r.NeverDirectly, direct) {
				broken = append(broken, fmt.Sprintf("%s > %s", way, direct))
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// reach finds everything that a package imports, directly or not, itself included,
// each with one of the shortest paths of imports.
func (g Graph) reach(path string) map[string]string {
	ways := map[string]string{path: path}
	for queue := []string{path}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]] {
			if _, seen := ways[next]; !seen {
				ways[next] = ways[queue[0]] + " > " + next
				queue = append(queue, next)
			}
		}
	}
	return ways
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return Module + path
	}
	return path
}

func below(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}
