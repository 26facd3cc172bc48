package archtest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const catalogueFile = "internal/archtest/requirements.tsv"

// doneIssues are the issues whose MUST requirements need a test. Whoever
// finishes an issue adds its number here.
var doneIssues = []string{"2", "3", "4", "5", "6", "9", "10", "11", "12", "14", "15", "16", "17", "18"}

var printTable = flag.Bool("table", false, "print the table requirement -> tests")

// requirement is one line of the catalogue: id, level, issue (0 means not
// planned), summary and, rarely, the reason why there is no test on purpose.
type requirement struct{ id, level, issue, summary, waived string }

func (r requirement) must() bool { return strings.HasPrefix(r.level, "MUST") }

var levels = []string{"MUST", "MUST NOT", "SHOULD", "MAY"}

func catalogue(t *testing.T) []requirement {
	t.Helper()
	var all []requirement
	for line := range strings.Lines(string(read(t, catalogueFile))) {
		column := append(strings.Split(strings.TrimRight(line, "\n"), "\t"), "")
		require.True(t, len(column) == 5 || len(column) == 6, "want 4 or 5 columns: %q", line)
		r := requirement{column[0], column[1], column[2], column[3], column[4]}
		require.Contains(t, levels, r.level, "%q", line)
		require.Regexp(t, `^[0-9]{1,2}$`, r.issue, "%q", line)
		require.NotEmpty(t, r.summary, "%q", line)
		all = append(all, r)
	}
	return all
}

// In a Go identifier the id stands with an underscore: TestCRIT_TOK_30.
var requirementID = regexp.MustCompile(`(DISC|JWKS|TOK|AUD|CLAIM|PRM|CHAL|MCP|SESS|PASS|DPOP|MTLS|INTRO|TENANT|` +
	`STEPUP|RAR|AUDIT|OBS|CONC|LIMITS|COMPAT|TEST|ISOL|STORE|FRESH|EXCH|STATE|RELOAD)[-_]([0-9]{2})`)

// idsIn finds the requirement ids in a text. A neighbouring capital, or a third
// digit, means that the match is part of another word.
func idsIn(text string) []string {
	var ids []string
	for _, m := range requirementID.FindAllStringSubmatchIndex(text, -1) {
		before := m[0] > 0 && 'A' <= text[m[0]-1] && text[m[0]-1] <= 'Z'
		after := m[1] < len(text) && '0' <= text[m[1]] && text[m[1]] <= '9'
		if !before && !after {
			ids = append(ids, text[m[2]:m[3]]+"-"+text[m[4]:m[5]])
		}
	}
	return ids
}

// idsOf collects requirement ids of one test file: id -> where. Only
// identifiers and string literals count, because a comment proves nothing.
func idsOf(file *ast.File, name string) map[string][]string {
	found := map[string][]string{}
	for _, declaration := range file.Decls {
		where := name
		if function, ok := declaration.(*ast.FuncDecl); ok {
			where += ":" + function.Name.Name
		}
		ast.Inspect(declaration, func(node ast.Node) bool {
			text := ""
			switch node := node.(type) {
			case *ast.Ident:
				text = node.Name
			case *ast.BasicLit:
				if node.Kind == token.STRING {
					text = node.Value
				}
			}
			for _, id := range idsIn(text) {
				if !slices.Contains(found[id], where) {
					found[id] = append(found[id], where)
				}
			}
			return true
		})
	}
	return found
}

func tracedTests(t *testing.T) map[string][]string {
	t.Helper()
	traced := map[string][]string{}
	for _, name := range goFiles(t, isTest) {
		_, file := parse(t, name)
		for id, where := range idsOf(file, name) {
			traced[id] = append(traced[id], where...)
		}
	}
	return traced
}

// TestTrace: each MUST of a finished issue has a test that
// carries its number, and no test carries a number that does not exist.
func TestTrace_TEST_01(t *testing.T) {
	requirements, traced := catalogue(t), tracedTests(t)
	known := map[string]bool{}
	tested, waived := 0, 0
	for _, r := range requirements {
		assert.False(t, known[r.id], "%s stands twice in %s", r.id, catalogueFile)
		known[r.id] = true
		tests := traced[r.id]
		switch {
		case len(tests) > 0:
			tested++
			assert.Empty(t, r.waived, "%s is waived and tested: drop one", r.id)
		case r.waived != "":
			waived++
		case r.must() && slices.Contains(doneIssues, r.issue):
			t.Errorf("%s (%s, issue %s) has no test: %s", r.id, r.level, r.issue, r.summary)
		}
		if *printTable {
			fmt.Fprintf(os.Stdout, "%-9s  %-8s  %s  %s\n", r.id, r.level, r.issue, row(r, tests))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(traced)) {
		assert.True(t, known[id], "%s is not in %s: %v", id, catalogueFile, traced[id])
	}
	summary := fmt.Sprintf("requirements: %d, with a test: %d, waived: %d, finished issues: %s",
		len(requirements), tested, waived, strings.Join(doneIssues, ", "))
	if *printTable {
		fmt.Fprintln(os.Stdout, summary)
	} else {
		t.Log(summary)
	}
}

func row(r requirement, tests []string) string {
	switch {
	case len(tests) > 0:
		return strings.Join(tests, "\n"+strings.Repeat(" ", 24))
	case r.waived != "":
		return "waived: " + r.waived
	default:
		return "-"
	}
}
