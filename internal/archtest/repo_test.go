package archtest

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/seed-1e292522/mcpauth"

var update = flag.Bool("update", false, "rewrite the golden files")

// The repository root, seen from the directory in which the tests of this
// package run.
var root = os.DirFS("../..")

// files lists, with slashes and relative to the root, the files of the
// repository. The walk comes first because go test notes the directories that
// it reads: a new file then invalidates a cached result. What git ignores is
// taken out afterwards; without git (a module from a proxy) all of it counts.
func files(t *testing.T) []string {
	t.Helper()
	var names []string
	require.NoError(t, fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	}))
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = "../.."
	if out, err := list.Output(); err == nil {
		known := map[string]bool{}
		for name := range strings.SplitSeq(string(out), "\x00") {
			known[name] = true
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !known[name] })
	}
	require.NotEmpty(t, names)
	return names
}

// goFiles lists the Go files of the repository for which keep is true. Files
// below testdata are input of tests, not code.
func goFiles(t *testing.T, keep func(name string) bool) []string {
	t.Helper()
	return slices.DeleteFunc(files(t), func(name string) bool {
		return path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") || !keep(name)
	})
}

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }
func isCode(name string) bool { return !isTest(name) }

// nested reports whether the file belongs to a nested module, which has its
// own dependencies.
func nested(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(root, path.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := fs.ReadFile(root, name)
	require.NoError(t, err)
	return bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
}

func parse(t *testing.T, name string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, read(t, name), parser.SkipObjectResolution)
	require.NoError(t, err)
	return set, file
}

// golist returns the lines that go list prints in the root directory.
func golist(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = filepath.Join("..", "..")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, stderr.String())
	return strings.Fields(string(out))
}
