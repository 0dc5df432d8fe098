// Package reach finds what the code of a command can do: which AWS operations it can
// call, and which constants it mentions. The stack's permissions are compared with it.
//
// It follows references, not values: a function is reached when a reached one
// mentions it, and the method of an interface leads to that method of each type
// that a reached function mentions. So it may find too much, for example in a branch
// that is never taken, and never too little.
package reach

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

const services = "github.com/aws/aws-sdk-go-v2/service/"

// Code is the type-checked code of one module.
type Code struct {
	packages map[string]*packages.Package
	bodies   map[*types.Func]body
	// clients are the types of the imported AWS clients.
	clients []types.Type
}

// body is a piece of code with the meaning of its identifiers.
type body struct {
	node ast.Node
	info *types.Info
}

// Load reads the packages of the module in dir that the patterns name. Packages of
// the module that they import must be among them.
func Load(dir string, patterns ...string) (*Code, error) {
	loaded, err := packages.Load(&packages.Config{Dir: dir, Mode: packages.LoadSyntax}, patterns...)
	if err != nil {
		return nil, fmt.Errorf("load the code: %w", err)
	}
	c := &Code{packages: map[string]*packages.Package{}, bodies: map[*types.Func]body{}}
	clients := map[string]types.Type{}
	for _, p := range loaded {
		for _, problem := range p.Errors {
			err = errors.Join(err, problem)
		}
		c.packages[p.PkgPath] = p
		c.index(p)
		collectClients(p.Types, clients)
	}
	c.clients = slices.Collect(maps.Values(clients))
	if err != nil {
		return nil, fmt.Errorf("load the code: %w", err)
	}
	return c, nil
}

func (c *Code) index(p *packages.Package) {
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				c.bodies[p.TypesInfo.Defs[f.Name].(*types.Func)] = body{f, p.TypesInfo}
			}
		}
	}
}

func collectClients(p *types.Package, into map[string]types.Type) {
	for _, imported := range p.Imports() {
		if !strings.HasPrefix(imported.Path(), services) {
			continue
		}
		if client := imported.Scope().Lookup("Client"); client != nil {
			into[imported.Path()] = types.NewPointer(client.Type())
		}
	}
}

// Reached is what a command can reach.
type Reached struct {
	bodies []body
	calls  map[string]bool
}

// From follows the command whose main package has this path.
func (c *Code) From(command string) (Reached, error) {
	main, ok := c.packages[command]
	if !ok {
		return Reached{}, fmt.Errorf("there is no package %s", command)
	}
	w := walk{code: c, seen: map[*types.Func]bool{}, live: map[*types.Named]bool{}, asked: map[*types.Func]bool{}, calls: map[string]bool{}}
	w.initialize(main, map[string]bool{})
	w.function(main.Types.Scope().Lookup("main").(*types.Func))
	w.follow()
	return Reached{bodies: w.done, calls: w.calls}, nil
}

// Calls returns the AWS operations in IAM's notation, sorted.
func (r Reached) Calls() []string { return slices.Sorted(maps.Keys(r.calls)) }

// Constants returns the values of the constants of the named type that are mentioned
// outside their package, sorted.
func (r Reached) Constants(of string) []string {
	found := map[string]bool{}
	for _, b := range r.bodies {
		ast.Inspect(b.node, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if c, ok := b.info.Uses[selector.Sel].(*types.Const); ok && typeName(c.Type()) == of {
				found[constant.StringVal(c.Val())] = true
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// Table returns the rows of a package's variable that is a map literal: by key, the
// constants of the row as text.
func (c *Code) Table(path, name string) map[string][]string {
	rows := map[string][]string{}
	p, ok := c.packages[path]
	if !ok {
		return rows
	}
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == name && len(spec.Values) == 1 {
				fill(rows, spec.Values[0], p.TypesInfo)
			}
			return true
		})
	}
	return rows
}

// Texts returns the string constants of a package whose names begin with the prefix.
func (c *Code) Texts(path, prefix string) []string {
	var found []string
	p, ok := c.packages[path]
	if !ok {
		return nil
	}
	scope := p.Types.Scope()
	for _, name := range scope.Names() {
		if v, ok := scope.Lookup(name).(*types.Const); ok && strings.HasPrefix(name, prefix) {
			found = append(found, text(v.Val()))
		}
	}
	return found
}

func fill(rows map[string][]string, literal ast.Expr, info *types.Info) {
	table, ok := literal.(*ast.CompositeLit)
	if !ok {
		return
	}
	for _, e := range table.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		row, ok := pair.Value.(*ast.CompositeLit)
		if !ok {
			continue
		}
		key := text(info.Types[pair.Key].Value)
		for _, cell := range row.Elts {
			rows[key] = append(rows[key], text(info.Types[cell].Value))
		}
	}
}

// text returns a constant as text, a string without its quotes.
func text(v constant.Value) string {
	if v == nil {
		return ""
	}
	if v.Kind() == constant.String {
		return constant.StringVal(v)
	}
	return v.ExactString()
}

// typeName returns a type's package and name; empty for a type without a name.
func typeName(t types.Type) string {
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil {
		return named.Obj().Pkg().Path() + "." + named.Obj().Name()
	}
	return ""
}
