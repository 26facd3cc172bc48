package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// most is how many lines of a server may change: a replaced line counts once.
const most = 10

// TestReadmeDiff: the README shows what really changes, and it is little.
func TestReadmeDiff(t *testing.T) {
	if module, err := os.ReadFile("../../go.mod"); err != nil || !strings.HasPrefix(string(module), "module github.com/seed-1e292522/mcpauth\n") {
		t.Skip("somebody has copied the directory")
	}
	before, after := lines(t, "before/main.go"), lines(t, "main.go")
	var changes []string
	added, removed := 0, 0
	for _, line := range diff(before, after) {
		switch line[0] {
		case '+':
			added++
		case '-':
			removed++
		default:
			continue
		}
		changes = append(changes, line)
	}
	assert.Positive(t, added)
	assert.LessOrEqual(t, max(added, removed), most)

	var shown []string
	for _, line := range readmeDiff(t) {
		if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
			shown = append(shown, line)
		} else if text := strings.TrimPrefix(line, " "); text != "" {
			assert.Contains(t, before, text, "context that is not there")
			assert.Contains(t, after, text, "context that is not there")
		}
	}
	assert.Equal(t, changes, shown, "the README shows another diff")
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
}

// readmeDiff returns the one diff that the README has.
func readmeDiff(t *testing.T) []string {
	t.Helper()
	_, rest, found := strings.Cut(strings.Join(lines(t, "../../README.md"), "\n"), "\n```diff\n")
	require.True(t, found, "README.md has no diff")
	block, rest, found := strings.Cut(rest, "\n```\n")
	require.True(t, found)
	require.NotContains(t, rest, "\n```diff\n", "README.md has two diffs")
	return strings.Split(block, "\n")
}

// diff is the shortest edit script, by the longest common subsequence: each
// line with a space, a plus or a minus in front.
func diff(a, b []string) []string {
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var script []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			script = append(script, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			script = append(script, "-"+a[i])
			i++
		default:
			script = append(script, "+"+b[j])
			j++
		}
	}
	return script
}
