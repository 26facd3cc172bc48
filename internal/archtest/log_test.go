package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logLevels are the methods of slog.Logger that write a line, and their levels. One whose
// level is decided while it runs has none.
var logLevels = map[string]string{"Info": "Info", "Warn": "Warn", "Error": "Error", "LogAttrs": ""}

// loggedIn finds the messages of the log lines in a file, with their levels.
func loggedIn(file *ast.File) map[string]string {
	logged := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		level, ok := logLevels[method.Sel.Name]
		for _, argument := range call.Args {
			if sum, isSum := argument.(*ast.BinaryExpr); isSum {
				argument = sum.X // the beginning is enough
			}
			text, isLiteral := argument.(*ast.BasicLit)
			if ok && isLiteral && text.Kind == token.STRING {
				message, _ := strconv.Unquote(text.Value)
				if rest, ours := strings.CutPrefix(message, "mcpauth: "); ours && rest != "" { // "": a warning of New
					logged[message] = level
				}
			}
		}
		return true
	})
	return logged
}

// TestLogTable: each line that the library writes to the log stands in the guide, with its
// level, and no other does. A row has the message, or the beginning of it.
func TestLogTable(t *testing.T) {
	logged := map[string]string{}
	for _, name := range goFiles(t, isCode) {
		if strings.Contains(name, "/") && !strings.HasPrefix(name, "internal/") {
			continue
		}
		_, file := parse(t, name)
		for message, level := range loggedIn(file) {
			logged[message] = level
		}
	}
	require.Greater(t, len(logged), 15)
	rows := regexp.MustCompile("(?m)^\\| `(mcpauth: [^`]*)` \\| ([^|]*) \\|").FindAllStringSubmatch(string(read(t, "docs/observability.md")), -1)
	used := map[string]bool{}
	for message, level := range logged {
		row := slices.IndexFunc(rows, func(row []string) bool { return strings.HasPrefix(message, row[1]) })
		if assert.GreaterOrEqual(t, row, 0, "docs/observability.md has no row for %q", message) {
			used[rows[row][1]] = true
			assert.Contains(t, rows[row][2], level, "%q", message)
		}
	}
	for _, row := range rows {
		assert.True(t, used[row[1]], "docs/observability.md has a row for %q, which nobody logs", row[1])
	}
	table, _, _ := strings.Cut(string(read(t, "docs/observability.md")), rows[len(rows)-1][0])
	_, table, _ = strings.Cut(table, rows[0][0])
	assert.NotContains(t, table, "\n\n", "an empty line ends the table")
}
