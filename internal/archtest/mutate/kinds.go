package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// A mutant is one change of the code. Its name (package, function, kind, text and which of several like it) outlives
// changes elsewhere in the file; its number does not.
type mutant struct {
	dir, function, kind, text string
	nth                       int
	n                         int
	at                        string // file:line, to be looked at
	declared                  *declaration
}

func (m *mutant) key() string {
	text := m.text
	if m.nth > 1 {
		text += fmt.Sprintf(" #%d", m.nth)
	}
	return strings.Join([]string{m.dir, m.function, m.kind, text}, "\t")
}

// shown is how much of its text a mutant has in its name.
const shown = 120

// An edit is text put in at an offset. Of those at one place, what ends something comes before what begins something;
// the wider of two things begins first and ends last.
type edit struct {
	offset, width, order int
	begins               bool
	text                 string
}

// mutator finds the mutants of one package.
type mutator struct {
	*source
	mutants  []*mutant
	edits    map[*file][]edit
	seen     map[string]int
	order    int
	constant map[types.Object][]*mutant // by the constants that this package declares

	file     *file
	function string
	results  *ast.FieldList // of the innermost function
}

func newMutator(s *source) *mutator {
	return &mutator{source: s, edits: map[*file][]edit{}, seen: map[string]int{}, constant: map[types.Object][]*mutant{}}
}

func (u *mutator) note(kind, text string, at token.Pos) *mutant {
	if runes := []rune(text); len(runes) > shown {
		text = string(runes[:shown]) + "..."
	}
	m := &mutant{dir: u.dir, function: u.function, kind: kind, text: text, n: len(u.mutants) + 1}
	u.seen[m.key()]++
	m.nth = u.seen[m.key()]
	position := u.fset.Position(at)
	m.at = fmt.Sprintf("%s:%d", u.file.name, position.Line)
	u.mutants = append(u.mutants, m)
	return m
}

// put surrounds a node.
func (u *mutator) put(n ast.Node, before, after string) {
	u.order++
	from, to := u.offset(n.Pos()), u.offset(n.End())
	u.edits[u.file] = append(u.edits[u.file],
		edit{from, to - from, u.order, true, before}, edit{to, to - from, u.order, false, after})
}

// add makes one mutant of a node. In before, %d is its number.
func (u *mutator) add(n ast.Node, kind, before, after string) {
	m := u.note(kind, u.words(u.file, n), n.Pos())
	u.put(n, fmt.Sprintf(before, m.n), after)
}

// find goes over the functions of a file, and over the function literals outside of them.
func (u *mutator) find(f *file) {
	u.file = f
	for _, declaration := range f.tree.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if u.function = nameOf(d); d.Body != nil && d.Name.Name != "init" {
				u.body(d.Type, d.Body)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					u.function = value.Names[0].Name
					ast.Inspect(value, u.literal)
				}
			}
		}
	}
}

// literal goes into function literals, and into nothing else.
func (u *mutator) literal(n ast.Node) bool {
	l, ok := n.(*ast.FuncLit)
	if ok {
		u.body(l.Type, l.Body)
	}
	return !ok
}

func (u *mutator) body(typ *ast.FuncType, body *ast.BlockStmt) {
	outer := u.results
	u.results = typ.Results
	ast.Inspect(body, func(n ast.Node) bool {
		if l, ok := n.(*ast.FuncLit); ok {
			u.body(l.Type, l.Body)
			return false
		}
		u.node(n)
		return true
	})
	u.results = outer
}

func (u *mutator) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.IfStmt:
		u.condition(n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					u.condition(e)
				}
			}
		}
	case *ast.BinaryExpr:
		u.binary(n)
	case *ast.ReturnStmt:
		u.returned(n)
	case *ast.BlockStmt:
		u.removed(n.List)
	case *ast.CaseClause:
		u.removed(n.Body)
	case *ast.CommClause:
		u.removed(n.Body)
	}
}

func (u *mutator) condition(e ast.Expr) {
	u.add(e, "negate", "(zzMut(%d) != (", "))")
	u.add(e, "false", "(!zzMut(%d) && (", "))")
}

var neighbour = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}

