package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listed is what the go command tells of a package.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
}

// source is a package with its types, as it was before anything is changed.
type source struct {
	dir   string // below the root of the module, with slashes
	fset  *token.FileSet
	pkg   *types.Package
	info  *types.Info
	files []*file
}

type file struct {
	path, name string
	text       []byte
	tree       *ast.File
}

// load reads the packages of a module, each in a directory below its root.
func load(root string, dirs []string) ([]*source, error) {
	args := []string{"list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles"}
	for _, dir := range dirs {
		args = append(args, "./"+dir)
	}
	command := exec.Command("go", args...)
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	byDir, exports := map[string]listed{}, map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		byDir[p.Dir], exports[p.ImportPath] = p, p.Export
	}
	var sources []*source
	for _, dir := range dirs {
		s, err := check(byDir[filepath.Join(root, dir)], exports)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		s.dir = dir
		sources = append(sources, s)
	}
	return sources, nil
}

func check(p listed, exports map[string]string) (*source, error) {
	s := &source{fset: token.NewFileSet(), info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}}
	var trees []*ast.File
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tree, err := parser.ParseFile(s.fset, path, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		trees = append(trees, tree)
		s.files = append(s.files, &file{path: path, name: name, text: text, tree: tree})
	}
	config := types.Config{Importer: importer.ForCompiler(s.fset, "gc", func(imported string) (io.ReadCloser, error) {
		return os.Open(exports[imported])
	})}
	var err error
	s.pkg, err = config.Check(p.ImportPath, s.fset, trees, s.info)
	return s, err
}

func (s *source) offset(pos token.Pos) int { return s.fset.Position(pos).Offset }

// words are the text of a node, in one line.
func (s *source) words(f *file, n ast.Node) string {
	return strings.Join(strings.Fields(string(f.text[s.offset(n.Pos()):s.offset(n.End())])), " ")
}

// nameOf is a function's name with its receiver's: "Set.get".
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch generic := t.(type) {
	case *ast.IndexExpr:
		t = generic.X
	case *ast.IndexListExpr:
		t = generic.X
	}
	return t.(*ast.Ident).Name + "." + f.Name.Name
}
