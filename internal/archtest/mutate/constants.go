package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path"
	"strings"
)

// A constant cannot be changed where it is declared while the program runs. So each place that uses it is: the largest
// constant expression around it gets other values to choose from. Tests go on with the constant as it is.

// change is one other value of a constant, as a format of its name.
type change struct{ kind, format string }

func changes(c *types.Const) []change {
	value := c.Val()
	switch value.Kind() {
	case constant.String:
		if constant.StringVal(value) == "" {
			return []change{{"constant changed", `(%s + "~")`}}
		}
		return []change{{"constant changed", `(%s + "~")`}, {"constant empty", `""`}}
	case constant.Int:
		all := []change{{"constant + 1", "(%s + 1)"}, {"constant halved", "(%s / 2)"}, {"constant zero", "(%[1]s - %[1]s)"}}
		if c.Type().String() == "time.Duration" {
			all[0] = change{"constant doubled", "(%s * 2)"} // nobody's fault is one of a nanosecond
		}
		switch n, _ := constant.Int64Val(value); n {
		case 0:
			return all[:1]
		case 1, -1:
			return []change{all[0], all[2]}
		}
		return all
	}
	return nil
}

// declared makes mutants of the constants that a file declares, inside of functions or not. Those of an enumeration
// (iota) mean nothing but that they differ.
func (u *mutator) declared(f *file) {
	u.file = f
	ast.Inspect(f.tree, func(n ast.Node) bool {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST || enumerates(d) {
			return true
		}
		for _, spec := range d.Specs {
			value := spec.(*ast.ValueSpec)
			for i, id := range value.Names {
				c, ok := u.info.Defs[id].(*types.Const)
				if !ok || id.Name == "_" {
					continue
				}
				u.function = id.Name
				for _, change := range changes(c) {
					m := u.note(change.kind, c.Val().String(), id.Pos())
					if i < len(value.Values) {
						e := value.Values[i]
						m.declared = &declaration{path.Join(u.dir, f.name), u.offset(e.Pos()), u.offset(e.End()), change.format}
					}
					u.constant[c] = append(u.constant[c], m)
				}
			}
		}
		return true
	})
}

func enumerates(d *ast.GenDecl) bool {
	found := false
	ast.Inspect(d, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == "iota"
		return !found
	})
	return found
}

// used changes the places of a file that use constants of these packages. It returns which could be changed.
func (u *mutator) used(f *file, all map[string]*mutator, changed map[*mutant]bool) {
	u.file = f
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.ArrayType:
			ast.Inspect(n.Elt, visit)
			return false
		case *ast.CompositeLit:
			u.elements(n, visit)
			return false
		case ast.Expr:
			if v := u.info.Types[n]; v.IsValue() && v.Value != nil {
				u.place(n, v, all, changed)
				return false
			}
		}
		return true
	}
	ast.Inspect(f.tree, visit)
}

// elements visits a literal, whose indices, if it is an array, have to be constant.
func (u *mutator) elements(n *ast.CompositeLit, visit func(ast.Node) bool) {
	_, isMap := u.info.Types[n].Type.Underlying().(*types.Map)
	for _, e := range n.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok && !isMap {
			e = pair.Value
		}
		ast.Inspect(e, visit)
	}
}

// place changes one constant expression.
func (u *mutator) place(e ast.Expr, v types.TypeAndValue, all map[string]*mutator, changed map[*mutant]bool) {
	if v.Value.Kind() == constant.Bool {
		return
	}
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		c, ok := u.info.Uses[id].(*types.Const)
		if !ok || c.Pkg() == nil || all[c.Pkg().Path()] == nil {
			return true
		}
		owner := all[c.Pkg().Path()]
		for i, m := range owner.named(c) {
			text := u.replaced(e, id, changes(c)[i])
			// A type of a package that is not imported here has come with a constant that has it.
			typ, known := u.typeName(v.Type)
			explicit := "[" + typ + "]"
			if !known {
				typ, explicit = "", ""
			}
			if _, err := types.Eval(u.fset, u.pkg, e.Pos(), typ+"("+text+")"); err != nil {
				continue // it overflows, or divides by nothing
			}
			changed[m] = true
			choose := "ZzMutValue"
			if owner != u {
				choose = u.qualifier(c.Pkg()) + "." + choose
			}
			u.put(e, fmt.Sprintf("%s%s(%d, %s, ", choose, explicit, m.n, text), ")")
		}
		return true
	})
}

// named finds the mutants of a constant that another package sees through its export data.
func (u *mutator) named(c *types.Const) []*mutant {
	if c.Pkg() == u.pkg {
		return u.constant[c]
	}
	return u.constant[u.pkg.Scope().Lookup(c.Name())]
}

// replaced is the text of an expression with another value in place of one constant in it.
func (u *mutator) replaced(e ast.Expr, id *ast.Ident, c change) string {
	from, to := id.Pos(), id.End()
	ast.Inspect(e, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel == id {
			from = s.Pos()
		}
		return true
	})
	text := func(a, b token.Pos) string { return string(u.file.text[u.offset(a):u.offset(b)]) }
	other := c.format
	if strings.Contains(other, "%") {
		other = fmt.Sprintf(c.format, text(from, to))
	}
	return text(e.Pos(), from) + other + text(to, e.End())
}

// typeName is how this file writes a type.
func (u *mutator) typeName(t types.Type) (string, bool) {
	known := true
	name := types.TypeString(types.Default(t), func(p *types.Package) string {
		if p == u.pkg {
			return ""
		}
		q := u.qualifier(p)
		known = known && q != ""
		return q
	})
	return name, known
}

// qualifier is the name by which this file imports a package.
func (u *mutator) qualifier(p *types.Package) string {
	for _, spec := range u.file.tree.Imports {
		if strings.Trim(spec.Path.Value, `"`) == p.Path() {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return p.Name()
		}
	}
	return ""
}
