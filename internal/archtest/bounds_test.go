package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const guide = "docs/operations.md"

var (
	// A constant that bounds something is called so.
	boundName = regexp.MustCompile(`^[mM]ax[A-Z]|[tT]imeout$|^coolDown$`)
	// In the guide its value stands in front of its name: 4 MiB (`maxBody`), or 100 fields (`maxHeaderFields`).
	boundInText = regexp.MustCompile("([0-9][0-9,]*)(?: (KiB|MiB|ms|s|min|h)\\b)?[^0-9(]*\\(`([a-z]+\\.)?([A-Za-z]+)`")
	anyBound    = regexp.MustCompile("\\(`([a-z]+\\.)?([A-Za-z]+)`")
)

var units = map[string]int64{
	"": 1, "KiB": 1 << 10, "MiB": 1 << 20,
	"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
}

// bounded are the packages that run in somebody's server or are its tools.
func bounded(name string) bool {
	for _, outside := range []string{"examples/", "interop/", "bench/", "internal/faults/", "internal/jsonrpc/corpus/", "mcpauthtest/"} {
		if strings.HasPrefix(name, outside) {
			return false
		}
	}
	return isCode(name) && !strings.Contains(name, "/example/")
}

// constantsOf evaluates the integer constants of the files of one package; those of others it
// knows are of time and math.
func constantsOf(files []*ast.File) map[string]constant.Value {
	values := map[string]constant.Value{}
	var eval func(ast.Expr) constant.Value
	eval = func(e ast.Expr) constant.Value {
		switch e := e.(type) {
		case *ast.BasicLit:
			return constant.MakeFromLiteral(e.Value, e.Kind, 0)
		case *ast.ParenExpr:
			return eval(e.X)
		case *ast.Ident:
			return values[e.Name]
		case *ast.SelectorExpr:
			return foreign[fmt.Sprint(e.X, ".", e.Sel)]
		case *ast.BinaryExpr:
			x, y := eval(e.X), eval(e.Y)
			switch {
			case x == nil || y == nil || x.Kind() != constant.Int || y.Kind() != constant.Int:
				return nil
			case e.Op == token.SHL:
				n, _ := constant.Uint64Val(y)
				return constant.Shift(x, e.Op, uint(n))
			case e.Op == token.QUO:
				return constant.BinaryOp(x, token.QUO_ASSIGN, y) // of integers
			}
			return constant.BinaryOp(x, e.Op, y)
		}
		return nil
	}
	for range 2 { // one may stand in front of what it is made of
		for _, file := range files {
			for _, declaration := range file.Decls {
				if group, ok := declaration.(*ast.GenDecl); ok && group.Tok == token.CONST {
					for _, spec := range group.Specs {
						for i, value := range spec.(*ast.ValueSpec).Values {
							values[spec.(*ast.ValueSpec).Names[i].Name] = eval(value)
						}
					}
				}
			}
		}
	}
	return values
}

var foreign = map[string]constant.Value{
	"time.Millisecond": constant.MakeInt64(int64(time.Millisecond)), "time.Second": constant.MakeInt64(int64(time.Second)),
	"time.Minute": constant.MakeInt64(int64(time.Minute)), "time.Hour": constant.MakeInt64(int64(time.Hour)),
	"math.MaxInt32": constant.MakeInt64(math.MaxInt32),
}

// boundsInCode are the integer constants of the repository, by the names that the guide gives them.
func boundsInCode(t *testing.T) map[string]int64 {
	t.Helper()
	packages := map[string][]*ast.File{}
	for _, name := range goFiles(t, bounded) {
		_, file := parse(t, name)
		packages[path.Dir(name)] = append(packages[path.Dir(name)], file)
	}
	all := map[string]int64{}
	for dir, parsed := range packages {
		prefix := ""
		if dir != "." {
			prefix = parsed[0].Name.Name + "."
		}
		for name, value := range constantsOf(parsed) {
			if value == nil || value.Kind() != constant.Int {
				continue
			}
			if n, exact := constant.Int64Val(value); exact {
				all[prefix+name] = n
			}
		}
	}
	return all
}

