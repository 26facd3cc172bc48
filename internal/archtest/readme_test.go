package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// flat removes indentation, so that a block of the README can be a part of a
// function body.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}

// goBlocks returns the fenced Go blocks of a Markdown text.
func goBlocks(markdown string) []string {
	var blocks []string
	for i, part := range strings.Split("\n"+markdown, "\n```") {
		if code, ok := strings.CutPrefix(part, "go\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	return blocks
}

// TestREADME: code that a reader copies from the README, or from the page about
// tests, is code that a test has compiled.
func TestREADME_TEST_16(t *testing.T) {
	var compiled []string
	for _, name := range goFiles(t, func(name string) bool {
		return strings.HasPrefix(name, "examples/") || name == "mcpauthtest/user_test.go" || strings.HasPrefix(path.Base(name), "example") && isTest(name)
	}) {
		compiled = append(compiled, "\n"+flat(string(read(t, name))))
	}
	for _, page := range []string{"README.md", "docs/testing.md"} {
		blocks := goBlocks(string(read(t, page)))
		require.NotEmpty(t, blocks, "%s shows no Go code", page)
		for _, block := range blocks {
			found := slices.ContainsFunc(compiled, func(code string) bool { return strings.Contains(code, "\n"+flat(block)) })
			assert.True(t, found, "%s has code that neither example*_test.go nor mcpauthtest/user_test.go nor a file of examples/ contains:\n%s", page, block)
		}
	}
}
