package browser

import (
	"bytes"
	"errors"
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

// installed runs npm once for all tests, without install scripts.
var installed = sync.OnceValue(func() error {
	wanted, err := os.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	stamp := filepath.Join("node_modules", ".installed-lock")
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, wanted) {
		return nil
	}
	if err := run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	return os.WriteFile(stamp, wanted, 0o600)
})

func run(name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	return command.Run()
}

// node is the path of a Node.js that is new enough for oidc-provider.
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

// chromium finds the browser, and installs Debian's where it may.
var chromium = sync.OnceValues(func() (string, error) {
	find := func() (string, error) {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
		}
		return "", errors.New("there is none on the path, and installing one takes root and apt-get")
	}
	path, err := find()
	if err == nil || os.Geteuid() != 0 {
		return path, err
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return find()
	}
	if err := run("apt-get", "update", "-q"); err != nil {
		return "", err
	}
	if err := run("apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"); err != nil {
		return "", err
	}
	return find()
})
