package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// markdown returns the pages of the repository, whatever their names are.
func markdown(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(name) == ".md" {
			page, err := os.ReadFile(filepath.Join("../..", name))
			pages[name] = strings.ReplaceAll(string(page), "\r\n", "\n")
			return err
		}
		return nil
	}))
	require.Greater(t, len(pages), 40)
	return pages
}

// fencedJSON returns the fenced blocks of JSON.
func fencedJSON(page string) (blocks []string) {
	for i, part := range strings.Split("\n"+page, "\n```") {
		if text, ok := strings.CutPrefix(part, "json\n"); ok && i%2 == 1 {
			blocks = append(blocks, text)
		}
	}
	return blocks
}

// TestDocsFile: a file on a page is one that can be read. The pages about providers have claims in their
// place, which the tests of the root compare with tokens. That of the command uses every member.
func TestDocsFile_TEST_16(t *testing.T) {
	for name, page := range markdown(t) {
		if strings.HasPrefix(name, "docs/providers/") {
			continue
		}
		for _, text := range fencedJSON(page) {
			got := mcpauthCommand(t, "", "policy", "--policy", fileWith(t, text))
			assert.LessOrEqual(t, got.code, exitFindings, "%s: %s", name, got.stderr)
			assert.NotContains(t, got.stdout, "invalid", name)
		}
	}
	text := fencedJSON(markdown(t)["docs/cli.md"])[0]
	got := mcpauthCommand(t, "", "policy", "--policy", fileWith(t, text), "--tool", "query_usage", "--scopes", "analytics:admin")
	assert.Equal(t, exitFindings, got.code, got.stderr)
	assert.Contains(t, got.stdout, "resource db://{table} needs db:read: no holder has it")
	assert.Contains(t, got.stdout, "allowed")
}

var (
	codeInPage = regexp.MustCompile("(?m)`[^`]+`|^ {4}.*$")
	ourCommand = regexp.MustCompile("(?:^[ `]*|/)mcpauth ([a-z]+)(.*)")
	flagInLine = regexp.MustCompile(`(?:^| )--?([a-z][a-z-]*)`)
	flagInText = regexp.MustCompile("(?:^`| )--([a-z][a-z-]*)")
)

// flagsOf returns the flags of each subcommand, by all of their names.
func flagsOf() map[string][]string {
	flags := map[string][]string{}
	for _, c := range app(environment{}).Commands {
		for _, flag := range c.Flags {
			flags[c.Name] = append(flags[c.Name], flag.Names()...)
		}
	}
	return flags
}

// wrongCommands says what the commands of a page name that there is not. In a section about a subcommand
// every flag is one of its.
func wrongCommands(page string, flags map[string][]string) (problems []string, commands int) {
	for section := range strings.SplitSeq("\n"+page, "\n## ") {
		title, _, _ := strings.Cut(section, "\n")
		for _, code := range codeInPage.FindAllString(section, -1) {
			name, rest, flag := title, code, flagInText
			if match := ourCommand.FindStringSubmatch(strings.Join(strings.Fields(code), " ")); match != nil {
				name, rest, flag = match[1], match[2], flagInLine
				if name == "authorize" { // the span
					continue
				}
				commands++
			}
			known, is := flags[name]
			if !is && name == title {
				continue
			}
			if !is {
				problems = append(problems, "no command "+name)
				continue
			}
			for _, match := range flag.FindAllStringSubmatch(rest, -1) {
				if !slices.Contains(known, match[1]) {
					problems = append(problems, name+" has no flag --"+match[1])
				}
			}
		}
	}
	return problems, commands
}

// TestDocsFlags: subcommands and flags that a page names are there, and the page about the command names
// each of them.
func TestDocsFlags_TEST_16(t *testing.T) {
	flags, commands := flagsOf(), 0
	for name, page := range markdown(t) {
		problems, n := wrongCommands(page, flags)
		commands += n
		for _, problem := range problems {
			t.Errorf("%s: %s", name, problem)
		}
	}
	assert.Greater(t, commands, 15)
	sections := strings.Split(markdown(t)["docs/cli.md"], "\n## ")
	for _, c := range app(environment{}).Commands {
		i := slices.IndexFunc(sections, func(section string) bool { return strings.HasPrefix(section, c.Name+"\n") })
		require.GreaterOrEqual(t, i, 0, c.Name)
		for _, flag := range c.Flags {
			section := sections[i]
			if flag.Names()[0] == "json" {
				section = sections[0] // once, for all of them
			}
			named := regexp.MustCompile("--" + flag.Names()[0] + `\b[^-]`).MatchString(section)
			assert.True(t, named, "docs/cli.md says nothing of --%s of %s", flag.Names()[0], c.Name)
		}
	}
}

func TestWrongCommands(t *testing.T) {
	flags := map[string][]string{"doctor": {"token", "policy", "config"}, "check": {"list"}}
	for page, problem := range map[string]string{
		"`mcpauth doctor --token -`":                                 "",
		"see\n\n    go run ./cmd/mcpauth doctor -config=x --token y": "",
		"`mcpauth docter`":                                           "no command docter",
		"`mcpauth doctor\n--tokens`":                                 "doctor has no flag --tokens",
		"    mcpauth check --list --token x":                         "check has no flag --token",
		"`kc.sh --import-realm` and `--token`":                       "",
		"# x\n## check\n`--list`, `-x`, `--token FILE`":              "check has no flag --token",
		"# x\n## check\n`mcpauth doctor --token x`":                  "",
		"mcpauth decides, `mcpauth authorize`":                       "",
	} {
		problems, _ := wrongCommands(page, flags)
		assert.Equal(t, problem, strings.Join(problems, "\n"), page)
	}
}
