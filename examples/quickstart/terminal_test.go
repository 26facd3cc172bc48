package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// screen runs the demonstration as it is, but for ports and random values: each
// run shows others of the same length.
func screen(t *testing.T, set func(*wire)) string {
	t.Helper()
	var stdout, stderr strings.Builder
	w := newWire(&stdout)
	w.rename = alwaysTheSame()
	set(w)
	require.Zero(t, demonstrate(t.Context(), "127.0.0.1:0", policy(), w, &stderr), stderr.String())
	return stdout.String()
}

var (
	address   = regexp.MustCompile(`127\.0\.0\.1(:|%3A)(\d+)(/callback|%2Fcallback)?`)
	random    = regexp.MustCompile(`\b[A-Z2-7]{26}\b`)
	digest    = regexp.MustCompile(`code_challenge=[\w-]{43}`)
	shortened = regexp.MustCompile(`=[A-Z2-7]{5}…`)
)

// alwaysTheSame names the ports in the order in which they are met.
func alwaysTheSame() func(string) string {
	ports := map[string]string{}
	names := []string{"40080", "40443"}
	return func(text string) string {
		text = address.ReplaceAllStringFunc(text, func(found string) string {
			part := address.FindStringSubmatch(found)
			if part[3] != "" {
				return found // the redirect, whose port is always the same
			}
			if ports[part[2]] == "" {
				ports[part[2]], names = names[0], names[1:]
			}
			return "127.0.0.1" + part[1] + ports[part[2]]
		})
		text = random.ReplaceAllString(text, strings.Repeat("RANDOM", 5)[:26])
		text = digest.ReplaceAllString(text, "code_challenge="+testChallenge)
		return shortened.ReplaceAllString(text, "=VALUE…")
	}
}

// widest is the width of the widest line at its widest: some terminals show in
// two cells what is not ASCII.
func widest(text string) (columns int) {
	for line := range strings.Lines(text) {
		n := 0
		for _, r := range strings.TrimSuffix(line, "\n") {
			switch {
			case r == '\t':
				n += 8 - n%8
			case r > 0x7e:
				n += 2
			default:
				n++
			}
		}
		columns = max(columns, n)
	}
	return columns
}

// golden compares with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got, "if that is meant: make golden")
}

// TestGoldenDemo: the whole output, as a pipe or a file gets it.
func TestGoldenDemo(t *testing.T) {
	shown := screen(t, func(*wire) {})
	assert.NotContains(t, shown, "\x1b", "colour is for terminals")
	golden(t, "testdata/demo.golden", shown)
}

// TestGoldenShort: ten lines that stand on one screen.
func TestGoldenShort(t *testing.T) {
	shown := screen(t, func(w *wire) { w.short = true })
	assert.LessOrEqual(t, strings.Count(shown, "\n"), 10)
	assert.LessOrEqual(t, widest(shown), 80)
	assert.NotContains(t, shown, "\x1b")
	golden(t, "testdata/short.golden", shown)
}

// painted matches a part of a line that a terminal paints.
var painted = regexp.MustCompile(`\x1b\[(\d+)m([^\x1b]*)\x1b\[0m`)

// TestColour: on a terminal the text is the same, and nothing stays painted at the
// end of a line. Who reads the colours alone sees what was refused.
func TestColour(t *testing.T) {
	for _, row := range []struct {
		name  string
		short bool
		want  []string // what is red
	}{
		{"long", false, []string{"  < 401 Unauthorized", "  < 403 Forbidden"}},
		{"short", true, []string{"401", "403"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			shown := screen(t, func(w *wire) { w.short, w.colour = row.short, true })
			assert.Equal(t, screen(t, func(w *wire) { w.short = row.short }), painted.ReplaceAllString(shown, "$2"))
			parts := map[string][]string{}
			for _, part := range painted.FindAllStringSubmatch(shown, -1) {
				assert.NotContains(t, part[2], "\n")
				parts[part[1]] = append(parts[part[1]], part[2])
			}
			assert.Equal(t, row.want, parts[string(red)])
			assert.Contains(t, parts[string(green)], "All 11 steps did what they should.")
		})
	}
}

// TestColourful: colour is for terminals that show it, and whose user wants it.
func TestColourful(t *testing.T) {
	for _, row := range []struct {
		name, term, none string
		want             bool
	}{
		{"a terminal", "xterm-256color", "", true},
		{"NO_COLOR", "xterm-256color", "1", false},
		{"NO_COLOR, whatever its value", "xterm-256color", "false", false},
		{"a terminal that shows none", "dumb", "", false},
		{"a terminal without a name", "", "", false},
	} {
		assert.Equal(t, row.want, wantsColour(environment{"TERM": row.term, "NO_COLOR": row.none}.get), row.name)
	}

	wanted := environment{"TERM": "xterm-256color"}.get
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	assert.False(t, colourful(file, wanted), "a file")
	reader, pipe, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = reader.Close(), pipe.Close() }()
	assert.False(t, colourful(pipe, wanted), "a pipe")
	require.NoError(t, reader.Close())
	assert.False(t, colourful(reader, wanted), "nothing")
}

type environment map[string]string

func (e environment) get(name string) string { return e[name] }