// boundProblems compares the tables of a guide, those that have a column "bound", with the constants.
func boundProblems(text string, code map[string]int64, tests map[string][]string) (problems []string, rows int) {
	listed := map[string]bool{}
	inTable := false
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
			continue
		case len(cells) > 1 && strings.TrimSpace(cells[1]) == "bound":
			inTable = true
			continue
		case !inTable || strings.HasPrefix(line, "|---"):
			continue
		}
		rows++
		if len(cells) != 5 {
			problems = append(problems, fmt.Sprintf("%d cells instead of what, bound, of whom, who pays, test: %s", len(cells), line))
			continue
		}
		for i, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				problems = append(problems, fmt.Sprintf("cell %d is empty: %s", i+1, line))
			}
		}
		named := testName.FindAllString(cells[4], -1)
		if len(named) == 0 {
			problems = append(problems, "no test: "+line)
		}
		for _, name := range named {
			if tests[name] == nil {
				problems = append(problems, "no such test: "+name)
			}
		}
		written := map[string]bool{}
		for _, m := range boundInText.FindAllStringSubmatch(line, -1) {
			name := m[3] + m[4]
			written[name], listed[name] = true, true
			var number int64
			_, _ = fmt.Sscan(strings.ReplaceAll(m[1], ",", ""), &number)
			if value, known := code[name]; !known {
				problems = append(problems, "no such constant: "+name)
			} else if value != number*units[m[2]] {
				problems = append(problems, fmt.Sprintf("%s is %d, and not %s %s", name, value, m[1], m[2]))
			}
		}
		for _, m := range anyBound.FindAllStringSubmatch(line, -1) {
			if !written[m[1]+m[2]] {
				problems = append(problems, "no value in front of "+m[1]+m[2])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if boundName.MatchString(name[strings.LastIndexByte(name, '.')+1:]) && !listed[name] {
			problems = append(problems, "in no table: "+name)
		}
	}
	return problems, rows
}

// TestBounds: every constant that bounds something stands in the guide for operators, with its value, with
// the one whose bound it is and with a test; and what stands there is in the code.
func TestBounds_LIMITS_10_LIMITS_13(t *testing.T) {
	code := boundsInCode(t)
	problems, rows := boundProblems(string(read(t, guide)), code, testFunctions(t))
	for _, problem := range problems {
		t.Errorf("%s: %s", guide, problem)
	}
	require.Greater(t, len(code), 80)
	assert.Greater(t, rows, 30)
	t.Logf("rows: %d", rows)
}

func TestBoundProblems(t *testing.T) {
	code := map[string]int64{"maxA": 4 << 20, "p.maxB": 1000, "coolDown": int64(30 * time.Second), "size": 7}
	tests := map[string][]string{"TestA": {"x"}}
	head := "| what | bound | of whom | when | test |\n|---|---|---|---|---|\n"
	good := head + "| a | 4 MiB (`maxA`) and 1,000 things (`p.maxB`) | u | v | `TestA` |\n| c | one in 30 s (`coolDown`) | u | v | `TestA` |\n"
	for _, row := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"another table", good + "\n| a | b |\n|---|---|\n| 9 (`maxC`) | |\n", ""},
		{"another constant may stand there", good + "| d | 7 (`size`) | u | v | `TestA` |\n", ""},
		{"wrong value", strings.Replace(good, "4 MiB", "5 MiB", 1), "maxA is 4194304, and not 5 MiB"},
		{"wrong unit", strings.Replace(good, "4 MiB", "4 KiB", 1), "maxA is 4194304, and not 4 KiB"},
		{"wrong time", strings.Replace(good, "30 s", "30 min", 1), "coolDown is 30000000000, and not 30 min"},
		{"no value", strings.Replace(good, "one in 30 s (", "rarely (", 1), "no value in front of coolDown"},
		{"no such constant", good + "| d | 7 (`maxD`) | u | v | `TestA` |\n", "no such constant: maxD"},
		{"not listed", strings.Replace(good, " and 1,000 things (`p.maxB`)", "", 1), "in no table: p.maxB"},
		{"nobody's", strings.Replace(good, "| u | v", "| | v", 1), "cell 3 is empty"},
		{"no test", strings.Replace(good, "`TestA` |\n| c", "- |\n| c", 1), "no test: "},
		{"no such test", strings.Replace(good, "`TestA` |\n| c", "`TestB` |\n| c", 1), "no such test: TestB"},
		{"cells", head + "| a | 4 MiB (`maxA`) |\n" + good, "2 cells"},
	} {
		problems, _ := boundProblems(row.text, code, tests)
		got := strings.Join(problems, "\n")
		if row.want == "" {
			assert.Empty(t, got, row.name)
			continue
		}
		assert.Contains(t, got, row.want, row.name)
	}
}
