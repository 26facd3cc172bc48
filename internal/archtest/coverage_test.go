package archtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var profile = flag.String("profile", "", "coverage profile that TestCoverage holds against the thresholds")

// Where a mistake lets somebody in or breaks a client, every statement is
// tested; elsewhere a few unreachable error returns are tolerated.
var complete = regexp.MustCompile(`^(scopes\.go|errors\.go|internal/jsonrpc/.*|internal/challenge/.*)$`)

const leastCoverage = 95.0

// lessCovered are packages with a lower threshold, and why.
var lessCovered = map[string]float64{
	"cmd/mcpauth": 93, // what it answers when its own files, keys or random numbers fail
}

type coverage struct{ statements, covered int }

func (c coverage) percent() float64 { return 100 * float64(c.covered) / float64(max(c.statements, 1)) }

var block = regexp.MustCompile(`^(\S+):([0-9.,]+) ([0-9]+) ([0-9]+)$`)

// readProfile merges the blocks of all test binaries: a statement counts as
// covered if one of them ran it.
func readProfile(t *testing.T, name string) map[string]coverage {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	statements, covered := map[[2]string]int{}, map[[2]string]bool{}
	for line := range strings.Lines(string(content)) {
		m := block.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		key := [2]string{strings.TrimPrefix(m[1], module+"/"), m[2]}
		statements[key], err = strconv.Atoi(m[3])
		require.NoError(t, err)
		covered[key] = covered[key] || m[4] != "0"
	}
	files := map[string]coverage{}
	for key, n := range statements {
		c := files[key[0]]
		c.statements += n
		if covered[key] {
			c.covered += n
		}
		files[key[0]] = c
	}
	require.NotEmpty(t, files)
	return files
}

func directory(file string) string {
	if i := strings.LastIndexByte(file, '/'); i >= 0 {
		return file[:i]
	}
	return "."
}

// TestCoverage prints statement coverage by file and fails below the
// thresholds. It runs in make cover, which measures the profile first.
func TestCoverage(t *testing.T) {
	if *profile == "" {
		t.Skip("no -profile given")
	}
	files := readProfile(t, *profile)
	packages := map[string]coverage{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c := files[name]
		fmt.Fprintf(os.Stdout, "%6.1f%%  %4d of %4d  %s\n", c.percent(), c.covered, c.statements, name)
		if complete.MatchString(name) && c.covered < c.statements {
			t.Errorf("%s: %.1f%% of statements covered, want all", name, c.percent())
		}
		p := packages[directory(name)]
		p.statements, p.covered = p.statements+c.statements, p.covered+c.covered
		packages[directory(name)] = p
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		c := packages[name]
		fmt.Fprintf(os.Stdout, "%6.1f%%  %4d of %4d  package %s\n", c.percent(), c.covered, c.statements, name)
		least := leastCoverage
		if less, ok := lessCovered[name]; ok {
			least = less
		}
		if c.percent() < least {
			t.Errorf("package %s: %.1f%% of statements covered, want %.0f%%", name, c.percent(), least)
		}
	}
}
