package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The calls of the full count, and how many users make them. Elsewhere fewer
// calls do, unless the environment says how many.
const (
	allCalls  = 100_000
	someCalls = 5_000
	users     = 100
	allowance = 1 << 10 // bytes that a user may cost the server beyond what it costs bare
)

func calls(t *testing.T) int {
	switch n := os.Getenv("MCPAUTH_ISOLATION_CALLS"); {
	case n != "":
		count, err := strconv.Atoi(n)
		require.NoError(t, err)
		return count
	case *update:
		return allCalls
	}
	return someCalls
}

// load is a kind of request that a server could keep something of.
type load struct {
	name string
	body string // of a POST; "" for a stream that is opened and left
	part int    // of the count of calls
	slow bool   // a fourth of that does when the count is not the full one
	warm int    // before the count: an engine that compiles what it runs keeps that too
}

var loads = []load{
	{"calls with a notification", text(callOf(1, "look", "", step{Do: "notify", Text: "x", N: 1}, step{Do: "say", Text: "done"})), 1, false, 0},
	{"logging/setLevel", `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`, 1, false, 0},
	{"streams, opened and left", "", 20, false, 0},
}

// kept are the bytes and goroutines that were there more after a load than before.
type kept struct{ Calls, Bytes, Goroutines int }

// row is a line of the table: a server under a load, bare and wrapped.
type row struct {
	server, load  string
	bare, wrapped kept
}

// keepers are the servers that are counted, each in a process of its own.
var keepers = []struct {
	name    string
	handler func() http.Handler
	loads   []load
}{
	{"mcp-go, stateless", func() http.Handler { return mcpGoHandler(server.WithStateLess(true)) }, loads},
	{"mcp-go, stateless, event store", func() http.Handler {
		return mcpGoHandler(server.WithStateLess(true), server.WithEventStore(server.NewInMemoryEventStore()))
	}, loads},
	{"go-sdk, stateless", func() http.Handler {
		return goSDKHandler(sdk.ServerOptions{}, sdk.StreamableHTTPOptions{Stateless: true})
	}, loads[:2]},
	{`go-sdk, GetSessionID ""`, func() http.Handler {
		return goSDKHandler(sdk.ServerOptions{GetSessionID: noSessionID}, sdk.StreamableHTTPOptions{})
	}, loads[:2]},
}

// TestMemory_ISOL_20: what a server keeps of requests without a session is no more
// than bare, but for a little for each user.
func TestMemory_ISOL_20(t *testing.T) {
	var rows []row
	for _, keeper := range keepers {
		for _, load := range keeper.loads {
			t.Run(keeper.name+", "+load.name, func(t *testing.T) {
				one := row{server: keeper.name, load: load.name}
				one.bare, one.wrapped = apart(t, keeper.name, load.name, true), apart(t, keeper.name, load.name, false)
				one.check(t, 64<<10)
				rows = append(rows, one)
			})
		}
	}
	t.Run("TypeScript 1.32.2, stateless", func(t *testing.T) {
		fewer := loads[0]
		fewer.part, fewer.warm = 20, max(500, calls(t)/20)
		one := row{server: "TypeScript 1.32.2, stateless", load: fewer.name}
		for kept, bare := range map[*kept]bool{&one.bare: true, &one.wrapped: false} {
			p := typeScript("stateless", backend{name: one.server})
			b := p.behind(p.start(t), "flush -1", -1)
			*kept = measure(t, b.handler(t), fewer, bare, func(t *testing.T) int { return nodeHeap(t, b.upstream) })
		}
		one.check(t, 1<<20) // V8 keeps what it has compiled, and drops it again
		rows = append(rows, one)
	})
	compareBytes(t, rows, calls(t))
}

// one names a count to the process that makes it.
type one struct {
	Server, Load string
	Bare         bool
	Calls        int
}

// theOne is the variable of the environment in which it stands.
const theOne = "MCPAUTH_ISOLATION_ONE"

