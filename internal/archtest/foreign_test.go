package archtest

import (
	"bytes"
	"go/ast"
	"go/printer"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ours are the values of log attributes in the root package and in internal/keys that are no foreign text,
// or are shown already where they are made. What is not listed goes through
// internal/foreign.
var ours = []string{
	"s.issuer.URL", "x.principal.Issuer", "p.Issuer", // the configured issuer, which is in ASCII
	"s.issuer.Audiences", "s.issuer.Algorithms", // the configuration's
	"denied.Error()", "f.Cause", "f.Detail", "f.Fix()", // made by internal/refusal and by internal/explain
	`explain.Finding{Cause: "metadata-no-pkce"}.Fix()`,
	"id",                                     // randomID
	"list",                                   // method of a list that is filtered
	"issuer", "s.registry.issuersOf(c.keys)", // configured, too
	`explain.Finding{Cause: "key-unsettled"}.Fix()`, `explain.Finding{Cause: "metadata-not-routed"}.Fix()`,
	"p.metadata.url",       // follows from Config.Resource, which is in ASCII
	"challenges", "tokens", // numbers
	"document", "after.Round(time.Second)", // a word of ours, a duration
	"cause", "explain.Finding{Cause: cause}.Fix()",
}

// showing are the functions that make foreign text fit for a log.
var showing = []string{"shown(", "shownError(", "shownURL(", "few(shownKeys(", "few(ShownSkipped(", "foreign.", `fmt.Sprintf("%T", `}

func source(t *testing.T, set *token.FileSet, node ast.Node) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, printer.Fprint(&b, set, node))
	return b.String()
}

// loggedValues are the expressions whose values a call writes into a log as text:
// every second argument after the message, or the second of slog.String.
func loggedValues(t *testing.T, set *token.FileSet, call *ast.CallExpr) []ast.Expr {
	t.Helper()
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	on := source(t, set, selector.X)
	switch name := selector.Sel.Name; {
	case on == "slog" && (name == "String" || name == "Any"):
		return call.Args[1:]
	case on != "log" && !strings.HasSuffix(on, ".log"), !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, name):
		return nil
	}
	var values []ast.Expr
	for i := 2; i < len(call.Args); i += 2 {
		values = append(values, call.Args[i])
	}
	return values
}

func goesRound(expression string) bool {
	if strings.HasPrefix(expression, `"`) || slices.Contains(ours, expression) {
		return false
	}
	return !slices.ContainsFunc(showing, func(prefix string) bool { return strings.HasPrefix(expression, prefix) })
}

// TestForeignTextInLogs: no value reaches a log line but through the function that shows it.
func TestForeignTextInLogs_OBS_11_AUDIT_04(t *testing.T) {
	seen := 0
	for _, name := range goFiles(t, func(name string) bool {
		return isCode(name) && (path.Dir(name) == "." || path.Dir(name) == "internal/keys")
	}) {
		set, file := parse(t, name)
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, value := range loggedValues(t, set, call) {
				if expression := source(t, set, value); goesRound(expression) {
					t.Errorf("%s: the log is given %s: show it (internal/foreign)", set.Position(value.Pos()), expression)
				}
				seen++
			}
			return true
		})
	}
	assert.Greater(t, seen, 30)
	assert.True(t, goesRound("err") && goesRound("doc.jwksURI") && goesRound("err.Error()") && goesRound("r.URL.Path"), "the test can fail")
}

// TestOneQuoter: strconv.Quote beside internal/foreign would be a second function that shows.
func TestOneQuoter_OBS_11(t *testing.T) {
	for _, name := range goFiles(t, func(name string) bool { return library(name) || strings.HasPrefix(name, "cmd/") && isCode(name) }) {
		if path.Dir(name) == "internal/foreign" || strings.HasPrefix(name, "mcpauthtest/") {
			continue
		}
		set, file := parse(t, name)
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && source(t, set, selector.X) == "strconv" && strings.HasPrefix(selector.Sel.Name, "Quote") {
				t.Errorf("%s: strconv.%s", set.Position(selector.Pos()), selector.Sel.Name)
			}
			return true
		})
	}
}
