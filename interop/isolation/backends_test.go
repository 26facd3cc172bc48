package isolation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// backend is a server, and what of it two callers could share.
type backend struct {
	name    string
	handler func(t testing.TB) http.Handler
	bare    func(t testing.TB) http.Handler // where the handler needs mcpauth around it

	sse       bool   // HTTP+SSE of 2024-11-05
	stateless bool   // serves legacy calls of who presents no session
	sessions  bool   // begins sessions
	modern    bool   // serves calls of 2026-07-28
	level     string // that a client of a session has to set before it hears anything

	streams  bool // a GET without a session is a stream
	marks    bool // a broadcast reaches such a stream
	store    bool // it keeps events for who comes back
	oneStore bool // in one store for all sessions, which asks nobody whose they are
	tools    bool // a session can have tools of its own
	asks     bool // a tool can ask its client something (elicitation, sampling), in a session
	asksBare bool // and without one
	tasks    bool
	subs     bool // subscriptions to resources lead to notifications, in a session
	listens  bool // subscriptions/listen hears of resources
	batches  bool
	upstream string // where the program is that stands behind a proxy: each request costs more
}

func mcpGoOf(options ...func() server.StreamableHTTPOption) func(testing.TB) http.Handler {
	return func(testing.TB) http.Handler {
		made := make([]server.StreamableHTTPOption, len(options))
		for i, option := range options {
			made[i] = option()
		}
		return mcpGoHandler(made...)
	}
}

var (
	statelessOption = func() server.StreamableHTTPOption { return server.WithStateLess(true) }
	statefulOption  = func() server.StreamableHTTPOption { return server.WithStateful(true) }
	storeOption     = func() server.StreamableHTTPOption { return server.WithEventStore(server.NewInMemoryEventStore()) }
	noStreamOption  = func() server.StreamableHTTPOption { return server.WithDisableStreaming(true) }
	strictOption    = func() server.StreamableHTTPOption { return server.WithSessionIdManager(&strictIDs{}) }
	lenientOption   = func() server.StreamableHTTPOption { return server.WithSessionIdManager(&strictIDs{lenient: true}) }
)

func goSDKOf(options sdk.StreamableHTTPOptions, store bool) func(testing.TB) http.Handler {
	return func(testing.TB) http.Handler {
		options := options
		if store {
			options.EventStore = sdk.NewMemoryEventStore(nil)
		}
		return goSDKHandler(sdk.ServerOptions{}, options)
	}
}

func noSessionID() string { return "" }

var goBackends = []*backend{
	{name: "mcp-go, stateless", handler: mcpGoOf(statelessOption), stateless: true, modern: true,
		streams: true, marks: true, tools: true, asksBare: true, tasks: true},
	{name: "mcp-go, stateless, event store", handler: mcpGoOf(statelessOption, storeOption), stateless: true, modern: true,
		streams: true, marks: true, store: true, tools: true, asksBare: true, tasks: true},
	{name: "mcp-go, stateless, no streaming", handler: mcpGoOf(statelessOption, noStreamOption), stateless: true, modern: true,
		tools: true, asksBare: true, tasks: true},
	{name: "mcp-go, default", handler: mcpGoOf(), sessions: true, modern: true,
		streams: true, marks: true, tools: true, asks: true, tasks: true},
	{name: "mcp-go, stateful", handler: mcpGoOf(statefulOption), sessions: true, modern: true,
		streams: true, marks: true, tools: true, asks: true, tasks: true},
	{name: "mcp-go, stateful, event store", handler: mcpGoOf(statefulOption, storeOption), sessions: true, modern: true,
		streams: true, marks: true, store: true, tools: true, asks: true, tasks: true},
	{name: "mcp-go, own ids, strict", handler: mcpGoOf(strictOption), sessions: true, modern: true,
		streams: true, marks: true, tools: true, asks: true, tasks: true},
	// It also serves who has no session, until it has given out an id: see TestLenientServer.
	{name: "mcp-go, own ids, lenient", handler: mcpGoOf(lenientOption), sessions: true, modern: true,
		streams: true, marks: true, tools: true, asks: true, tasks: true},
	{name: "mcp-go, HTTP+SSE", handler: func(testing.TB) http.Handler { return mcpGoSSE() }, sse: true, sessions: true, tools: true},
	{name: "go-sdk, stateless", handler: goSDKOf(sdk.StreamableHTTPOptions{Stateless: true}, false), stateless: true, modern: true, batches: true, listens: true},
	{name: "go-sdk, stateless, JSON", handler: goSDKOf(sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true}, false),
		stateless: true, modern: true, batches: true, listens: true},
	{name: "go-sdk, stateful", handler: goSDKOf(sdk.StreamableHTTPOptions{}, false), sessions: true, batches: true, level: "info", asks: true, subs: true},
	{name: "go-sdk, stateful, event store", handler: goSDKOf(sdk.StreamableHTTPOptions{}, true), sessions: true, batches: true, level: "info", store: true, asks: true, subs: true},
	{name: "go-sdk, stateful, JSON", handler: goSDKOf(sdk.StreamableHTTPOptions{JSONResponse: true}, false),
		sessions: true, batches: true, level: "info", asks: true, subs: true},
	{name: `go-sdk, GetSessionID ""`, handler: func(testing.TB) http.Handler {
		return goSDKHandler(sdk.ServerOptions{GetSessionID: noSessionID}, sdk.StreamableHTTPOptions{})
	}, stateless: true, batches: true},
	{name: `go-sdk, GetSessionID "", gosdk.Handler`, handler: func(testing.TB) http.Handler {
		return withCaller(sdk.ServerOptions{GetSessionID: noSessionID}, sdk.StreamableHTTPOptions{})
	}, bare: func(testing.TB) http.Handler {
		return goSDKHandler(sdk.ServerOptions{GetSessionID: noSessionID}, sdk.StreamableHTTPOptions{})
	}, stateless: true, batches: true},
	{name: "go-sdk, stateful, gosdk.Handler", handler: func(testing.TB) http.Handler {
		return withCaller(sdk.ServerOptions{}, sdk.StreamableHTTPOptions{})
	}, bare: goSDKOf(sdk.StreamableHTTPOptions{}, false), sessions: true, batches: true, level: "info", asks: true, subs: true},
	{name: "go-sdk, HTTP+SSE", handler: func(testing.TB) http.Handler { return goSDKSSE() }, sse: true, sessions: true, level: "info", asks: true, subs: true},
	{name: "go-sdk, HTTP+SSE, session in the path", handler: func(testing.TB) http.Handler {
		return &pathSSE{goSDK: newGoSDK(sdk.ServerOptions{})}
	}, sse: true, sessions: true, level: "info", asks: true, subs: true},
	{name: "refuses every session id", handler: func(testing.TB) http.Handler {
		return refusesIDs(goSDKHandler(sdk.ServerOptions{}, sdk.StreamableHTTPOptions{Stateless: true}))
	}, stateless: true, modern: true, batches: true, listens: true},
}

// hears reports whether such a caller of the bare server has the notifications of its calls.
func (b *backend) hears(s side) bool {
	return !strings.Contains(b.name, "stateless, JSON")
}

// hearsProgress is the same for progress.
func (b *backend) hearsProgress(s side) bool { return b.hears(s) }

// asked reports whether a tool can ask such a caller of the bare server.
func (b *backend) asked(s side, do string) bool {
	// mcp-go sends a sampling request on the stream of a session alone.
	return do == "elicit" || s.presence == own || !strings.HasPrefix(b.name, "mcp-go")
}
