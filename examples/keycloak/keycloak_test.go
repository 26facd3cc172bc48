package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rebuilds does what start-dev does before it listens: it writes what it built
// beside the program that runs, and keeps its database in the home of the run.
const rebuilds = `#!/bin/sh
beside=$(dirname "$(readlink -f "$0")")/..
for option; do case $option in -Dkc.home.dir=*) home=${option#*=};; esac; done
for lib in "$beside/lib" "$home/lib"; do
	echo built > "$lib/quarkus/generated-bytecode.jar"
	rm -f "$lib/quarkus/persisted.properties"
	echo new > "$lib/quarkus/new.jar"
done
echo rows > "$home/data/rows"
[ "$(cat "$home/lib/app/app.jar")" = code ] && [ "$(cat "$home/conf/keycloak.conf")" = yours ] || exit 1
[ "$1" = start-dev ] || exit 1
echo "Listening on: http://127.0.0.1:1"
exec sleep 60
`

// contents are the files of a directory, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(data)
		return err
	}))
	return files
}

// TestYourKeycloak: what stands in KEYCLOAK_HOME is as it was, though Keycloak
// rebuilds itself to start, and nothing of the run is left.
func TestYourKeycloak(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("kc.sh is a script for sh")
	}
	home, temporary := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"bin/kc.sh":                          rebuilds,
		"lib/quarkus-run.jar":                "runner",
		"lib/app/app.jar":                    "code",
		"lib/quarkus/generated-bytecode.jar": "built for postgres",
		"lib/quarkus/persisted.properties":   "db=postgres",
		"conf/keycloak.conf":                 "yours",
		"data/h2/rows":                       "yours",
		"providers/extension.jar":            "yours",
		"themes/theme.css":                   "yours",
	} {
		file := filepath.Join(home, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o700))
	}
	before := contents(t, home)
	t.Setenv("KEYCLOAK_HOME", home)
	t.Setenv("TMPDIR", temporary)

	var said strings.Builder
	k, err := start(t.Context(), &said)
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:1", k.url)
	assert.Contains(t, said.String(), "KEYCLOAK_HOME")
	k.stop()
	assert.Equal(t, before, contents(t, home))
	assert.Empty(t, contents(t, temporary))
}
