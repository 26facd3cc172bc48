package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOnwardIsOurs: a module of somebody else cannot import the package that leads to a request's token.
func TestOnwardIsOurs_EXCH_02(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	tree, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	build := func(imported string) (string, error) {
		for name, text := range map[string]string{
			"go.mod":  "module example.com/user\n\ngo 1.25.5\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + filepath.ToSlash(tree) + "\n",
			"go.sum":  string(read(t, "go.sum")),
			"main.go": "package main\n\nimport _ \"" + imported + "\"\n\nfunc main() {}\n",
		} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		command := exec.Command("go", "vet", "-mod=mod", ".")
		command.Dir, command.Env = dir, append(os.Environ(), "GOWORK=off", "GOPROXY=off")
		out, err := command.CombinedOutput()
		return string(out), err
	}
	out, err := build(module + "/internal/onward")
	require.Error(t, err)
	assert.Contains(t, out, "use of internal package "+module+"/internal/onward not allowed")
	out, err = build(module + "/clientauth")
	require.NoError(t, err, "the test can tell: %s", out)
}
