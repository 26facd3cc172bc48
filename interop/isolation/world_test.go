package isolation

import (
	"context"
	"crypto/rand"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// patience is how long a test waits for what must happen. Only a failure takes
// so long.
var patience = flag.Duration("patience", 20*time.Second, "how long to wait for what must happen")

// endpointPath is where the MCP endpoint is.
const endpointPath = "/mcp"

// Scopes of the tools: narrow opens look, broad also run.
const (
	narrow = "mcp:look"
	broad  = "mcp:look mcp:run"
)

// rules say what the tools and the rest need. The tools of sessions are called own-*.
func rules() mcpauth.Rules {
	look := mcpauth.Scopes("mcp:look")
	return mcpauth.Rules{
		Tools:     map[string]mcpauth.Requirement{"run": mcpauth.Scopes("mcp:run"), "look": look, "own-*": look},
		Prompts:   map[string]mcpauth.Requirement{"p": look},
		Resources: map[string]mcpauth.Requirement{"note://*": look},
		Methods:   map[string]mcpauth.Requirement{"tasks/get": look, "tasks/list": look, "tasks/result": look, "tasks/cancel": look},
	}
}

// two are the authorization servers of all tests.
type two struct{ first, second *mcpauthtest.Issuer }

func newIssuers(t *testing.T) two {
	return two{mcpauthtest.NewIssuer(t), mcpauthtest.NewIssuer(t)}
}

// world is one server, bare or behind mcpauth.
type world struct {
	url string // of the endpoint
	two
	bare bool
	sse  bool
}

// newWorld serves until the test ends.
func newWorld(t testing.TB, issuers two, b *backend, bare bool) *world {
	t.Helper()
	return newWorldOf(t, issuers, b.handler(t), b.sse, bare)
}

func newWorldOf(t testing.TB, issuers two, handler http.Handler, sse, bare bool) *world {
	t.Helper()
	w := &world{two: issuers, bare: bare, sse: sse}
	outer := httptest.NewUnstartedServer(nil)
	w.url = "http://" + outer.Listener.Addr().String() + endpointPath
	if !bare {
		auth, err := mcpauth.New(mcpauth.Config{
			Resource:              w.url,
			Issuers:               []mcpauth.Issuer{issuers.first.Config(), issuers.second.Config()},
			Policy:                rules(),
			AllowInsecureLoopback: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		handler = auth.Wrap(handler)
	}
	outer.Config.Handler = handler
	outer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	outer.Start()
	t.Cleanup(func() {
		outer.CloseClientConnections()
		outer.Close()
	})
	return w
}

// who is somebody with a token.
type who struct {
	sub, client, scope string
	elsewhere          bool // the token is of the second authorization server
}

// caller is a client of the world's. What it has open ends with the test.
func (w *world) caller(t testing.TB, name string, who who, version string) *caller {
	ctx, cancel := context.WithCancel(context.Background())
	c := &caller{t: t, name: name, url: w.url, version: version, sse: w.sse, ctx: ctx}
	if !w.bare {
		issuer := w.first
		if who.elsewhere {
			issuer = w.second
		}
		c.token = issuer.Token(mcpauthtest.Claims{"sub": who.sub, "client_id": who.client, "scope": who.scope, "aud": w.url})
	}
	t.Cleanup(func() {
		cancel()
		c.leave()
	})
	return c
}

// pair is two callers who must not meet.
type pair struct {
	name             string
	victim, attacker who
	sameClient       bool // one user and one client: the attacker's token is the narrower one
}

var pairs = []pair{
	{name: "two users", victim: who{sub: "alice", client: "app", scope: broad}, attacker: who{sub: "mallory", client: "app", scope: broad}},
	{name: "two clients of one user", victim: who{sub: "alice", client: "app", scope: broad}, attacker: who{sub: "alice", client: "other", scope: narrow}},
	{name: "one client, a narrower token", victim: who{sub: "alice", client: "app", scope: broad}, attacker: who{sub: "alice", client: "app", scope: narrow}, sameClient: true},
	{name: "equal sub at two issuers", victim: who{sub: "alice", client: "app", scope: broad}, attacker: who{sub: "alice", client: "app", scope: broad, elsewhere: true}},
	{name: "equal sub, a user and a client", victim: who{sub: "batch", client: "app", scope: broad}, attacker: who{sub: "batch", client: "batch", scope: broad}},
}

// passedOn are the header fields that examples/proxy passes on.
var passedOn = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Content-Type": true, "Last-Event-Id": true, "Mcp-Method": true, "Mcp-Name": true,
	"Mcp-Protocol-Version": true, "Mcp-Session-Id": true, "Traceparent": true, "Tracestate": true, "User-Agent": true,
}

// proxy passes requests on as examples/proxy does, which is a program of its own.
func proxy(t testing.TB, upstream string, flush time.Duration) http.Handler {
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	connections := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(connections.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport:     connections,
		FlushInterval: flush,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Trailer = nil
			r.Out.Header = http.Header{}
			for name, values := range r.In.Header {
				if passedOn[name] || strings.HasPrefix(name, "Mcp-Param-") {
					r.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// unique is a word that nothing else has: a tag, a gate, a canary.
func unique(word string) string { return word + "-" + strings.ToLower(rand.Text()[:10]) }
