package archtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	comment      = regexp.MustCompile(`(?s)<!--(.*?)-->`)
	commandStart = regexp.MustCompile(`(?:^|[#:;(]\s*|&& |\bor:? |\bby |\b[A-Z_]+=\S+ )((?:make|go (?:test|run|install|vet|build)) .*)`)
	commandEnd   = regexp.MustCompile(` (?:&&|#|;) `)
	shellWord    = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	makeTarget   = regexp.MustCompile(`(?m)^([a-z]+):(?:[^=]|$)`)
	makeVariable = regexp.MustCompile(`\$\((?:if |or )?\$?\(?([A-Z]+)\b`)
	fileSpan     = regexp.MustCompile(`^[\w.-]+(?:/[\w.-]+)*$`)
	flagInCode   = regexp.MustCompile(`\bflag\.(\w+)\("([a-z-]+)"`)
)

// commandsIn returns the commands in a Markdown text that it has as code, or in a comment about who writes it.
func commandsIn(markdown string) (commands []string) {
	var lines []string
	for _, block := range blocksIn(markdown) {
		if !block.isGo() {
			lines = append(lines, strings.Split(block.code, "\n")...)
		}
	}
	text := prose(markdown)
	for _, span := range codeSpan.FindAllString(text, -1) {
		lines = append(lines, strings.Trim(span, "`"))
	}
	for _, match := range comment.FindAllStringSubmatch(text, -1) {
		lines = append(lines, match[1])
	}
	for _, line := range lines {
		for line = strings.Join(strings.Fields(line), " "); ; {
			match := commandStart.FindStringSubmatch(line)
			if match == nil {
				break
			}
			parts := commandEnd.Split(match[1], 2)
			commands = append(commands, parts[0])
			line = "#" + strings.Join(parts[1:], "")
		}
	}
	return commands
}

// known is what commands can name.
type known struct {
	targets, variables map[string]bool
	directories        map[string]bool
	flags              map[string]bool     // whether one takes a value
	tests              map[string][]string // with the directories that have them
}

func nameable(t *testing.T) *known {
	t.Helper()
	k := &known{targets: map[string]bool{}, variables: map[string]bool{}, directories: map[string]bool{".": true}, tests: testFunctions(t), flags: map[string]bool{
		"v": false, "race": false, "short": false, "run": true, "bench": true, "fuzz": true, "count": true, "timeout": true, "C": true, "p": true,
	}}
	makefile := string(read(t, "Makefile"))
	for _, match := range makeTarget.FindAllStringSubmatch(makefile, -1) {
		k.targets[match[1]] = true
	}
	for _, match := range makeVariable.FindAllStringSubmatch(makefile, -1) {
		k.variables[match[1]] = true
	}
	for _, name := range files(t) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			k.directories[dir] = true
		}
	}
	for _, name := range goFiles(t, func(string) bool { return true }) {
		for _, match := range flagInCode.FindAllStringSubmatch(string(read(t, name)), -1) {
			k.flags[match[2]] = match[1] != "Bool"
		}
	}
	return k
}

// at lists the directories that somebody can mean who stands anywhere in the repository.
func (k *known) at(name string) (directories []string) {
	name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimRight(name, ",."), module), "/...")
	name, _, _ = strings.Cut(path.Clean(strings.TrimPrefix(name, "/")), "@")
	for dir := range k.directories {
		if name == "." || dir == name || strings.HasSuffix(dir, "/"+name) {
			directories = append(directories, dir)
		}
	}
	return directories
}

// wrong says what a command names that there is not.
func (k *known) wrong(command string) (problems []string) {
	words := shellWord.FindAllString(command, -1)
	for i := range words {
		words[i] = strings.NewReplacer("'", "", `"`, "").Replace(words[i])
	}
	if words[0] == "make" {
		for _, word := range words[1:] {
			name, _, assigned := strings.Cut(strings.TrimRight(word, ".,"), "=")
			if assigned && !k.variables[name] {
				problems = append(problems, "the Makefile has no variable "+name)
			} else if !assigned && !k.targets[name] {
				problems = append(problems, "the Makefile has no target "+name)
			}
		}
		return problems
	}
	var patterns [][2]string
	directories := k.at(".")
	for i := 2; i < len(words); i++ {
		word := words[i]
		flag, value, assigned := strings.Cut(strings.TrimLeft(strings.TrimRight(word, ",."), "-"), "=")
		takesValue, isFlag := k.flags[flag]
		switch {
		case !strings.HasPrefix(word, "-"):
			if word[0] != '.' && !strings.HasPrefix(word, module) {
				return append(problems, k.unmatched(patterns, directories)...) // what follows is no command any more
			}
			if directories = k.at(word); len(directories) == 0 {
				problems = append(problems, "no directory "+word)
			}
			if words[1] == "run" && strings.HasSuffix(strings.Trim(word, "/"), "cmd/mcpauth") {
				return problems // the command's own tests look at its flags
			}
			continue
		case !isFlag:
			problems = append(problems, "no flag -"+flag)
			continue
		case takesValue && !assigned && i+1 < len(words):
			i++
			value = words[i]
		}
		switch flag {
		case "run", "bench", "fuzz":
			patterns = append(patterns, [2]string{flag, value})
		case "C":
			if len(k.at(value)) == 0 {
				problems = append(problems, "no directory "+value)
			}
		}
	}
	return append(problems, k.unmatched(patterns, directories)...)
}

