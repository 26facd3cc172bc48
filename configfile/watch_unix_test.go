//go:build unix

package configfile_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/configfile"
)

// TestWatchNoFile_RELOAD_10: what is no file is not waited for: a pipe in its place would let nobody go, neither the watch nor who ends it.
func TestWatchNoFile_RELOAD_10_RELOAD_11(t *testing.T) {
	for name, replace := range map[string]func(string) error{
		"a pipe": func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a link to a pipe": func(name string) error {
			_ = syscall.Mkfifo(name+".pipe", 0o600)
			return os.Symlink(name+".pipe", name)
		},
		"a directory":       func(name string) error { return os.Mkdir(name, 0o700) },
		"a link to nowhere": func(name string) error { return os.Symlink(name+".none", name) },
		"a device":          func(name string) error { return os.Symlink("/dev/zero", name) },
	} {
		why := "that is no file"
		if name == "a link to nowhere" {
			why = "no such file or directory"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "mcpauth.json")
				write(t, file, needs("a"))
				w := watch(t, file, time.Second)
				require.NoError(t, os.Remove(file))
				require.NoError(t, replace(file))
				time.Sleep(3 * time.Second)
				good, bad := w.takeChanges()
				assert.Equal(t, [2]int{0, 1}, [2]int{good, bad}, "it is told once, and the last good one stays")
				assert.Equal(t, "a", w.need())
				assert.Contains(t, w.log.String(), why)
				require.NoError(t, os.Remove(file))
				write(t, file, needs("b"))
				time.Sleep(3 * time.Second)
				assert.Equal(t, "b", w.need())
			})
		})
	}
}

// TestWatchRestless_RELOAD_10: a file that somebody writes all the time, with the same or something else in it, counts after five seconds as it is then.
func TestWatchRestless_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		w := watch(t, file, time.Second)
		ctx, stop := context.WithCancel(t.Context())
		text := needs("b")
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(50 * time.Millisecond) // never at the moment of a look
			for ctx.Err() == nil {
				text += " "
				write(t, file, text)
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(4980 * time.Millisecond)
		assert.Equal(t, "a", w.need())
		time.Sleep(40 * time.Millisecond)
		assert.Equal(t, "b", w.need())
		stop()
		<-done
	})
}

// TestClosed_RELOAD_10: whoever reads a file every two seconds leaves none open.
func TestClosed_RELOAD_10(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close them
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), strings.Repeat("0123", 8))
	write(t, filepath.Join(dir, "mcpauth.json"), `{"session_key": {"file": "key"}}`)
	open := func() int {
		files, err := os.ReadDir("/dev/fd")
		require.NoError(t, err)
		return len(files)
	}
	before := open()
	for range 32 {
		_, err := configfile.Load(filepath.Join(dir, "mcpauth.json"))
		require.NoError(t, err)
	}
	assert.Less(t, open(), before+32)
}

// TestUnreadable_RELOAD_09: why a secret cannot be read is told, without what is not the file's name.
func TestUnreadable_RELOAD_09(t *testing.T) {
	for name, want := range map[string]string{
		"/proc/sys/vm/compact_memory": "correct its rights: permission denied", // for root, too
		"/proc/self/mem":              "input/output error",
	} {
		if _, err := os.Stat(name); err != nil {
			continue // it is there on Linux
		}
		_, err := configfile.Parse("mcpauth.json", []byte(`{"session_key": {"file": "`+name+`"}}`))
		assert.EqualError(t, err, `mcpauth.json:1:17: session_key: "`+name+`" cannot be read: `+want)
	}
}
