package archtest

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exported has the names that others can use, by package and by type: members of types that have
// one name in several packages are together.
type exported struct{ packages, types map[string]map[string]bool }

func (e *exported) add(in map[string]map[string]bool, where, name string) {
	if in[where] == nil {
		in[where] = map[string]bool{}
	}
	in[where][name] = true
}

func (e *exported) file(file *ast.File) {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				e.add(e.packages, file.Name.Name, d.Name.Name)
				continue
			}
			receiver := d.Recv.List[0].Type
			if pointer, is := receiver.(*ast.StarExpr); is {
				receiver = pointer.X
			}
			if name, is := receiver.(*ast.Ident); is {
				e.add(e.types, name.Name, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						e.add(e.packages, file.Name.Name, name.Name)
					}
				case *ast.TypeSpec:
					e.add(e.packages, file.Name.Name, s.Name.Name)
					e.members(s)
				}
			}
		}
	}
}

func (e *exported) members(s *ast.TypeSpec) {
	var fields *ast.FieldList
	switch of := s.Type.(type) {
	case *ast.StructType:
		fields = of.Fields
	case *ast.InterfaceType:
		fields = of.Methods
	default:
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			e.add(e.types, s.Name.Name, name.Name)
		}
	}
}

var (
	// A name behind a dot, as Config.Scopes, sealed.Config.Keys or Middleware.Reload.
	goName  = regexp.MustCompile("`([A-Za-z]+)((?:\\.[A-Z][A-Za-z]*)+)")
	ofTypes = regexp.MustCompile(`^[A-Z]`)
)

// absent returns the names in a text that a package or a type of ours does not have. Others are not looked at.
func (e *exported) absent(text string) (names []string) {
	for _, match := range goName.FindAllStringSubmatch(text, -1) {
		where := match[1]
		for name := range strings.SplitSeq(match[2][1:], ".") {
			in := e.packages[where]
			if ofTypes.MatchString(where) {
				in = e.types[where]
			}
			if in == nil {
				break
			}
			if !in[name] {
				names = append(names, where+"."+name)
			}
			where = name
		}
	}
	return names
}

// TestPagesNames: fields, methods and functions that a page names are there. CHANGELOG.md names those that were.
func TestPagesNames_TEST_16(t *testing.T) {
	e := &exported{map[string]map[string]bool{}, map[string]map[string]bool{}}
	for _, name := range goFiles(t, func(name string) bool {
		return bounded(name) && !strings.Contains("/"+name, "/internal/") && !strings.HasPrefix(name, "cmd/") || isCode(name) && strings.HasPrefix(name, "mcpauthtest/")
	}) {
		_, file := parse(t, name)
		e.file(file)
	}
	require.Greater(t, len(e.types["Config"]), 18)
	for _, page := range pages(t) {
		if page != "CHANGELOG.md" {
			assert.Empty(t, e.absent(prose(string(read(t, page)))), page)
		}
	}
}

func TestAbsentNames(t *testing.T) {
	e := &exported{
		packages: map[string]map[string]bool{"p": {"Config": true, "New": true}},
		types:    map[string]map[string]bool{"Config": {"Keys": true}, "Middleware": {"Wrap": true}},
	}
	assert.Empty(t, e.absent("`p.New(x)`, `p.Config.Keys`, `Config.Keys: 1`, `Middleware.Wrap`, `Other.Thing`, `q.New`, Config.Bad, `Config.Keys.Deeper`, `p.go`"))
	assert.Equal(t, []string{"p.Old", "Config.Keyz", "Middleware.Unwrap"}, e.absent("`p.Old`, `p.Config.Keyz` and `Middleware.Unwrap()`"))
}
