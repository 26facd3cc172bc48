package isolation

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/process"
)

// program is a server that is another program, behind a proxy.
type program struct {
	backend
	start func(t testing.TB) process.Ready
}

func typeScript(kind string, b backend) *program {
	return &program{b, func(t testing.TB) process.Ready {
		node.Need(t)
		return process.Start(t, exec.Command("node", "--expose-gc", node.Path("isolation.mjs"), kind), "STAGE="+stageURL())
	}}
}

// pythonVersion is that of the package mcp, which the test installs.
const pythonVersion = "2.3.0"

func python(kind string, b backend) *program {
	return &program{b, func(t testing.TB) process.Ready {
		return process.Start(t, exec.Command(pythonOf(t), filepath.Join("testdata", "server.py"), kind), "STAGE="+stageURL())
	}}
}

// virtualEnv makes a Python environment with the package, once for this user.
var virtualEnv = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	directory := filepath.Join(cache, "mcpauth-interop", "python-mcp-"+pythonVersion)
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
		{program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mcp==" + pythonVersion},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command[0], err, output)
		}
	}
	return program, os.WriteFile(stamp, nil, 0o600)
})

func pythonOf(t testing.TB) string {
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

var programs = []*program{
	typeScript("stateless", backend{name: "TypeScript 1.32.2, stateless", stateless: true, streams: true, batches: true}),
	typeScript("sessions", backend{name: "TypeScript 1.32.2, sessions", sessions: true, batches: true, tools: true, asks: true, subs: true}),
	typeScript("store", backend{name: "TypeScript 1.32.2, sessions, event store", sessions: true, batches: true, tools: true, asks: true, subs: true, store: true, oneStore: true}),
	typeScript("stores", backend{name: "TypeScript 1.32.2, sessions, event store of each", sessions: true, batches: true, tools: true, asks: true, subs: true, store: true}),
	typeScript("modern", backend{name: "TypeScript 2.4.0, both eras", stateless: true, modern: true, listens: true}),
	python("stateless", backend{name: "Python 2.3.0, stateless", stateless: true, modern: true, streams: true, listens: true}),
	python("stateful", backend{name: "Python 2.3.0, stateful", sessions: true, modern: true, asks: true, subs: true, listens: true}),
	python("store", backend{name: "Python 2.3.0, stateful, event store", sessions: true, modern: true, asks: true, subs: true, listens: true, store: true, oneStore: true}),
}

// flushing are the two ways in which a proxy passes on what it reads.
var flushing = []struct {
	name     string
	interval time.Duration
}{{"flush 0", 0}, {"flush -1", -1}}

// behind puts a program that listens there behind a proxy.
func (p *program) behind(ready process.Ready, name string, flush time.Duration) *backend {
	b := p.backend
	b.upstream = fmt.Sprintf("http://127.0.0.1:%d", ready.Port)
	b.name += ", " + name
	b.handler = func(t testing.TB) http.Handler { return proxy(t, b.upstream, flush) }
	return &b
}

// everyBackend visits each server, several at a time. A program that cannot be
// had here is skipped, in words.
func everyBackend(t *testing.T, visit func(t *testing.T, b *backend)) {
	for _, b := range goBackends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			visit(t, b)
		})
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ready := p.start(t)
			for _, flush := range flushing {
				t.Run(flush.name, func(t *testing.T) { visit(t, p.behind(ready, flush.name, flush.interval)) })
			}
		})
	}
}
