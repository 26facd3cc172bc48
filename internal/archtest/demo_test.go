package archtest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDemoSaysThatItCompiles: whoever types make demo sees at once that something
// happens. The go of this test compiles until the first line has been read.
func TestDemoSaysThatItCompiles(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no make, or no scripts")
	}
	compiler := t.TempDir()
	script := "#!/bin/sh\necho go \"$@\"\nread -r ended\necho $ended\n"
	require.NoError(t, os.WriteFile(filepath.Join(compiler, "go"), []byte(script), 0o755))
	demo := exec.CommandContext(t.Context(), "make", "--no-print-directory", "demo", "ARGS=--short")
	demo.Dir = filepath.Join("..", "..")
	path := compiler + string(filepath.ListSeparator) + os.Getenv("PATH")
	demo.Env = append(os.Environ(), "PATH="+path, "MAKEFLAGS=", "MAKELEVEL=")
	stdin, err := demo.StdinPipe()
	require.NoError(t, err)
	stdout, err := demo.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, demo.Start())

	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan())
	assert.Regexp(t, `^Compiling`, lines.Text())
	assert.LessOrEqual(t, len(lines.Text()), 80)
	_, err = io.WriteString(stdin, "compiled\n")
	require.NoError(t, err)
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	require.NoError(t, demo.Wait())
	assert.Equal(t, []string{"go run ./examples/quickstart --short", "compiled"}, rest)
}
