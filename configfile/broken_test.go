package configfile_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/configfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const answer = "--> "

// TestBrokenFiles_RELOAD_09: each file of the table, and exactly what is said of it.
func TestBrokenFiles_RELOAD_09(t *testing.T) {
	secrets := t.TempDir()
	for name, content := range map[string]string{"readable": "a secret\n", "short": "a secret\n", "good": strings.Repeat("good", 8), "empty": "\n"} {
		write(t, filepath.Join(secrets, name), content)
	}
	require.NoError(t, os.Chmod(filepath.Join(secrets, "readable"), 0o640))
	_, err := os.Stat(filepath.Join(secrets, "no-such-key"))
	var missing *fs.PathError
	require.ErrorAs(t, err, &missing)
	onLinux := strings.NewReplacer(secrets+string(filepath.Separator), "", missing.Err.Error(), "no such file or directory")
	const table = "testdata/broken.txt"
	content, err := os.ReadFile(table)
	require.NoError(t, err)
	var got strings.Builder
	files := 0
	for part := range strings.SplitSeq(strings.ReplaceAll(string(content), "\r\n", "\n"), "-- ") {
		title, rest, _ := strings.Cut(part, "\n")
		if title == "" {
			continue
		}
		files++
		if runtime.GOOS == "windows" && title == "a file of a secret that others can read" { // no mode says so there
			got.WriteString("-- " + part)
			continue
		}
		text, _, _ := strings.Cut(rest, answer)
		_, err := configfile.Parse(filepath.Join(secrets, "mcpauth.json"), []byte(strings.TrimSuffix(text, "\n")))
		require.Error(t, err, title)
		got.WriteString("-- " + title + "\n" + text)
		for line := range strings.Lines(err.Error() + "\n") {
			got.WriteString(answer + onLinux.Replace(line))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(table, []byte(got.String()), 0o644))
	}
	assert.Equal(t, string(content), got.String())
	assert.GreaterOrEqual(t, files, 40)
	t.Logf("files: %d", files)
}

// TestBrokenTexts_RELOAD_09: what is wrong with texts that stand in no table.
func TestBrokenTexts_RELOAD_09(t *testing.T) {
	deep := func(innermost string) string { return strings.Repeat("[", 62) + innermost + strings.Repeat("]", 62) }
	many := strings.Repeat(`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0},`, 1<<17-1) + `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0}` // with the two around it as many as may be
	const closeIt = "ends in the middle: close what is open: a text, a list or an object"
	for text, want := range map[string]string{
		"\uFEFF{}":                                        "1:1: the file: a byte order mark: save the file as UTF-8 without one",
		"{\"resource\": \"https://\xff\"}":                "1:23: the file: a byte that is no UTF-8: save the file as UTF-8",
		"{\"scopes\": [\"a\rb\"]}":                        "1:15: the file: a line ends inside a text: close the text in front, or write \\n for the end of a line",
		"{\"scopes\": [\"a\tb\"]}":                        "1:15: the file: a tab inside a text: write \\t for one",
		`{"metadata": {"a": ` + deep("[]") + `}}`:         "1:82: the file: more than 64 levels: nothing here has so many: look for a bracket too many",
		`{"metadata": {"a": 1, "a": ` + deep("{}") + `}}`: "1:90: the file: more than 64 levels: nothing here has so many: look for a bracket too many",
		`{"metadata": {"a": 1, "a": ` + deep("[]") + `}}`: "1:90: the file: more than 64 levels: nothing here has so many: look for a bracket too many",
		`{"metadata": {"x": [` + many + `,`:               "1:6553609: the file: " + closeIt,
		`{"metadata": {"x": [` + many + `, {"g": 0}]}}`:   "1:6553611: the file: more than a million members: write a shorter file",
		"{\"scopes\": [], \"scopes\": \"\xff\"}":          "1:27: the file: a byte that is no UTF-8: save the file as UTF-8",
		"{\"scopes\": [], \"scopes\": [\"a\nb\"]}":        "1:29: the file: a line ends inside a text: close the text in front, or write \\n for the end of a line",
	} {
		_, err := configfile.Parse("mcpauth.json", []byte(text))
		assert.EqualError(t, err, "mcpauth.json:"+want)
	}
	_, err := configfile.Parse("mcpauth.json", []byte(`{"metadata": {"a": `+deep("1")+`}}`))
	assert.NoError(t, err, "64 levels")
	_, err = configfile.Parse("mcpauth.json", []byte(`{"metadata": {"a": 1, "a": `+deep("1")+`}}`))
	assert.EqualError(t, err, `mcpauth.json:1:23: metadata["a"]: stands twice: remove one: the first is on line 1`)
}

// TestManyMistakes_RELOAD_09: mistakes that are not told cost no memory, however long the path to them is.
func TestManyMistakes_RELOAD_09(t *testing.T) {
	var members []string
	for i := range 2000 {
		members = append(members, fmt.Sprintf(`"%d": 0`, i))
	}
	file := []byte(`{"rules": {"tools": {"` + strings.Repeat("x", 32<<10) + `": {` + strings.Join(members, ", ") + `}}}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := configfile.Read("mcpauth.json", file)
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "and 1950 mistakes more")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100<<20))
}