// apart counts in a process of its own, where nobody else uses the heap.
func apart(t *testing.T, server, load string, bare bool) (k kept) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestMemoryApart$", "-test.v")
	command.Env = append(os.Environ(), theOne+"="+text(one{server, load, bare, calls(t)}))
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	_, rest, found := strings.Cut(string(output), "KEPT ")
	require.True(t, found, "%s", output)
	line, _, _ := strings.Cut(rest, "\n")
	require.NoError(t, json.Unmarshal([]byte(line), &k))
	return k
}

// TestMemoryApart is what that process runs.
func TestMemoryApart(t *testing.T) {
	asked := os.Getenv(theOne)
	if asked == "" {
		return // it is part of TestMemory
	}
	var what one
	require.NoError(t, json.Unmarshal([]byte(asked), &what))
	t.Setenv("MCPAUTH_ISOLATION_CALLS", strconv.Itoa(what.Calls))
	for _, keeper := range keepers {
		for _, load := range keeper.loads {
			if keeper.name == what.Server && load.name == what.Load {
				load.slow = strings.HasPrefix(keeper.name, "go-sdk")
				fmt.Println("KEPT " + text(measure(t, keeper.handler(), load, what.Bare, heap)))
			}
		}
	}
}

// check holds the wrapped server against the bare one. Some bytes are noise, of a
// heap that others use.
func (r *row) check(t *testing.T, noise int) {
	t.Logf("bare: %+v, wrapped: %+v", r.bare, r.wrapped)
	assert.LessOrEqual(t, r.wrapped.Bytes, max(r.bare.Bytes, 0)+users*allowance+noise)
	assert.LessOrEqual(t, r.wrapped.Goroutines, max(r.bare.Goroutines, 0)+4)
}

func measure(t *testing.T, handler http.Handler, load load, bare bool, heap func(*testing.T) int) kept {
	issuer := mcpauthtest.NewIssuer(t)
	const resource = "http://127.0.0.1:1" + endpointPath
	if !bare {
		auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{issuer.Config()}, Policy: rules(),
			AllowInsecureLoopback: true})
		require.NoError(t, err)
		handler = auth.Wrap(handler)
	}
	tokens := make([]string, users)
	for i := range tokens {
		tokens[i] = issuer.Token(mcpauthtest.Claims{"sub": fmt.Sprint("user-", i), "aud": resource, "scope": broad,
			"exp": time.Now().Add(time.Hour).Unix()})
	}
	// What mcpauth itself remembers of a token is there before the count begins.
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for i := range 2 * users {
		require.Equal(t, http.StatusOK, knock(handler, tokens[i%users], ping))
	}
	n := calls(t) / load.part
	if load.slow && n < allCalls {
		n /= 4
	}
	for i := range load.warm {
		knock(handler, tokens[i%users], load.body)
	}
	before, goroutines := heap(t), runtime.NumGoroutine()
	for i := range n {
		if status := knock(handler, tokens[i%users], load.body); status != http.StatusOK {
			t.Fatalf("call %d: %d", i, status)
		}
	}
	after := heap(t)
	k := kept{Calls: n, Bytes: after - before, Goroutines: runtime.NumGoroutine() - goroutines}
	runtime.KeepAlive(handler)
	return k
}

// knock makes one request without a session. A stream is left once it has begun.
func knock(handler http.Handler, token, body string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:1"+endpointPath, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", latest)
	r.Header.Set("Authorization", "Bearer "+token)
	w := &leaving{header: http.Header{}}
	if body == "" {
		w.leave = cancel
	}
	handler.ServeHTTP(w, r)
	return w.status
}

// leaving is a response that nobody reads. It leaves a stream at once.
type leaving struct {
	header http.Header
	status int
	leave  func()
}

func (w *leaving) Header() http.Header { return w.header }

func (w *leaving) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *leaving) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

func (w *leaving) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.leave != nil {
		w.leave()
	}
}

// heap is what is in use when all that is not needed has been collected.
func heap(*testing.T) int {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func nodeHeap(t *testing.T, url string) int {
	response, err := http.Get(url + "/heap")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	used, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	return used
}
