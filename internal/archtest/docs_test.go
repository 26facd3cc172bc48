package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const threatModel = "docs/threat-model.md"

var (
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Example|Benchmark)[A-Z][A-Za-z0-9_]*`)
	// Any word that looks like a requirement id, so that a misspelt area is found too.
	idLike = regexp.MustCompile(`\b[A-Z]{2,}-[0-9]{2}\b`)
	// A link or an image, and the definition of a link that is used by name.
	inlineLink     = regexp.MustCompile(`\]\(<?([^()\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkDefinition = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)`)
	codeSpan       = regexp.MustCompile("`[^`]*`")
	headingLine    = regexp.MustCompile(`^ {0,3}#{1,6}\s+(.+?)\s*#*$`)
	linkText       = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// testFunctions lists the tests, fuzz targets and examples of the repository,
// with the directories that have them.
func testFunctions(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for _, name := range goFiles(t, isTest) {
		_, file := parse(t, name)
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && testName.MatchString(function.Name.Name) {
				names[function.Name.Name] = append(names[function.Name.Name], path.Dir(name))
			}
		}
	}
	return names
}

// carried reports whether one of the tests carries a requirement that was
// found at these places: itself, or in a table or a helper beside it.
func carried(places, named []string, tests map[string][]string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		file, function, _ := strings.Cut(place, ":")
		beside := func(name string) bool { return slices.Contains(tests[name], path.Dir(file)) }
		return slices.Contains(named, function) || !testName.MatchString(function) && slices.ContainsFunc(named, beside)
	})
}

// threatProblems checks the text of a threat model. A row of a table with the
// column "tests" claims that a threat is answered by tests. Their names have the
// numbers of requirements; a number that stands beside them is in a table of one.
func threatProblems(text string, tests map[string][]string, known map[string]bool, traced map[string][]string) (problems []string, rows int) {
	for _, name := range testName.FindAllString(text, -1) {
		if tests[name] == nil {
			problems = append(problems, "no such test: "+name)
		}
	}
	for _, id := range idLike.FindAllString(text, -1) {
		if !known[id] {
			problems = append(problems, "no such requirement: "+id)
		}
	}
	inTable := false
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.TrimSpace(cells[len(cells)-1]) == "tests":
			inTable = true
		case inTable && !strings.HasPrefix(line, "|---"):
			rows++
			if len(cells) != 3 {
				problems = append(problems, fmt.Sprintf("%d cells instead of threat, answer, tests: %s", len(cells), line))
				continue
			}
			ids, named := idLike.FindAllString(cells[2], -1), testName.FindAllString(cells[2], -1)
			inNames := idsIn(strings.Join(named, " "))
			if len(ids)+len(inNames) == 0 || len(named) == 0 {
				problems = append(problems, "a threat without a requirement or a test: "+line)
			}
			for _, id := range ids {
				switch {
				case slices.Contains(inNames, id):
					problems = append(problems, id+" stands in the name of a test, too: "+line)
				case len(named) > 0 && !carried(traced[id], named, tests):
					problems = append(problems, "no test of the row carries "+id+": "+line)
				}
			}
		}
	}
	return problems, rows
}

// TestThreatModel: the threat model promises nothing that is not required and tested.
func TestThreatModel_TEST_01(t *testing.T) {
	known := map[string]bool{}
	for _, r := range catalogue(t) {
		known[r.id] = true
	}
	problems, rows := threatProblems(string(read(t, threatModel)), testFunctions(t), known, tracedTests(t))
	for _, problem := range problems {
		t.Errorf("%s: %s", threatModel, problem)
	}
	assert.Greater(t, rows, 30)
	t.Logf("threats: %d", rows)
}

func TestThreatProblems(t *testing.T) {
	id := func(n string) string { return "TOK" + n } // put together here: see selftest_test.go
	known := map[string]bool{id("-01"): true, id("-02"): true, id("-03"): true, id("-04"): true}
	tests := map[string][]string{"TestA": {"x"}, "FuzzB_X": {"x/y"}, "TestC_" + id("_02"): {"x"}}
	traced := map[string][]string{id("-01"): {"x/a_test.go:TestA"}, id("-03"): {"x/y/table_test.go"}, id("-04"): {"x/y/b_test.go:rows"}}
	head := "| threat | answer | tests |\n|---|---|---|\n"
	for _, row := range []struct{ name, text, want string }{
		{"good", head + "| a | b | ~-01 `TestA`, `FuzzB_X` |\n", ""},
		{"in the name of a test", head + "| a | b | TestC_~_02 |\n", ""},
		{"in a table or a helper of the package", head + "| a | b | ~-03 ~-04 FuzzB_X |\n", ""},
		{"in a table of another package", head + "| a | b | ~-03 TestA |\n", "no test of the row carries ~-03"},
		{"in another test", head + "| a | b | ~-01 FuzzB_X |\n", "no test of the row carries ~-01"},
		{"prose may name what is not tested", "see ~-02\n\n| a | b |\n|---|---|\n| a | ~-02 |\n", ""},
		{"unknown test", "TestD", "no such test: TestD"},
		{"a test's name in part", "TestA_X", "no such test: TestA_X"},
		{"unknown id", "~-05", "no such requirement: ~-05"},
		{"unknown area", "TOKEN-01", "no such requirement: TOKEN-01"},
		{"no test", head + "| a | b | ~-01 |\n", "a threat without"},
		{"no id", head + "| a | b | TestA |\n", "a threat without"},
		{"twice", head + "| a | b | ~-02 TestC_~_02 |\n", "~-02 stands in the name of a test, too"},
		{"not traced", head + "| a | b | ~-02 TestA |\n", "no test of the row carries ~-02"},
		{"cells", head + "| a | TestC_~_02 |\n", "2 cells"},
	} {
		problems, _ := threatProblems(strings.ReplaceAll(row.text, "~", "TOK"), tests, known, traced)
		got := strings.Join(problems, "\n")
		if row.want == "" {
			assert.Empty(t, got, row.name)
		} else {
			assert.Contains(t, got, strings.ReplaceAll(row.want, "~", "TOK"), row.name)
			assert.Len(t, problems, 1, row.name)
		}
	}
}

