package archtest

import (
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages are all that there is to read about the repository, so that no page is forgotten.
func pages(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(files(t), func(name string) bool {
		return path.Ext(name) != ".md" || strings.Contains("/"+name, "/testdata/")
	})
}

// codeBlock is code in a Markdown text, fenced or, then without a language, indented.
type codeBlock struct{ language, code string }

// blocksIn returns the code in a Markdown text that stands by itself; [prose] is the rest.
func blocksIn(markdown string) (blocks []codeBlock) {
	fence, open := "", false
	for line := range strings.Lines(markdown) {
		trimmed := strings.TrimSpace(line)
		mark := ""
		if strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~") {
			mark = trimmed[:3]
		}
		switch {
		case fence == "" && mark != "":
			fence = mark
			blocks = append(blocks, codeBlock{language: strings.TrimSpace(strings.TrimLeft(trimmed, "`~"))})
		case fence != "" && mark == fence:
			fence, open = "", false
		case fence != "":
			blocks[len(blocks)-1].code += line
		case strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t"):
			if !open {
				blocks = append(blocks, codeBlock{})
			}
			open = true
			blocks[len(blocks)-1].code += line
		case trimmed != "":
			open = false
		}
	}
	return blocks
}

// spansIn returns the statements that stand in the text itself, or in a table.
func spansIn(markdown string) (spans []codeBlock) {
	for _, span := range codeSpan.FindAllString(prose(markdown), -1) {
		code := strings.Join(strings.Fields(strings.Trim(span, "`")), " ")
		if strings.Contains(code, ":=") || strings.HasPrefix(code, "mux.") {
			spans = append(spans, codeBlock{"go", code})
		}
	}
	return spans
}

// isGo reports whether a block is Go, by what its fence says or, where that says nothing, by what it is.
func (b codeBlock) isGo() bool {
	if b.language != "" {
		return strings.EqualFold(b.language, "go") || strings.EqualFold(b.language, "golang")
	}
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+b.code+"\n}", 0)
	return err == nil || strings.Contains(b.code, ":=")
}

// flat removes indentation, so that a block of a page can be a part of a
// function body.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimSpace(line))
		b.WriteByte('\n')
	}
	return b.String()
}

// isPart reports whether a file has the code of a block, flat both. The block may leave out how its
// first line begins and its last one ends: it is a value that the file passes on.
func isPart(code, file string) bool {
	code = strings.TrimSpace(flat(code))
	return strings.Contains(file, code) &&
		regexp.MustCompile(`(?:^|\s)`+regexp.QuoteMeta(code)+`(?:\W|$)`).MatchString(file)
}

// TestPagesCode: code that a reader copies from a page is code that is compiled, here or in a nested module.
func TestPagesCode_TEST_16(t *testing.T) {
	var compiled []string
	for _, name := range goFiles(t, func(name string) bool {
		return strings.HasPrefix(name, "examples/") || name == "mcpauthtest/user_test.go" || strings.HasPrefix(path.Base(name), "example") && isTest(name)
	}) {
		compiled = append(compiled, flat(string(read(t, name))))
	}
	blocks := 0
	for _, page := range pages(t) {
		text := string(read(t, page))
		for _, block := range append(blocksIn(text), spansIn(text)...) {
			if !block.isGo() {
				continue
			}
			blocks++
			found := slices.ContainsFunc(compiled, func(file string) bool { return isPart(block.code, file) })
			assert.True(t, found, "%s has code that neither an example*_test.go nor mcpauthtest/user_test.go nor a file of examples/ contains:\n%s", page, block.code)
			assert.NotEmpty(t, block.language, "%s: fence this as Go:\n%s", page, block.code)
		}
	}
	require.Greater(t, blocks, 50)
	t.Logf("blocks: %d", blocks)
}

const (
	maxWords      = 900  // of a page that answers one question
	maxFirstWords = 3045 // of README.md and the threat model: what a reviewer reads first
)

// works are the pages that are longer: to look something up in, and not to be read at once.
var works = []string{
	"docs/cli.md", "docs/decisions.md", "docs/interop.md", "docs/observability.md", "docs/operations.md", "docs/policy.md", threatModel,
	"docs/troubleshooting.md",
}

// TestPagesLength: a page that answers one question is short, a new one too. Words are counted as by wc -w.
func TestPagesLength(t *testing.T) {
	words := func(name string) int { return len(strings.Fields(string(read(t, name)))) }
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/") && !slices.Contains(works, page) {
			assert.LessOrEqual(t, words(page), maxWords, page)
		}
	}
	for _, page := range works {
		assert.Greater(t, words(page), maxWords, "%s is short: take it out of the list", page)
	}
	assert.LessOrEqual(t, words("README.md")+words(threatModel), maxFirstWords)
}

func TestBlocksIn(t *testing.T) {
	markdown := "# x\n```sh\ngo test\n```\ntext\n```go\nif a {\n\tb()\n}\n```\n- a\n\n  ~~~go\n  c()\n  ```\n  ~~~\n\n    d := 1\n\n    e()\n\nf\n\n    make all\n\n\tg()\n"
	assert.Equal(t, []codeBlock{
		{"sh", "go test\n"}, {"go", "if a {\n\tb()\n}\n"}, {"go", "  c()\n  ```\n"},
		{"", "    d := 1\n    e()\n"}, {"", "    make all\n\tg()\n"},
	}, blocksIn(markdown))
}

func TestSpansIn(t *testing.T) {
	assert.Equal(t, []codeBlock{{"go", "a, _ := b()"}, {"go", "mux.Handle(p, h)"}},
		spansIn("with `a, _ :=\nb()` and `c`:\n\n| `mux.Handle(p, h)` |\n\n```go\nd := 1\n```\n"))
}

func TestIsGo(t *testing.T) {
	for _, row := range []struct {
		block codeBlock
		want  bool
	}{
		{codeBlock{"go", "..."}, true},
		{codeBlock{"Golang", ""}, true},
		{codeBlock{"json", "{}"}, false},
		{codeBlock{"", "a := f()\n...\n"}, true},
		{codeBlock{"", "mux.Handle(\"/\", h)\n"}, true},
		{codeBlock{"", "go test ./...\n"}, false},
		{codeBlock{"", "make demo # or: go run .\n"}, false},
		{codeBlock{"", "HTTP/1.1 403 Forbidden\n"}, false},
		{codeBlock{"", `{"jsonrpc":"2.0"}`}, false},
	} {
		assert.Equal(t, row.want, row.block.isGo(), "%q", row.block)
	}
}

func TestIsPart(t *testing.T) {
	file := flat("func F() {\n\tif a {\n\t\tb(T{\n\t\t\tX: 1,\n\t\t})\n\t}\n\tabc := d.e\n}\n")
	for _, code := range []string{"if a {\n\tb(T{\n\t\tX: 1,\n\t})\n}\n", "X: 1,\n", "}\nabc := d.e\n", "abc := d"} {
		assert.True(t, isPart(code, file), code)
	}
	for _, code := range []string{"T{\n\tX: 1,\n}\n", "X: 2,\n", "bc := d.e\n", "abc := d.e\nf()\n", "ab"} {
		assert.False(t, isPart(code, file), code)
	}
}
