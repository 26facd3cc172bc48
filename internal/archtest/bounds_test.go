package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
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

// inputProblems compares the table of what is bounded of an input, the one that has a column
// "value", with the constants, with the files that declare them and with the tables of the
// sections that are about inputs: what stands there, but for times, stands here too.
func inputProblems(text string, code map[string]int64, declared map[string]string) (problems []string, rows int) {
	listed, inputs, needed := map[string]bool{}, false, map[string]bool{}
	section := ""
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case strings.HasPrefix(line, "#"):
			section = strings.Trim(line, "# \n")
		case !strings.HasPrefix(line, "|"):
			inputs = false
		case len(cells) > 1 && strings.TrimSpace(cells[1]) == "value":
			inputs = true
		case strings.HasPrefix(line, "|---"):
		case !inputs && (section == "One request" || section == "Authorization servers"):
			for _, m := range boundInText.FindAllStringSubmatch(line, -1) {
				isTime := m[2] != "" && !strings.HasSuffix(m[2], "B")
				if boundName.MatchString(m[4]) && !isTime {
					needed[m[3]+m[4]] = true
				}
			}
		case inputs:
			rows++
			if len(cells) != 5 || slices.ContainsFunc(cells, func(cell string) bool { return strings.TrimSpace(cell) == "" }) {
				problems = append(problems, "not input, value, file, sent at most, refusing says: "+line)
				continue
			}
			for _, m := range boundInText.FindAllStringSubmatch(cells[1], -1) {
				name := m[3] + m[4]
				listed[name] = true
				var number int64
				_, _ = fmt.Sscan(strings.ReplaceAll(m[1], ",", ""), &number)
				if value, known := code[name]; !known || value != number*units[m[2]] {
					problems = append(problems, fmt.Sprintf("%s is %d, and not %s %s", name, value, m[1], m[2]))
				}
				if !strings.Contains(cells[2], "`"+declared[name]+"`") {
					problems = append(problems, name+" is declared in "+declared[name])
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if !listed[name] {
			problems = append(problems, "in the table of inputs there is no "+name)
		}
	}
	return problems, rows
}

// unnamedBounds finds bounds that have no name, and so no row: a length that is compared with a
// number, and limits that are numbers.
func unnamedBounds(set *token.FileSet, file *ast.File) (places []string) {
	number := func(e ast.Expr) bool {
		lit, ok := e.(*ast.BasicLit)
		return ok && lit.Kind == token.INT && len(lit.Value) > 1
	}
	length := func(e ast.Expr) bool {
		call, ok := e.(*ast.CallExpr)
		return ok && fmt.Sprint(call.Fun) == "len"
	}
	found := func(n ast.Node) { places = append(places, set.Position(n.Pos()).String()) }
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.GTR && length(n.X) && number(n.Y) || n.Op == token.LSS && number(n.X) && length(n.Y) {
				found(n)
			}
		case *ast.CompositeLit:
			if name := fmt.Sprint(n.Type); name != "Limits" && !strings.HasSuffix(name, " Limits}") {
				return true
			}
			for _, e := range n.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok && number(pair.Value) {
					found(pair)
				}
			}
		case *ast.CallExpr:
			if name := fmt.Sprint(n.Fun); strings.HasSuffix(name, " LimitReader}") || strings.HasSuffix(name, " MaxBytesReader}") {
				if number(n.Args[len(n.Args)-1]) {
					found(n)
				}
			}
		}
		return true
	})
	return places
}

// TestInputBounds: every constant that bounds an input has its value, its file, what real senders
// send and what a refusal says in one table; and no input is bounded by a number without a name.
func TestInputBounds_LIMITS_10(t *testing.T) {
	declared := map[string]string{}
	for _, name := range goFiles(t, bounded) {
		set, file := parse(t, name)
		for _, place := range unnamedBounds(set, file) {
			t.Errorf("%s: a bound without a name: give it one that begins with max, and a row in %s", place, guide)
		}
		prefix := ""
		if path.Dir(name) != "." {
			prefix = file.Name.Name + "."
		}
		for _, declaration := range file.Decls {
			if group, ok := declaration.(*ast.GenDecl); ok && group.Tok == token.CONST {
				for _, spec := range group.Specs {
					for _, ident := range spec.(*ast.ValueSpec).Names {
						declared[prefix+ident.Name] = name
					}
				}
			}
		}
	}
	problems, rows := inputProblems(string(read(t, guide)), boundsInCode(t), declared)
	for _, problem := range problems {
		t.Errorf("%s: %s", guide, problem)
	}
	assert.Greater(t, rows, 20)
}

func TestInputProblems(t *testing.T) {
	code, declared := map[string]int64{"maxA": 4 << 20, "p.maxB": 1000}, map[string]string{"maxA": "a.go", "p.maxB": "p/b.go"}
	head := "### Inputs\n\n| input | value | file | sent | says |\n|---|---|---|---|---|\n"
	good := head + "| a | 4 MiB (`maxA`), 1,000 (`p.maxB`) | `a.go`, `p/b.go` | 1 KiB | 413 |\n"
	request := "\n### One request\n\n| what | bound | of whom | when | test |\n|---|---|---|---|---|\n| a | 4 MiB (`maxA`) and 1,000 (`p.maxB`) | u | v | `T` |\n"
	for _, row := range []struct{ name, text, want string }{
		{"good", good + request, ""},
		{"wrong value", strings.Replace(good, "4 MiB", "4 KiB", 1), "maxA is 4194304, and not 4 KiB"},
		{"wrong file", strings.Replace(good, "`p/b.go`", "`b.go`", 1), "p.maxB is declared in p/b.go"},
		{"nothing is said of senders", strings.Replace(good, "1 KiB", "", 1), "not input, value, file"},
		{"not listed", strings.Replace(good, ", 1,000 (`p.maxB`)", "", 1) + request, "there is no p.maxB"},
	} {
		problems, _ := inputProblems(row.text, code, declared)
		if got := strings.Join(problems, "\n"); row.want == "" {
			assert.Empty(t, got, row.name)
		} else {
			assert.Contains(t, got, row.want, row.name)
		}
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "x.go", `package x
func f(s string) bool {
	_ = Limits{Depth: 16}
	_ = p.Limits{Depth: maxDepth, Members: 256, Strict: true}
	_ = io.LimitReader(r, 100)
	_ = http.MaxBytesReader(w, r, maxBody)
	return len(s) > 255 || 300 < len(s) || len(s) > maxS || len(s) > 1 || len(s) < 32
}`, 0)
	require.NoError(t, err)
	assert.Equal(t, []string{"x.go:3:13", "x.go:4:32", "x.go:5:6", "x.go:7:9", "x.go:7:25"}, unnamedBounds(set, file))
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
