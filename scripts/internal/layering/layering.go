// Package layering keeps the walls between packages where the design puts them:
// the domain imports nothing of ours that knows a technology, technologies
// import the domain, and only mains import technologies.
//
// A rule is judged on everything a package draws in, however far away, because
// a wall with a door behind it is none. The one exception is os: net/http
// itself imports it, so what is forbidden is that any package of this module on
// the way does.
package layering

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path that all packages of the house begin with.
const Module = "github.com/tokenvend/tokenvend"

// Graph maps an import path to what that package imports directly, its tests
// not counted.
type Graph map[string][]string

// Rule forbids one package (and those in folders below it) to draw others in.
type Rule struct {
	// Package is a path inside the module, for example pkg/oauth.
	Package string
	// Except are paths below Package that the rule does not bind.
	Except []string
	// Never are import paths; what lies below them is meant too. Those that
	// begin with a slash are inside the module.
	Never []string
	// NeverOurselves are import paths that no package of this module among
	// those drawn in may import directly.
	NeverOurselves []string
}

// Binds reports whether the rule is about that package.
func (r Rule) Binds(path string) bool {
	within := func(root string) bool { return below(path, Module+"/"+root) }
	return within(r.Package) && !slices.ContainsFunc(r.Except, within)
}

// Broken names every forbidden import of one package, each with the way it
// comes in.
func (r Rule) Broken(g Graph, path string) []string {
	var broken []string
	for drawn, way := range g.reach(path) {
		if slices.ContainsFunc(r.Never, func(never string) bool { return below(drawn, absolute(never)) }) {
			broken = append(broken, way)
		}
		if !below(drawn, Module) {
			continue
		}
		for _, direct := range g[drawn] {
			if slices.Contains(r.NeverOurselves, direct) {
				broken = append(broken, fmt.Sprintf("%s > %s", way, direct))
			}
		}
	}
	slices.Sort(broken)
	return broken
}

// reach finds everything that a package draws in, itself included, each with
// one of the shortest ways to it.
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
