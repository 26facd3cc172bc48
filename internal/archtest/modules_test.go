package archtest

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	released = flag.String("release", "", "version that TestVersions writes into every module")
	modules  = flag.Bool("modules", false, "let TestModules release a copy of the tree and get the modules as users do")
)

// ownVersion finds where a go.mod or go.work names a version of a module of ours.
var ownVersion = regexp.MustCompile(`(?m)^(\s*(?:require |replace )?` + regexp.QuoteMeta(module) + `(?:/\S+)?) (v\S+)`)

// TestVersions: nested modules import internal packages of the root, so that only
// modules of one release fit together.
func TestVersions(t *testing.T) {
	if *released != "" {
		require.Regexp(t, `^v[01]\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`, *released)
	}
	versions := map[string][]string{}
	for _, name := range files(t) {
		if base := path.Base(name); base != "go.mod" && base != "go.work" {
			continue
		}
		text := read(t, name)
		if *released != "" {
			text = ownVersion.ReplaceAll(text, []byte("${1} "+*released))
			require.NoError(t, os.WriteFile(filepath.Join("../..", name), text, 0o644))
		}
		for _, match := range ownVersion.FindAllSubmatch(text, -1) {
			versions[string(match[2])] = append(versions[string(match[2])], name)
		}
	}
	assert.LessOrEqual(t, len(versions), 1, "more than one version of our own modules: %v", versions)
	t.Logf("version: %v", slices.Collect(maps.Keys(versions)))
}

func TestOwnVersion(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"require " + module + " v0.0.0\n", "require " + module + " v1.0.0\n"},
		{"\t" + module + "/gosdk v0.0.0 // indirect\n", "\t" + module + "/gosdk v1.0.0 // indirect\n"},
		{"replace " + module + " v0.0.0 => ..\n", "replace " + module + " v1.0.0 => ..\n"},
		{"replace " + module + " => ../\n", "replace " + module + " => ../\n"},
		{"module " + module + "/gosdk\n", "module " + module + "/gosdk\n"},
		{"\t" + module + "test v0.0.0\n", "\t" + module + "test v0.0.0\n"},
	} {
		assert.Equal(t, row.want, ownVersion.ReplaceAllString(row.text, "${1} v1.0.0"))
	}
}

// TestModules: what make release tags can be got into a module that knows nothing of
// this tree, and a program with it builds and runs. Modules of others come from where
// they always come from, so this may need the network: see make modules.
func TestModules(t *testing.T) {
	if !*modules {
		t.Skip("no -modules: see make modules")
	}
	const version = "v0.99.0"
	tree, names := releasedCopy(t, version)
	proxy := proxyOf(t, tree, names, version)
	cache := filepath.Join(t.TempDir(), "modules")
	for _, name := range names {
		t.Run(path.Base(name), func(t *testing.T) {
			user := newShell(t, t.TempDir(), proxy.env(cache)...)
			user.run("go", "mod", "init", "example.com/user")
			user.run("go", "get", name+"@"+version)
			program := "package main\n\nimport _ \"" + name + "\"\n\nfunc main() { println(\"ready\") }\n"
			require.NoError(t, os.WriteFile(filepath.Join(user.dir, "main.go"), []byte(program), 0o600))
			assert.Equal(t, "ready", user.run("go", "run", "-trimpath", "."))
			for line := range strings.Lines(user.run("go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", "all")) {
				if of, got, _ := strings.Cut(strings.TrimSpace(line), "@"); within(of, module) {
					assert.Equal(t, version, got, of)
				}
			}
		})
	}
	t.Run("the command", func(t *testing.T) {
		user := newShell(t, t.TempDir(), proxy.env(cache)...)
		assert.Contains(t, user.run("go", "run", "-trimpath", module+"/cmd/mcpauth@"+version, "--help"), "doctor")
	})
}

// releasedCopy is a repository with the files of this one, released as version, and
// the names of the modules that have a tag.
func releasedCopy(t *testing.T, version string) (dir string, names []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tree")
	for _, name := range files(t) {
		info, err := os.Stat(filepath.Join("../..", name))
		require.NoError(t, err)
		target := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		content, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(target, content, info.Mode().Perm()))
	}
	tree := newShell(t, dir, "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	tree.run("git", "init", "-q")
	tree.run("git", "add", "--all")
	tree.run("git", "commit", "-q", "-m", "A copy")
	tree.run("make", "release", "VERSION="+version)
	assert.Empty(t, tree.run("git", "status", "--porcelain"))
	for tag := range strings.SplitSeq(tree.run("git", "tag", "--points-at", "HEAD"), "\n") {
		names = append(names, path.Join(module, strings.TrimSuffix(strings.TrimSuffix(tag, version), "/")))
	}
	require.Subset(t, names, []string{module, module + "/gosdk", module + "/otelmcpauth", module + "/onbehalf", module + "/redisstore"})
	return dir, names
}

// A proxy is a directory in the layout of the protocol of the same name.
type proxy string

// proxyOf lets the go command fetch the tagged modules as it does from a forge: what it
// then keeps of them has the layout of a proxy.
func proxyOf(t *testing.T, tree string, names []string, version string) proxy {
	t.Helper()
	cache := t.TempDir()
	forge := newShell(t, t.TempDir(), "GOWORK=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+cache, "GOPRIVATE="+module,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+filepath.ToSlash(tree)+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+module)
	for _, name := range names {
		forge.run("go", "mod", "download", name+"@"+version)
	}
	return proxy(filepath.Join(cache, "cache", "download"))
}

// env is for a user of this proxy, who asks for the modules of others what this
// machine has already, and then what it asks always.
func (p proxy) env(cache string) []string {
	have := goEnv("GOMODCACHE")
	chain := "file://" + filepath.ToSlash(string(p)) + ",file://" + filepath.ToSlash(filepath.Join(have, "cache", "download")) + "," + goEnv("GOPROXY")
	return []string{"GOWORK=off", "GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE=" + cache, "GOPROXY=" + chain,
		"GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=" + module}
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output()
	return strings.TrimSpace(string(out))
}

// A shell runs programs in a directory, which have to succeed.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

func newShell(t *testing.T, dir string, env ...string) shell { return shell{t, dir, env} }

// run returns what the program printed.
func (s shell) run(name string, args ...string) string {
	s.t.Helper()
	command := exec.Command(name, args...)
	command.Dir = s.dir
	command.Env = append(os.Environ(), s.env...)
	out, err := command.CombinedOutput()
	require.NoError(s.t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return string(bytes.TrimSpace(out))
}