// prose is a Markdown text without its code: fenced and indented blocks are blank lines.
func prose(markdown string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(markdown) {
		trimmed := strings.TrimSpace(line)
		mark := ""
		if strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~") {
			mark = trimmed[:3]
		}
		switch {
		case fence == "" && mark != "":
			fence = mark
		case fence != "" && mark == fence:
			fence = ""
		case fence == "" && !strings.HasPrefix(line, "    "):
			b.WriteString(line)
			continue
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func linksIn(markdown string) (links []string) {
	text := codeSpan.ReplaceAllString(prose(markdown), "")
	for _, pattern := range []*regexp.Regexp{inlineLink, linkDefinition} {
		for _, match := range pattern.FindAllStringSubmatch(text, -1) {
			links = append(links, match[1])
		}
	}
	return links
}

// anchorsIn names the headings of a text as forges do: lower case, spaces as
// hyphens, no other punctuation, and a number for those that come again.
func anchorsIn(markdown string) (anchors []string) {
	for line := range strings.Lines(prose(markdown)) {
		heading := headingLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if heading == nil {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, linkText.ReplaceAllString(heading[1], "$1"))
		unique := slug
		for n := 1; slices.Contains(anchors, unique); n++ {
			unique = fmt.Sprintf("%s-%d", slug, n)
		}
		anchors = append(anchors, unique)
	}
	return anchors
}

// brokenLink says what is wrong with a link of a file, "" if nothing is or if
// it leads out of the repository.
func brokenLink(tree fs.FS, from, link string) string {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return "not a URL reference"
	case u.Scheme != "" || u.Host != "":
		return ""
	case strings.HasPrefix(u.Path, "/"):
		return "begins at the root: write it relative to the file"
	}
	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	info, err := fs.Stat(tree, target)
	if err != nil {
		return "no such file: " + target
	}
	if u.Fragment == "" || info.IsDir() || path.Ext(target) != ".md" {
		return ""
	}
	content, err := fs.ReadFile(tree, target)
	if err != nil || !slices.Contains(anchorsIn(string(content)), u.Fragment) {
		return "no such heading: " + target + "#" + u.Fragment
	}
	return ""
}

// TestLinks: what the documentation points to is there.
func TestLinks_TEST_16(t *testing.T) {
	links := 0
	for _, name := range pages(t) {
		for _, link := range linksIn(string(read(t, name))) {
			links++
			if problem := brokenLink(root, name, link); problem != "" {
				t.Errorf("%s: (%s): %s", name, link, problem)
			}
		}
	}
	require.Greater(t, links, 20)
	t.Logf("links: %d", links)
}

func TestLinksIn(t *testing.T) {
	markdown := "[a](b.md) and ![c](d.svg \"title\") `[e](f.md)`\n[g]: h.md\n```\n[i](j.md)\n```\n    [k](l.md)\n[m](<n.md#o>)\n"
	assert.Equal(t, []string{"b.md", "d.svg", "n.md#o", "h.md"}, linksIn(markdown))
}

func TestAnchorsIn(t *testing.T) {
	markdown := "# What's in `New`?\n## a-b_c [d](e)\n##no heading\n```sh\n# comment\n```\n### Keys, 24 h\n### Keys, 24 h\n"
	assert.Equal(t, []string{"whats-in-new", "a-b_c-d", "keys-24-h", "keys-24-h-1"}, anchorsIn(markdown))
}

func TestBrokenLink(t *testing.T) {
	for _, row := range []struct{ link, want string }{
		{"decisions.md", ""},
		{"decisions.md#1-jwx-v3-not-v2", ""},
		{"#writing-a-policy", ""},
		{"../examples", ""},
		{"https://example.com/nothing", ""},
		{"nothing.md", "no such file: docs/nothing.md"},
		{"decisions.md#nothing", "no such heading: docs/decisions.md#nothing"},
		{"#nothing", "no such heading: docs/policy.md#nothing"},
		{"../../outside.md", "no such file: ../outside.md"},
		{"/docs/policy.md", "begins at the root: write it relative to the file"},
		{"%zz", "not a URL reference"},
	} {
		assert.Equal(t, row.want, brokenLink(root, "docs/policy.md", row.link), row.link)
	}
}
