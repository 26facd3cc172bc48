package configfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/configfile"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// needs is a file in which the tool echo needs a scope.
func needs(scope string) string {
	return fmt.Sprintf(`{
  "resource": "https://mcp.example.com/mcp",
  "issuers": [{"url": "https://login.example.com",
    "keys": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"}]}}],
  "rules": {"tools": {"echo": [%q]}}
}`, scope)
}

// watched is a Middleware whose file is watched.
type watched struct {
	t      *testing.T
	auth   *mcpauth.Middleware
	file   string
	signal chan os.Signal
	ended  chan error

	mu      sync.Mutex
	log     bytes.Buffer
	changes []mcpauth.ConfigChange
	tries   atomic.Int64 // how often a configuration was put together
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// watch makes a Middleware of a file and begins to watch it.
func watch(t *testing.T, file string, every time.Duration) *watched {
	t.Helper()
	w := &watched{t: t, file: file, signal: make(chan os.Signal), ended: make(chan error, 1)}
	base := func(c *mcpauth.Config) {
		w.tries.Add(1)
		c.Logger = slog.New(slog.NewTextHandler(w, nil))
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, *d.Change)
		}
	}
	var err error
	w.auth, err = configfile.New(file, base)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		w.ended <- configfile.Watch(ctx, w.auth, file, configfile.Options{Every: every, Signal: w.signal, Base: base})
	}()
	t.Cleanup(func() {
		over := errors.New("over")
		cancel(over)
		assert.Equal(t, over, <-w.ended)
	})
	return w
}

// takeChanges returns the changes since the last time: how many came into force, and how many did not.
func (w *watched) takeChanges() (good, bad int) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		if c.Err == nil {
			good++
		} else {
			bad++
		}
	}
	w.changes = nil
	return good, bad
}

// need is the scope that the tool needs.
func (w *watched) need() string {
	w.t.Helper()
	err := w.auth.Authorize(w.t.Context(), &mcpauth.Principal{Subject: "ada"}, mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: "echo"})
	var denied *mcpauth.DeniedError
	require.ErrorAs(w.t, err, &denied)
	return strings.Join(denied.Scopes, " ")
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

// TestWatchEdits_RELOAD_10: in whatever way a file is changed, the change comes into force once, within three seconds of its end.
func TestWatchEdits_RELOAD_10(t *testing.T) {
	inPieces := func(pause time.Duration) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			file, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
			require.NoError(t, err)
			text := needs("b")
			for i := range 10 {
				time.Sleep(pause)
				_, err = file.WriteString(text[len(text)*i/10 : len(text)*(i+1)/10])
				require.NoError(t, err)
			}
			require.NoError(t, file.Close())
		}
	}
	for name, tt := range map[string]struct {
		edit func(t *testing.T, name string)
		bad  bool // in between it is found to be broken
	}{
		"written anew": {func(t *testing.T, name string) { write(t, name, needs("b")) }, false},
		"rename": {func(t *testing.T, name string) {
			write(t, name+".new", needs("b"))
			require.NoError(t, os.Rename(name+".new", name))
		}, false},
		"in pieces":      {inPieces(170 * time.Millisecond), false},
		"in slow pieces": {inPieces(1900 * time.Millisecond), true},
		"deleted for a moment": {func(t *testing.T, name string) {
			time.Sleep(1150 * time.Millisecond) // it is looked at 2.2 seconds after the start
			require.NoError(t, os.Remove(name))
			time.Sleep(100 * time.Millisecond)
			write(t, name, needs("b"))
		}, false},
		"deleted for long": {func(t *testing.T, name string) {
			require.NoError(t, os.Remove(name))
			time.Sleep(time.Minute)
			write(t, name, needs("b"))
		}, true},
		"empty, and deleted, for a moment": {func(t *testing.T, name string) {
			time.Sleep(1150 * time.Millisecond)
			write(t, name, "")
			time.Sleep(100 * time.Millisecond)
			require.NoError(t, os.Remove(name))
			time.Sleep(200 * time.Millisecond)
			write(t, name, needs("b"))
		}, false},
		"a file of the same size and time": {func(t *testing.T, name string) {
			info, err := os.Stat(name)
			require.NoError(t, err)
			write(t, name, needs("b"))
			require.NoError(t, os.Chtimes(name, info.ModTime(), info.ModTime()))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "mcpauth.json")
				write(t, file, needs("a"))
				w := watch(t, file, 0)
				time.Sleep(time.Second)
				require.Equal(t, "a", w.need())
				tt.edit(t, file)
				time.Sleep(3 * time.Second)
				good, bad := w.takeChanges()
				assert.Equal(t, 1, good)
				assert.Equal(t, tt.bad, bad > 0)
				assert.Equal(t, "b", w.need())
				assert.True(t, w.auth.ConfigStatus().StaleSince.IsZero())
				time.Sleep(time.Minute)
				good, bad = w.takeChanges()
				assert.Zero(t, good+bad)
			})
		})
	}
}

