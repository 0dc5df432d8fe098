package reach

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"strings"

	"golang.org/x/tools/go/packages"
)

// walk is the search from one command.
type walk struct {
	code *Code
	// todo are the pieces of code to inspect, done the inspected ones.
	todo, done []body
	seen       map[*types.Func]bool
	// live are the module's types that are mentioned, asked the interface methods that
	// are called: each leads to the method of every live type.
	live  map[*types.Named]bool
	asked map[*types.Func]bool
	calls map[string]bool
}

// initialize adds what runs before main: variables and init functions of the package
// and its imports.
func (w *walk) initialize(p *packages.Package, seen map[string]bool) {
	if seen[p.PkgPath] {
		return
	}
	seen[p.PkgPath] = true
	for _, imported := range p.Types.Imports() {
		if own, ok := w.code.packages[imported.Path()]; ok {
			w.initialize(own, seen)
		}
	}
	for _, file := range p.Syntax {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					w.todo = append(w.todo, body{d, p.TypesInfo})
				}
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					w.function(p.TypesInfo.Defs[d.Name].(*types.Func))
				}
			}
		}
	}
}

// follow inspects all pieces of code, also those that it adds.
func (w *walk) follow() {
	for len(w.todo) > 0 {
		b := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.done = append(w.done, b)
		ast.Inspect(b.node, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok {
				w.mention(b.info.Uses[name])
			}
			return true
		})
	}
}

// mention adds what an identifier refers to.
func (w *walk) mention(o types.Object) {
	switch o := o.(type) {
	case *types.Func:
		if receiver := o.Signature().Recv(); receiver != nil && types.IsInterface(receiver.Type()) {
			w.ask(o)
			return
		}
		w.function(o.Origin())
	case *types.TypeName:
		if named, ok := types.Unalias(o.Type()).(*types.Named); ok && o.Pkg() != nil && w.code.packages[o.Pkg().Path()] != nil {
			w.enliven(named.Origin())
		}
	}
}

func (w *walk) function(f *types.Func) {
	if w.seen[f] {
		return
	}
	w.seen[f] = true
	if f.Pkg() != nil && strings.HasPrefix(f.Pkg().Path(), services) {
		w.operation(f)
	}
	if b, ok := w.code.bodies[f]; ok {
		w.todo = append(w.todo, b)
	}
}

// operation records a function of an AWS service that is an operation or its
// paginator.
func (w *walk) operation(f *types.Func) {
	name := strings.TrimSuffix(strings.TrimPrefix(f.Name(), "New"), "Paginator")
	if f.Pkg().Scope().Lookup(name+"Input") != nil {
		w.calls[path.Base(f.Pkg().Path())+":"+name] = true
	}
}

// ask adds the method of every type that may implement the called interface.
func (w *walk) ask(method *types.Func) {
	if w.asked[method] {
		return
	}
	w.asked[method] = true
	for _, client := range w.code.clients {
		w.lead(method, client)
	}
	for t := range w.live {
		w.lead(method, types.NewPointer(t))
	}
}

// enliven adds the methods of a type for every interface call so far. Lambda's runtime
// calls Invoke.
func (w *walk) enliven(t *types.Named) {
	if w.live[t] || types.IsInterface(t) {
		return
	}
	w.live[t] = true
	pointer := types.NewPointer(t)
	for method := range w.asked {
		w.lead(method, pointer)
	}
	if handler := types.NewMethodSet(pointer).Lookup(nil, "Invoke"); handler != nil {
		w.function(handler.Obj().(*types.Func).Origin())
	}
}

func (w *walk) lead(method *types.Func, to types.Type) {
	behind, ok := method.Signature().Recv().Type().Underlying().(*types.Interface)
	if !ok || !types.Implements(to, behind) {
		return
	}
	if found := types.NewMethodSet(to).Lookup(method.Pkg(), method.Name()); found != nil {
		w.function(found.Obj().(*types.Func).Origin())
	}
}