func (u *mutator) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND, token.LOR:
		for _, e := range []ast.Expr{n.X, n.Y} {
			if b, ok := e.(*ast.BinaryExpr); ok && b.Op == n.Op {
				continue // its operands have their turn
			}
			if n.Op == token.LAND {
				u.add(e, "operand true", "(zzMut(%d) || (", "))")
			} else {
				u.add(e, "operand false", "(!zzMut(%d) && (", "))")
			}
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		if u.info.Types[n].Value != nil || !repeatable(n) {
			return
		}
		// One of the two is evaluated, and never both: an operand may count something.
		text := func(e ast.Expr) string { return string(u.file.text[u.offset(e.Pos()):u.offset(e.End())]) }
		other := text(n.X) + " " + neighbour[n.Op] + " " + text(n.Y)
		u.add(n, "bound "+neighbour[n.Op], "(zzMut(%[1]d) && ("+strings.ReplaceAll(other, "%", "%%")+") || zzMutActive != %[1]d && (", "))")
	}
}

// repeatable tells whether an expression may stand twice.
func repeatable(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			ok = false
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW
		}
		return ok
	})
	return ok
}

// removed makes mutants of which one leaves out one statement.
func (u *mutator) removed(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && u.info.Uses[id] == types.Universe.Lookup("panic") {
					continue // what follows may need a result
				}
			}
		case *ast.AssignStmt:
			if id, ok := s.Lhs[0].(*ast.Ident); s.Tok == token.DEFINE || ok && id.Name == "_" {
				continue
			}
		case *ast.ReturnStmt:
			if len(s.Results) > 0 || u.results != nil {
				continue
			}
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE && s.Tok != token.BREAK {
				continue
			}
		case *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
		default:
			continue
		}
		u.add(s, "remove", "if !zzMut(%d) { ", " }")
	}
}

// returned makes mutants of what a function returns: nothing at all, nothing in place of a refusal alone, and the
// opposite of a truth.
func (u *mutator) returned(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		return
	}
	var zero []string
	for _, field := range u.results.List {
		for range max(1, len(field.Names)) {
			zero = append(zero, "*new("+string(u.file.text[u.offset(field.Type.Pos()):u.offset(field.Type.End())])+")")
		}
	}
	instead := func(kind string, values []string) {
		u.add(n, kind, "if zzMut(%d) { return "+strings.ReplaceAll(strings.Join(values, ", "), "%", "%%")+" }; ", "")
	}
	for _, e := range n.Results {
		if id, ok := e.(*ast.Ident); u.isBool(e) && !(ok && id.Name == "true") && len(n.Results) == len(zero) {
			u.add(e, "negate", "(zzMut(%d) != (", "))")
		}
	}
	some := slices.IndexFunc(n.Results, u.something)
	if some < 0 {
		return
	}
	last := n.Results[len(n.Results)-1]
	if !u.something(last) || !u.refuses(last) {
		instead("return zero", zero)
		return
	}
	instead("no refusal", zero)
	if some < len(n.Results)-1 && !slices.ContainsFunc(n.Results, func(e ast.Expr) bool { return !repeatable(e) }) {
		var values []string
		for _, e := range n.Results[:len(n.Results)-1] {
			values = append(values, string(u.file.text[u.offset(e.Pos()):u.offset(e.End())]))
		}
		instead("no refusal", append(values, "nil"))
	}
}

func (u *mutator) isBool(e ast.Expr) bool {
	basic, ok := u.info.Types[e].Type.(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

// refuses tells whether an expression is an error or a refusal.
func (u *mutator) refuses(e ast.Expr) bool {
	t := u.info.Types[e].Type
	if t == nil || types.IsInterface(t) {
		return t != nil && t.String() == "error"
	}
	pointer, ok := t.(*types.Pointer)
	return ok && types.Implements(t, types.Universe.Lookup("error").Type().Underlying().(*types.Interface)) ||
		ok && strings.HasSuffix(pointer.String(), ".Refusal")
}

// something tells whether an expression is not plainly the zero value of its type.
func (u *mutator) something(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name != "nil" && e.Name != "false"
	case *ast.BasicLit:
		return e.Value != "0" && e.Value != `""`
	case *ast.CompositeLit:
		return len(e.Elts) > 0
	}
	return true
}
