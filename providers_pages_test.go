package mcpauth_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	pageDir  = "docs/providers"
	maxLines = 80
)

var pageSections = []string{
	"At the provider", "Issuer", "Token", "Scopes", "Audience", "RFC 8707", "Traps", "Troubleshooting", "Sources",
}

var (
	linkTarget = regexp.MustCompile(`\]\(([^)]+)\)`)
	tableRow   = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*?) \\|")
)

// providerPage is one page, taken apart.
type providerPage struct {
	text     string
	sections map[string]string
}

func readPage(t *testing.T, name string) providerPage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(pageDir, name+".md"))
	require.NoError(t, err)
	page := providerPage{string(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))), map[string]string{}}
	var titles []string
	for _, part := range strings.Split(page.text, "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		titles = append(titles, title)
		page.sections[title] = body
	}
	if name != "README" {
		require.Equal(t, pageSections, titles)
	}
	return page
}

// blocks are the fenced blocks of one language.
func (p providerPage) blocks(language string) (blocks []string) {
	for i, part := range strings.Split(p.text, "\n```") {
		if code, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	return blocks
}

// literalsOf returns the source of what each function of a file returns.
func literalsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	literals := map[string]string{}
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		require.Len(t, function.Body.List, 1, function.Name.Name)
		result := function.Body.List[0].(*ast.ReturnStmt).Results[0]
		text := string(source[set.Position(result.Pos()).Offset:set.Position(result.End()).Offset])
		literals[function.Name.Name] = strings.ReplaceAll(text, "\n\t", "\n")
	}
	return literals
}

// providerPages lists the pages that have tokens, with the names of those.
func providerPages() map[string][]string {
	pages := map[string][]string{"google": nil}
	for name, p := range providerTokens {
		pages[p.page] = append(pages[p.page], name)
	}
	return pages
}

// TestProviderPages: there is a page for each of the nineteen providers, all
// are in the index, all have the same sections and say what they were run
// against, and no link leads nowhere.
func TestProviderPages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(pageDir, "*.md"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
			names = append(names, name)
		}
	}
	assert.Len(t, names, 19)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(providerPages())), names)
	index := readPage(t, "README")
	for _, name := range append(names, "README") {
		t.Run(name, func(t *testing.T) {
			page := readPage(t, name)
			assert.LessOrEqual(t, strings.Count(page.text, "\n"), maxLines)
			for _, link := range linkTarget.FindAllStringSubmatch(page.text, -1) {
				file, _, _ := strings.Cut(link[1], "#") // headings are archtest's business
				_, err := os.Stat(filepath.Join(pageDir, filepath.FromSlash(file)))
				assert.NoError(t, err)
			}
			if name == "README" {
				return
			}
			assert.Regexp(t, `\n\| \[[^]]+\]\(`+name+`\.md\) \|`, index.text, "no row in the index")
			assert.Regexp(t, `^Run against: (documented shapes|the real product).*[Rr]un against`, strings.Split(page.text, "\n")[2])
			assert.Contains(t, page.sections["Sources"], "https://")
		})
	}
}

// TestProviderPageLiterals: what a reader copies is what was compiled and
// tested, byte for byte, and nothing that was tested is missing.
func TestProviderPageLiterals_TEST_16(t *testing.T) {
	literals := literalsOf(t, "example_providers_test.go")
	shown := map[string]string{}
	for page := range providerPages() {
		for _, block := range readPage(t, page).blocks("go") {
			known := false
			for name, literal := range literals {
				if literal == strings.TrimSuffix(block, "\n") {
					shown[name], known = page, true
				}
			}
			assert.True(t, known, "%s.md shows a literal that is not in example_providers_test.go:\n%s", page, block)
		}
	}
	tested := map[string]string{}
	for _, p := range providerTokens {
		name := runtime.FuncForPC(reflect.ValueOf(p.literal).Pointer()).Name()
		tested[name[strings.LastIndexByte(name, '.')+1:]] = p.page
	}
	assert.Equal(t, tested, shown, "the literals that are tested, and their pages")
	assert.Len(t, shown, len(literals), "a literal that stands on no page")
}

// TestProviderPageTokens: the claims that a page shows are those of a token
// that was verified, and every token is linked from its page.
func TestProviderPageTokens(t *testing.T) {
	for page, names := range providerPages() {
		t.Run(page, func(t *testing.T) {
			section := readPage(t, page).sections["Token"]
			shapes := []string{"google"}
			if names != nil {
				shapes = nil
			}
			for _, name := range names {
				shapes = append(shapes, shapeOf(name))
			}
			for _, name := range shapes {
				assert.Contains(t, section, "(../../testdata/providers/"+name+".json)")
			}
			blocks := readPage(t, page).blocks("json")
			require.Len(t, blocks, 1)
			decoder := json.NewDecoder(strings.NewReader(blocks[0]))
			decoder.UseNumber()
			var claims map[string]any
			require.NoError(t, decoder.Decode(&claims))
			require.NotEmpty(t, claims)
			assert.True(t, slices.ContainsFunc(shapes, func(name string) bool {
				all := readShape(t, name).Claims
				for claim, value := range claims {
					if !assert.ObjectsAreEqual(all[claim], value) {
						return false
					}
				}
				return true
			}), "the page shows claims that no token of it has: %v", claims)
		})
	}
}

// TestProviderPageReasons: a page's table lists each reason that a test of the
// provider ran into, and no other, and says of ID tokens what theirs got.
func TestProviderPageReasons(t *testing.T) {
	for page, names := range providerPages() {
		t.Run(page, func(t *testing.T) {
			reasons, ofIDTokens := map[string]bool{}, map[string]bool{}
			got := func(name string, want error) {
				reasons[want.Error()] = true
				if strings.Contains(name, "an ID token") {
					ofIDTokens[want.Error()] = true
				}
			}
			for _, name := range names {
				p, shape := providerTokens[name], readShape(t, shapeOf(name))
				for _, row := range p.refusals(&shape) {
					got(row.name, row.want)
				}
			}
			if page == "google" {
				for name, test := range googleTokens {
					got(name, test.want)
				}
			}
			var listed, listedOfIDTokens []string
			for _, row := range tableRow.FindAllStringSubmatch(readPage(t, page).sections["Troubleshooting"], -1) {
				listed = append(listed, row[1])
				if strings.Contains(row[2], "sends its ID token") {
					listedOfIDTokens = append(listedOfIDTokens, row[1])
				}
			}
			assert.ElementsMatch(t, slices.Collect(maps.Keys(reasons)), listed)
			assert.ElementsMatch(t, slices.Collect(maps.Keys(ofIDTokens)), listedOfIDTokens, "rows in which the client sends its ID token")
		})
	}
}

// TestEveryShapeIsTested: a file in testdata/providers without a test would be a lie.
func TestEveryShapeIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/providers/*.json")
	require.NoError(t, err)
	tested := map[string]bool{"google": true}
	for name := range providerTokens {
		tested[shapeOf(name)] = true
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(tested)), names)
}