// TestWatchConfigMap_RELOAD_10: Kubernetes has a file behind two symbolic links, and swaps the one of the directory.
func TestWatchConfigMap_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		version := func(name, text string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			write(t, filepath.Join(dir, name, "mcpauth.json"), text)
			require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		}
		version("..1", needs("a"))
		file := filepath.Join(dir, "mcpauth.json")
		require.NoError(t, os.Symlink(filepath.Join("..data", "mcpauth.json"), file))
		w := watch(t, file, 0)
		time.Sleep(time.Second)
		for i, scope := range []string{"b", "c", "a"} {
			version(fmt.Sprintf("..%d", i+2), needs(scope))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", i+1))))
			time.Sleep(3 * time.Second)
			good, bad := w.takeChanges()
			assert.Equal(t, [2]int{1, 0}, [2]int{good, bad})
			assert.Equal(t, scope, w.need())
		}
	})
}

// TestWatchSignal_RELOAD_10: a signal has the file read at once.
func TestWatchSignal_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		w := watch(t, file, time.Hour)
		time.Sleep(time.Second)
		write(t, file, needs("b"))
		time.Sleep(time.Minute)
		require.Equal(t, "a", w.need())
		w.signal <- os.Interrupt
		time.Sleep(time.Second)
		assert.Equal(t, "b", w.need())
		before := w.auth.ConfigStatus().LastSuccess
		w.signal <- os.Interrupt
		time.Sleep(time.Second)
		assert.True(t, w.auth.ConfigStatus().LastSuccess.After(before), "it was read, and is the same")
		good, bad := w.takeChanges()
		assert.Equal(t, [2]int{1, 0}, [2]int{good, bad})
		close(w.signal)
		before = w.auth.ConfigStatus().LastSuccess
		time.Sleep(time.Minute)
		assert.Equal(t, before, w.auth.ConfigStatus().LastSuccess, "whoever closes it signals no more")
	})
}

