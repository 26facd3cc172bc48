package archtest

import (
	"bytes"
	"go/ast"
	"strings"
	"testing"
)

const (
	maxFileLines     = 450
	maxFunctionLines = 60
)

// measured leaves out internal/jsonrpc/corpus: it is a list of hostile bodies
// in Go syntax. Data has no reader's limit, and cutting it into files would
// only hide how much there is.
func measured(name string) bool {
	return isCode(name) && !strings.HasPrefix(name, "internal/jsonrpc/corpus/")
}

func TestSizes(t *testing.T) {
	largest, longest := "", ""
	lines, span := 0, 0
	for _, name := range goFiles(t, measured) {
		n := bytes.Count(read(t, name), []byte("\n"))
		if n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it by meaning", name, n, maxFileLines)
		}
		if n > lines {
			largest, lines = name, n
		}
		set, file := parse(t, name)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", name, function.Name.Name, n, maxFunctionLines)
			}
			if n > span {
				longest, span = name+": "+function.Name.Name, n
			}
		}
	}
	t.Logf("largest file: %s, %d lines; longest function: %s, %d lines", largest, lines, longest, span)
}
