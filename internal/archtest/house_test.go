package archtest

import (
	"cmp"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rooms are the packages that carry the contracts, and what of ours each may import.
var rooms = map[string][]string{
	"refusal":    {"foreign"},
	"match":      {"fold"},
	"mcp":        {"foreign", "jsonrpc", "refusal"},
	"reply":      {"strictjson"},
	"owned":      {"shared"},
	"shared":     {"seal"},
	"identity":   {"between", "onward"},
	"onward":     {},
	"edition":    {},
	"introspect": {"explain", "fetch", "foreign", "refusal", "strictjson", "tokencache"},
	"keys":       {"explain", "fetch", "foreign", "jose", "refusal", "strictjson"},
	"dpop":       {"foreign", "jose", "refusal", "strictjson"},
	"token":      {"challenge", "foreign", "jose", "refusal", "strictjson"},
}

func TestRooms(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range goFiles(t, library) {
		dir, inside := strings.CutPrefix(path.Dir(name), "internal/")
		allowed, isRoom := rooms[dir]
		if !inside || !isRoom {
			continue
		}
		seen[dir] = true
		_, file := parse(t, name)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if other, ours := strings.CutPrefix(imported, module+"/internal/"); ours {
				assert.Contains(t, allowed, other, name)
			}
		}
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(rooms)), slices.Collect(maps.Keys(seen)))
}

// An alias of an internal type would have fields that the documentation does not show.
func TestNoAliases(t *testing.T) {
	for _, name := range goFiles(t, func(name string) bool { return isCode(name) && path.Dir(name) == "." }) {
		_, file := parse(t, name)
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok && spec.Assign.IsValid() {
				t.Errorf("%s: %s is an alias", name, spec.Name.Name)
			}
			return true
		})
	}
}

// parts are the types of which [mcpauth.Middleware] is made, and the files that touch their fields. New
// fills them.
var parts = map[string][]string{
	"Middleware": {"middleware.go", "reload.go"},
	"public":     {"metadata.go", "origin.go"},
	"verifier":   {"verify.go", "jwks.go", "explain.go"},
	"refuser":    {"refuse.go"},
	"decider":    {"scopes.go"},
	"belongings": {"session.go", "unnamed.go", "receiver.go", "request.go"},
	"operator":   {"operator.go", "decision.go"},
	"memory":     {"verify.go"},
}

// doors are the fields that others may touch: everybody tells the operator, and asks what callers have here, what lasts, and
// how the configuration stands.
var doors = []string{"operator.log", "Middleware.operator", "Middleware.owned", "Middleware.standing", "belongings.lasts"}

func TestParts(t *testing.T) {
	house := typed(t)
	for part, names := range parts {
		for _, name := range names {
			assert.NotEmpty(t, read(t, name), part)
		}
	}
	fields := map[types.Object]string{}
	for part := range parts {
		object := house.pkg.Scope().Lookup(part)
		require.NotNil(t, object, part)
		s, ok := object.Type().Underlying().(*types.Struct)
		require.True(t, ok, part)
		for field := range s.Fields() {
			fields[field] = part
		}
	}
	for id, object := range house.info.Uses {
		part, isField := fields[object]
		file := house.file(id.Pos())
		if isField && !slices.Contains(parts[part], file) && !slices.Contains(doors, part+"."+id.Name) && !house.builds(id.Pos()) {
			t.Errorf("%s touches %s.%s", file, part, id.Name)
		}
	}
}

// maxKnot is how many files of the root may use one another in a circle. A request and its parts know
// one another, which are methods of types that the whole is made of: it must not grow.
const maxKnot = 22

func TestKnot(t *testing.T) {
	house := typed(t)
	uses := map[string]map[string]int{}
	for id, object := range house.info.Uses {
		if object.Pkg() != house.pkg || !object.Pos().IsValid() {
			continue
		}
		from, to := house.file(id.Pos()), house.file(object.Pos())
		if from == to {
			continue
		}
		if uses[from] == nil {
			uses[from] = map[string]int{}
		}
		uses[from][to]++
	}
	knot := largestKnot(uses)
	total := 0
	for _, from := range knot {
		for to, n := range uses[from] {
			if slices.Contains(knot, to) {
				total += n
			}
		}
	}
	t.Logf("%d of %d files in one knot, %d uses between them: %s", len(knot), len(house.files), total, strings.Join(knot, " "))
	for _, name := range []string{"Middleware", "generation", "exchange", "response", "lease"} {
		object := house.pkg.Scope().Lookup(name)
		s := object.Type().Underlying().(*types.Struct)
		t.Logf("%s: %d fields, %d methods", name, s.NumFields(), object.Type().(*types.Named).NumMethods())
	}
	assert.LessOrEqual(t, len(knot), maxKnot)
}

// largestKnot finds the largest strongly connected component (Tarjan).
func largestKnot(uses map[string]map[string]int) (largest []string) {
	index, low, on := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var visit func(string)
	visit = func(v string) {
		index[v], low[v] = len(index)+1, len(index)+1
		stack, on[v] = append(stack, v), true
		for w := range uses[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if on[w] {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] == index[v] {
			at := slices.Index(stack, v)
			knot := slices.Clone(stack[at:])
			for _, w := range knot {
				on[w] = false
			}
			stack = stack[:at]
			if len(knot) > len(largest) {
				largest = knot
			}
		}
	}
	for v := range uses {
		if index[v] == 0 {
			visit(v)
		}
	}
	slices.Sort(largest)
	return largest
}

func TestLargestKnot(t *testing.T) {
	assert.Equal(t, []string{"a", "b", "c"}, largestKnot(map[string]map[string]int{
		"a": {"b": 1}, "b": {"c": 1, "d": 1}, "c": {"a": 1}, "d": {"e": 1}, "e": {"d": 1},
	}))
}

// typedPackage is the root package with its types.
type typedPackage struct {
	set   *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

func (p *typedPackage) file(pos token.Pos) string { return path.Base(p.set.Position(pos).Filename) }

// builds reports whether a place is in what New runs: its file, or a method of its builder.
func (p *typedPackage) builds(pos token.Pos) bool {
	if p.file(pos) == "new.go" {
		return true
	}
	for _, file := range p.files {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv == nil || pos < f.Pos() || pos >= f.End() {
				continue
			}
			star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			if name, isName := star.X.(*ast.Ident); ok && isName && name.Name == "builder" {
				return true
			}
		}
	}
	return false
}

func typed(t *testing.T) *typedPackage {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the go command")
	}
	exports := map[string]string{}
	for _, line := range golist(t, "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".") {
		imported, file, _ := strings.Cut(line, "=")
		exports[imported] = file
	}
	p := &typedPackage{set: token.NewFileSet(), info: &types.Info{Uses: map[*ast.Ident]types.Object{}}}
	for _, name := range goFiles(t, func(name string) bool { return isCode(name) && path.Dir(name) == "." }) {
		file, err := parser.ParseFile(p.set, name, read(t, name), parser.SkipObjectResolution)
		require.NoError(t, err)
		p.files = append(p.files, file)
	}
	slices.SortFunc(p.files, func(a, b *ast.File) int { return cmp.Compare(a.Pos(), b.Pos()) })
	config := types.Config{Importer: importer.ForCompiler(p.set, "gc", func(imported string) (io.ReadCloser, error) {
		return os.Open(exports[imported])
	})}
	var err error
	p.pkg, err = config.Check(module, p.set, p.files, p.info)
	require.NoError(t, err)
	return p
}
