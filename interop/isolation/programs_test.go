package isolation

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/process"
	"github.com/seed-1e292522/mcpauth/interop/python"
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

func pythonSDK(kind string, b backend) *program {
	return &program{b, func(t testing.TB) process.Ready {
		return process.Start(t, exec.Command(python.Need(t), filepath.Join("testdata", "server.py"), kind), "STAGE="+stageURL())
	}}
}

var programs = []*program{
	typeScript("stateless", backend{name: "TypeScript 1.32.2, stateless", stateless: true, streams: true, batches: true}),
	typeScript("sessions", backend{name: "TypeScript 1.32.2, sessions", sessions: true, batches: true, tools: true, asks: true, subs: true}),
	typeScript("store", backend{name: "TypeScript 1.32.2, sessions, event store", sessions: true, batches: true, tools: true, asks: true, subs: true, store: true, oneStore: true}),
	typeScript("stores", backend{name: "TypeScript 1.32.2, sessions, event store of each", sessions: true, batches: true, tools: true, asks: true, subs: true, store: true}),
	typeScript("modern", backend{name: "TypeScript 2.4.0, both eras", stateless: true, modern: true, listens: true}),
	pythonSDK("stateless", backend{name: "Python 2.3.0, stateless", stateless: true, modern: true, streams: true, listens: true}),
	pythonSDK("stateful", backend{name: "Python 2.3.0, stateful", sessions: true, modern: true, asks: true, subs: true, listens: true}),
	pythonSDK("store", backend{name: "Python 2.3.0, stateful, event store", sessions: true, modern: true, asks: true, subs: true, listens: true, store: true, oneStore: true}),
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
