// Package python has a Python environment with the package mcp, for the programs
// that the tests run on it.
package python

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Version is that of the package mcp, which the tests install.
const Version = "2.3.0"

// virtualEnv makes the environment, once for this user.
var virtualEnv = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(cache, "mcpauth-interop", "python-mcp-"+Version)
	program := filepath.Join(directory, "bin", "python")
	stamp := filepath.Join(directory, "installed")
	if _, err := os.Stat(stamp); err == nil {
		return program, nil
	}
	if err := os.RemoveAll(directory); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, command := range [][]string{
		{"python3", "-m", "venv", directory},
		{program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mcp==" + Version},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command[0], err, output)
		}
	}
	return program, os.WriteFile(stamp, nil, 0o600)
})

// Need is the interpreter. It skips the test on a machine without Python, and fails
// it there if MCPAUTH_INTEROP is "required", as in continuous integration.
func Need(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		unavailable(t, "python3 is not installed")
	}
	program, err := virtualEnv()
	if err != nil {
		unavailable(t, "the Python package mcp could not be installed: "+err.Error())
	}
	return program
}

func unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("MCPAUTH_INTEROP") == "required" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
