package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	maxExportedNames = 60
	maxConfigFields  = 20
	apiGolden        = "testdata/api.golden"
)

// rootPackage returns the documentation model of the root package, which holds
// exported declarations only. It is parsed and not compiled, so that a budget
// can be read even while the package is being rebuilt.
func rootPackage(t *testing.T) (*token.FileSet, *doc.Package) {
	t.Helper()
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range goFiles(t, func(name string) bool { return isCode(name) && path.Dir(name) == "." }) {
		file, err := parser.ParseFile(set, name, read(t, name), 0)
		require.NoError(t, err)
		parsed = append(parsed, file)
	}
	require.NotEmpty(t, parsed)
	pkg, err := doc.NewFromFiles(set, parsed, module)
	require.NoError(t, err)
	return set, pkg
}

// everything visits all exported declarations of pkg in a stable order.
func everything(pkg *doc.Package, value func(*doc.Value), function func(*doc.Func), typ func(*doc.Type)) {
	all := func(values []*doc.Value, functions []*doc.Func) {
		for _, v := range values {
			value(v)
		}
		for _, f := range functions {
			function(f)
		}
	}
	all(pkg.Consts, nil)
	all(pkg.Vars, pkg.Funcs)
	for _, t := range pkg.Types {
		typ(t)
		all(t.Consts, nil)
		all(t.Vars, t.Funcs)
		all(nil, t.Methods)
	}
}

func TestAPIBudget(t *testing.T) {
	_, pkg := rootPackage(t)
	names, methods := 0, 0
	config := -1
	everything(pkg, func(v *doc.Value) {
		for _, name := range v.Names {
			if ast.IsExported(name) {
				names++
			}
		}
	}, func(f *doc.Func) {
		if f.Recv != "" {
			methods++
		} else {
			names++
		}
	}, func(typ *doc.Type) {
		names++
		if typ.Name == "Config" {
			config = fields(typ)
		}
	})
	t.Logf("exported names: %d, methods: %d, fields of Config: %d", names, methods, config)
	assert.LessOrEqual(t, names, maxExportedNames, "exported names of the root package")
	assert.LessOrEqual(t, config, maxConfigFields, "fields of Config")
	assert.Positive(t, config, "there is no struct type Config")
}

func fields(typ *doc.Type) int {
	n := 0
	for _, spec := range typ.Decl.Specs {
		structure, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range structure.Fields.List {
			n += max(len(field.Names), 1)
		}
	}
	return n
}

func TestAPIGolden(t *testing.T) {
	set, pkg := rootPackage(t)
	var got bytes.Buffer
	fmt.Fprintf(&got, "package %s\n", pkg.Name)
	style := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
	show := func(w io.Writer, node any) {
		fmt.Fprintln(w)
		require.NoError(t, style.Fprint(w, set, node))
		fmt.Fprintln(w)
	}
	everything(pkg,
		func(v *doc.Value) { show(&got, v.Decl) },
		func(f *doc.Func) { show(&got, f.Decl) },
		func(typ *doc.Type) { show(&got, typ.Decl) })
	if *update {
		require.NoError(t, os.WriteFile(path.Join("../..", apiGolden), got.Bytes(), 0o644))
	}
	assert.Equal(t, string(read(t, apiGolden)), got.String(),
		"the exported API changed: if that is meant, run make golden and say so in CHANGELOG.md")
}

// told are the structs with exported fields alone that this library makes and a program reads. All
// others are written by programs: an unexported field forbids literals without field names, so that
// a later version may have more fields.
var told = strings.Fields(`
	mcpauth.Coverage mcpauth.CoverageEntry mcpauth.ConfigChange mcpauth.ConfigError mcpauth.ConfigStatus
	mcpauth.IssuerStatus mcpauth.Ruling mcpauth.Served mcpauth.TokenMemory
	auditlog.Record auditlog.Change auditlog.Call
	conformance.Result conformance.Report conformance.UnreachableError
	mcpauthtest.Exchange onbehalf.Event onbehalf.Answer sealed.ConfigError
`)

func TestFieldNames(t *testing.T) {
	var open []string
	for _, name := range goFiles(t, func(name string) bool {
		return isCode(name) && !strings.Contains("/"+name, "/internal/") && !strings.Contains("/"+name, "/example") &&
			!within(name, "interop") && !within(name, "bench") && !within(name, "cmd")
	}) {
		_, file := parse(t, name)
		for _, declaration := range file.Decls {
			d, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok && typ.Name.IsExported() && exportedAlone(typ.Type) {
					open = append(open, file.Name.Name+"."+typ.Name.Name)
				}
			}
		}
	}
	assert.ElementsMatch(t, told, open, "give a struct that programs write `_ [0]func() // keyed literals only`, and put one that they read here")
}

// exportedAlone reports whether a type is a struct that can be written without the names of its fields.
func exportedAlone(typ ast.Expr) bool {
	structure, ok := typ.(*ast.StructType)
	if !ok || len(structure.Fields.List) == 0 {
		return false
	}
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			if !name.IsExported() {
				return false
			}
		}
	}
	return true
}
