package conformance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// need skips the test when something this machine lacks cannot be had, unless
// MCPAUTH_INTEROP=required says that it must be there.
func need(t *testing.T, err error, what string) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("MCPAUTH_INTEROP") == "required":
		t.Fatalf("%s: %v", what, err)
	default:
		t.Skipf("skipped, because %s is not to be had here (MCPAUTH_INTEROP=required makes this a failure): %v", what, err)
	}
}

// installed runs npm once for all tests. Install scripts are not needed: the
// Node.js that both suites want (22 or newer) comes as a package of its own
// for each kind of machine.
var installed = sync.OnceValue(func() error {
	wanted, err := os.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	stamp := filepath.Join("node_modules", ".installed-lock")
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, wanted) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Stdout, npm.Stderr = os.Stderr, os.Stderr
	if err := npm.Run(); err != nil {
		return err
	}
	return os.WriteFile(stamp, wanted, 0o600)
})

// node is the path of a Node.js that runs both suites.
func node(t *testing.T) string {
	t.Helper()
	need(t, installed(), "npm")
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	path := filepath.Join("node_modules", "node-"+runtime.GOOS+"-"+arch, "bin", "node")
	if _, err := os.Stat(path); err != nil {
		path, err = exec.LookPath("node")
		need(t, err, "Node.js")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