// unmatched says which patterns select nothing. What follows a slash is the name of a row and not looked at.
func (k *known) unmatched(patterns [][2]string, directories []string) (problems []string) {
	kinds := map[string]*regexp.Regexp{
		"run": regexp.MustCompile("^(Test|Fuzz|Example)"), "bench": regexp.MustCompile("^Benchmark"), "fuzz": regexp.MustCompile("^Fuzz"),
	}
	for _, pattern := range patterns {
		for alternative := range strings.SplitSeq(pattern[1], "|") {
			first, _, _ := strings.Cut(alternative, "/")
			if first == "^$" {
				continue
			}
			selects := false
			for name, places := range k.tests {
				selects = selects || kinds[pattern[0]].MatchString(name) && regexp.MustCompile(first).MatchString(name) &&
					slices.ContainsFunc(places, func(place string) bool { return slices.Contains(directories, place) })
			}
			if !selects {
				problems = append(problems, fmt.Sprintf("-%s %s selects nothing", pattern[0], first))
			}
		}
	}
	return problems
}

// TestPagesCommands: what somebody types who reads a page is there, targets, flags, directories and tests,
// and so is each test of which a page tells.
func TestPagesCommands_TEST_16(t *testing.T) {
	k, commands := nameable(t), 0
	for _, page := range pages(t) {
		text := string(read(t, page))
		inCommands := strings.Join(commandsIn(text), "\n") // where a part of a name does
		for _, command := range commandsIn(text) {
			commands++
			for _, problem := range k.wrong(command) {
				t.Errorf("%s: %s: %s", page, command, problem)
			}
		}
		for _, name := range testName.FindAllString(text, -1) {
			assert.True(t, k.tests[name] != nil || strings.Contains(inCommands, name), "%s: no such test: %s", page, name)
		}
	}
	require.Greater(t, commands, 80)
	t.Logf("commands: %d", commands)
}

// absentFile reports whether a text looks like the path of a file or a directory of the repository, from
// its root or shortened, and is none.
func absentFile(text string, names []string) bool {
	first, _, isPath := strings.Cut(text, "/")
	if isPath {
		isPath = slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, first+"/") })
	}
	text = strings.TrimRight(text, "/")
	return fileSpan.MatchString(text) && (isPath || path.Ext(text) == ".go") && !slices.ContainsFunc(names, func(name string) bool {
		return strings.Contains("/"+name+"/", "/"+text+"/")
	})
}

// TestPagesFiles: files that a page names are there.
func TestPagesFiles_TEST_16(t *testing.T) {
	names := files(t)
	for _, page := range pages(t) {
		for _, span := range codeSpan.FindAllString(prose(string(read(t, page))), -1) {
			assert.False(t, absentFile(strings.Trim(span, "`"), names), "%s: no such file: %s", page, span)
		}
	}
}

func TestAbsentFile(t *testing.T) {
	names := []string{"doc.go", "docs/a.md", "internal/archtest/x_test.go"}
	for _, text := range []string{"docs/b.md", "internal/archtests", "docs/doc.go", "y_test.go", "archtest.go"} {
		assert.True(t, absentFile(text, names), text)
	}
	for _, text := range []string{"doc.go", "docs", "docs/", "internal/archtest", "x_test.go", "tools/call", "a.json", "docs/<x>", "..."} {
		assert.False(t, absentFile(text, names), text)
	}
}

func TestCommandsIn(t *testing.T) {
	markdown := "make sure `make all`, `go run\n./x` `A=1 go test .`\n<!-- written by go test ./y -update in z -->\n\n    make demo    # or: go run ./a\n    remake b\n\n```sh\ngo vet . && make c\n```\n```go\n// make d\n```\n"
	assert.Equal(t, []string{"make demo", "go run ./a", "go vet .", "make c", "make all", "go run ./x", "go test .", "go test ./y -update in z"}, commandsIn(markdown))
}

func TestWrongCommands(t *testing.T) {
	k := nameable(t)
	for command, problem := range map[string]string{
		"make test":                                    "",
		"make mutate PKG=internal/token":               "",
		"make tests":                                   "the Makefile has no target tests",
		"make test PGK=x":                              "the Makefile has no variable PGK",
		"go test ./...":                                "",
		"go test ./archtest -run 'Links'":              "",
		"go test -run Links/row ./fetch":               "-run Links selects nothing",
		"go test -run='^$' -bench Sinks .":             "",
		"go test -run '^$' -bench Links .":             "-bench Links selects nothing",
		"go test -run 'Links|Lynx' .":                  "-run Lynx selects nothing",
		"go test ./archtests -v":                       "no directory ./archtests",
		"go test . -updat":                             "no flag -updat",
		"go test ./archtest -update in":                "",
		"go run -C examples/analytics .":               "",
		"go run -C examples/analytic .":                "no directory examples/analytic",
		"go run ./cmd/mcpauth doctor -x":               "",
		"go install " + module + "/cmd/mcpauth@latest": "",
		"go install " + module + "/cmd/mcp@latest":     "no directory " + module + "/cmd/mcp@latest",
	} {
		assert.Equal(t, problem, strings.Join(k.wrong(command), "\n"), command)
	}
}
