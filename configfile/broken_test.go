package configfile_test

import (
	"flag"
	"os"
	"path/filepath"
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
	for name, mode := range map[string]os.FileMode{"readable": 0o640, "short": 0o600} {
		require.NoError(t, os.WriteFile(filepath.Join(secrets, name), []byte("a secret\n"), mode))
		require.NoError(t, os.Chmod(filepath.Join(secrets, name), mode))
	}
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
		text, _, _ := strings.Cut(rest, answer)
		_, err := configfile.Parse(filepath.Join(secrets, "mcpauth.json"), []byte(strings.TrimSuffix(text, "\n")))
		require.Error(t, err, title)
		got.WriteString("-- " + title + "\n" + text)
		for line := range strings.Lines(err.Error() + "\n") {
			got.WriteString(answer + strings.ReplaceAll(line, secrets+string(filepath.Separator), ""))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(table, []byte(got.String()), 0o644))
	}
	assert.Equal(t, string(content), got.String())
	assert.GreaterOrEqual(t, files, 40)
	t.Logf("files: %d", files)
}