// TestWatchBroken_RELOAD_11: the last good configuration stays, and that it is not the newest one is told with the place of
// each mistake, at once and every five minutes; the same good one ends that.
func TestWatchBroken_RELOAD_11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		w := watch(t, file, 0)
		time.Sleep(time.Second)
		write(t, file, strings.Replace(needs("b"), `"echo": ["b"]`, `"echo": [], "other": ["x y"]`, 1))
		time.Sleep(11 * time.Minute)
		good, bad := w.takeChanges()
		assert.Equal(t, [2]int{0, 1}, [2]int{good, bad})
		assert.Equal(t, "a", w.need())
		assert.False(t, w.auth.ConfigStatus().StaleSince.IsZero())
		log := w.log.String()
		assert.Equal(t, 3, strings.Count(log, "a configuration cannot be used"), log)
		assert.Contains(t, log, `mcpauth.json:5:23: rules.tools[`)
		assert.Contains(t, log, `mcpauth.json:5:35: rules.tools[`)
		write(t, file, needs("a"))
		time.Sleep(3 * time.Second)
		assert.True(t, w.auth.ConfigStatus().StaleSince.IsZero())
		good, bad = w.takeChanges()
		assert.Zero(t, good+bad, "it is the configuration in force")
		assert.Equal(t, 1, strings.Count(w.log.String(), "the configuration can be used again, and is the one in force"))

		write(t, file, strings.Replace(needs("b"), "mcp.example.com", "other.example.com", 1)) // what Reload finds
		time.Sleep(3 * time.Minute)
		good, bad = w.takeChanges()
		assert.Equal(t, [2]int{0, 1}, [2]int{good, bad})
		assert.Equal(t, "a", w.need())
		assert.Contains(t, w.log.String(), `mcpauth.json:2:15: resource: \"https://other.example.com/mcp\": cannot change while the server runs: restart it`)

		write(t, file, "")
		time.Sleep(3 * time.Second)
		good, bad = w.takeChanges()
		assert.Equal(t, [2]int{0, 1}, [2]int{good, bad})
		assert.Contains(t, w.log.String(), "the file is empty")
	})
}

// TestWatchTimes_RELOAD_10: a file is looked at every two seconds, counts when it was the same 200 milliseconds before, and is put in force once.
func TestWatchTimes_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, file := time.Now(), filepath.Join(t.TempDir(), "mcpauth.json")
		at := func(seconds float64) {
			time.Sleep(time.Until(begin.Add(time.Duration(seconds * float64(time.Second)))))
			synctest.Wait()
		}
		write(t, file, needs("a"))
		w := watch(t, file, 0)
		at(2.3) // the first look took until 0.2, and the second was at 2.2
		write(t, file, needs("b"))
		at(4.399)
		assert.Equal(t, "a", w.need())
		at(4.401)
		assert.Equal(t, "b", w.need())
		at(64.1)
		write(t, file, needs("c"))
		at(64.3)
		write(t, file, needs("b"))
		at(120)
		assert.Equal(t, begin.Add(4400*time.Millisecond), w.auth.ConfigStatus().LastSuccess)
		assert.EqualValues(t, 3, w.tries.Load(), "New, the beginning, and the change")
	})
}

// TestWatchTries_RELOAD_10: what cannot be put in force is tried again every 30 seconds.
func TestWatchTries_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, file := time.Now(), filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		w := watch(t, file, 100*time.Millisecond)
		time.Sleep(250 * time.Millisecond)
		write(t, file, strings.Replace(needs("b"), "mcp.example.com", "other.example.com", 1))
		w.tries.Store(0)
		for i, at := range []time.Duration{500, 30700, 60900} { // in milliseconds: it is looked at 200 before
			time.Sleep(time.Until(begin.Add(at*time.Millisecond - 1)))
			assert.EqualValues(t, i, w.tries.Load())
			time.Sleep(2 * time.Nanosecond)
			assert.EqualValues(t, i+1, w.tries.Load())
		}
	})
}

// TestWatchEnds_RELOAD_10: whoever ends the watch hears of nothing that could not be finished.
func TestWatchEnds_RELOAD_10(t *testing.T) {
	for name, after := range map[string]time.Duration{"while the file settles": 2300 * time.Millisecond, "while another change is made": 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "mcpauth.json")
			write(t, file, needs("a"))
			release := make(chan struct{})
			auth, err := configfile.New(file, func(c *mcpauth.Config) {
				c.OnDecision = func(context.Context, mcpauth.Decision) { <-release }
			})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			time.AfterFunc(time.Second, func() {
				if other, err := configfile.Parse("other.json", []byte(needs("b"))); assert.NoError(t, err) && after == 3*time.Second {
					assert.NoError(t, auth.Reload(t.Context(), other, "other"))
				}
			})
			time.AfterFunc(2150*time.Millisecond, func() { write(t, file, needs("c")) })
			assert.ErrorIs(t, configfile.Watch(ctx, auth, file, configfile.Options{}), context.DeadlineExceeded)
			assert.True(t, auth.ConfigStatus().StaleSince.IsZero(), name)
			close(release)
			synctest.Wait()
			assert.NotEqual(t, "c", (&watched{t: t, auth: auth}).need())
		})
	}
}

// TestWatchRetries_RELOAD_10: what a file refers to may come later than the file.
func TestWatchRetries_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file, key := filepath.Join(dir, "mcpauth.json"), filepath.Join(dir, "key")
		with := func(text string) string { return strings.Replace(text, "{", `{"session_key": {"file": "key"},`, 1) }
		write(t, key, strings.Repeat("0123", 8))
		write(t, file, with(needs("a")))
		w := watch(t, file, 0)
		time.Sleep(time.Second)
		require.NoError(t, os.Remove(key))
		write(t, file, with(needs("b")))
		time.Sleep(5 * time.Second)
		good, bad := w.takeChanges()
		assert.Equal(t, [2]int{0, 1}, [2]int{good, bad})
		write(t, key, strings.Repeat("0123", 8))
		time.Sleep(33 * time.Second)
		good, bad = w.takeChanges()
		assert.Equal(t, [2]int{1, 0}, [2]int{good, bad})
		assert.Equal(t, "b", w.need())
	})
}

// TestWatchBegins_RELOAD_10: what was written between New and Watch counts.
func TestWatchBegins_RELOAD_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		auth, err := configfile.New(file, nil)
		require.NoError(t, err)
		write(t, file, needs("b"))
		ctx, cancel := context.WithTimeout(t.Context(), 201*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, configfile.Watch(ctx, auth, file, configfile.Options{}), context.DeadlineExceeded)
		assert.Equal(t, uint64(2), auth.ConfigStatus().Generation)
		assert.Regexp(t, `mcpauth\.json sha256:[0-9a-f]{16}$`, auth.ConfigStatus().Source)
	})
}

// TestWatchWithoutBase_RELOAD_06: what Base forgets for Watch and gave to New decides on: no token that is revoked is good again.
func TestWatchWithoutBase_RELOAD_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com")
		write(t, file, `{"resource": "https://mcp.example.com/mcp", "issuers": [{"url": "https://login.example.com"}], "rules": {"tools": {"echo": "authenticated"}}}`)
		auth, err := configfile.New(file, func(c *mcpauth.Config) {
			c.Transport = issuer.Transport()
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil }
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_ = configfile.Watch(ctx, auth, file, configfile.Options{Base: func(c *mcpauth.Config) { c.Transport = issuer.Transport() }})
		r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.TokenFor("https://mcp.example.com/mcp"))
		_, err = auth.Authenticate(r)
		assert.ErrorIs(t, err, mcpauth.ErrRevoked)
	})
}

// TestWatchCode_RELOAD_06: what the file says does not take the place of a policy in code that Options forgets.
func TestWatchCode_RELOAD_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mcpauth.json")
		write(t, file, needs("a"))
		var log bytes.Buffer
		base := func(c *mcpauth.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return mcpauth.Scopes("code"), nil })
		}
		auth, err := configfile.New(file, base)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_ = configfile.Watch(ctx, auth, file, configfile.Options{})
		w := &watched{t: t, auth: auth}
		assert.Equal(t, "code", w.need())
		assert.Contains(t, log.String(), "Options.Base")

		log.Reset()
		without, _, _ := strings.Cut(needs("b"), `,
  "rules"`)
		write(t, file, without+"}")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = configfile.Watch(ctx, auth, file, configfile.Options{})
		assert.Equal(t, "code", w.need(), "nor does a file without rules, which refuses all")
		assert.Contains(t, log.String(), "Options.Base")
		write(t, file, needs("b"))
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = configfile.Watch(ctx, auth, file, configfile.Options{Base: base})
		assert.Equal(t, time.Now().Add(-800*time.Millisecond), auth.ConfigStatus().LastSuccess, "it forgets nothing")
		assert.Equal(t, "code", w.need())
	})
}
