package differential

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
)

// What every backend offers. The token of the tests opens the first of each
// kind; nothing is said of the last.
var (
	toolNames   = []string{"echo", "admin_delete", "unlisted", "ECHO"}
	promptNames = []string{"greet", "admin_prompt", "unlisted"}
	fileURIs    = []string{"file:///public/a", "file:///secret/b", "file:///unlisted"}
)

const (
	templateURI = "db://{tenant}"
	tenantURI   = "db://tenant-1" // the one that the token opens
)

// backend is a server of an SDK that writes in the ledger what it executes.
type backend struct {
	name     string
	stateful bool // needs initialize and Mcp-Session-Id
	modern   bool // executes requests of 2026-07-28
	handler  func(l *ledger) http.Handler
}

var backends = []backend{
	{"mcp-go, stateless", false, true, func(l *ledger) http.Handler { return mcpGoHandler(l, server.WithStateLess(true)) }},
	{"mcp-go, stateful", true, true, func(l *ledger) http.Handler { return mcpGoHandler(l) }},
	{"go-sdk, stateless", false, true, func(l *ledger) http.Handler {
		return goSDKHandler(l, sdk.StreamableHTTPOptions{Stateless: true})
	}},
	{"go-sdk, stateless, JSON", false, true, func(l *ledger) http.Handler {
		return goSDKHandler(l, sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	}},
	{"go-sdk, stateful", true, false, func(l *ledger) http.Handler {
		return goSDKHandler(l, sdk.StreamableHTTPOptions{JSONResponse: true})
	}},
}

// numberHeader tells a handler which request of the test it serves.
const numberHeader = "X-Request-Number"

func mcpGoHandler(l *ledger, options ...server.StreamableHTTPOption) http.Handler {
	number := func(h http.Header) int { n, _ := strconv.Atoi(h.Get(numberHeader)); return n }
	hooks := &server.Hooks{}
	hooks.AddBeforeAny(func(_ context.Context, _ any, method mcpgo.MCPMethod, message any) {
		switch m := message.(type) {
		case *mcpgo.SubscribeRequest:
			l.executed(number(m.Header), mcpauth.KindResource, m.Params.URI, anyArguments)
		case *mcpgo.ListToolsRequest:
			l.executed(number(m.Header), mcpauth.KindMethod, string(method), anyArguments)
		}
	})
	s := server.NewMCPServer("backend", "1", server.WithHooks(hooks), server.WithToolCapabilities(true), server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true), server.WithLogging(), server.WithCompletions(),
		server.WithPromptCompletionProvider(promptCompleter{l}), server.WithResourceCompletionProvider(resourceCompleter{l}))
	for _, name := range toolNames {
		s.AddTool(mcpgo.NewTool(name), func(_ context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			arguments := ""
			if r.Params.Arguments != nil {
				arguments = canonical(r.Params.Arguments)
			}
			l.executed(number(r.Header), mcpauth.KindTool, name, arguments)
			return mcpgo.NewToolResultText("done"), nil
		})
	}
	for _, name := range promptNames {
		s.AddPrompt(mcpgo.NewPrompt(name), func(_ context.Context, r mcpgo.GetPromptRequest) (*mcpgo.GetPromptResult, error) {
			l.executed(number(r.Header), mcpauth.KindPrompt, name, *stringMap(r.Params.Arguments))
			return mcpgo.NewGetPromptResult("done", nil), nil
		})
	}
	read := func(name string) func(context.Context, mcpgo.ReadResourceRequest) ([]mcpgo.ResourceContents, error) {
		return func(_ context.Context, r mcpgo.ReadResourceRequest) ([]mcpgo.ResourceContents, error) {
			if name == templateURI {
				name = r.Params.URI
			}
			l.executed(number(r.Header), mcpauth.KindResource, name, anyArguments)
			return []mcpgo.ResourceContents{mcpgo.TextResourceContents{URI: name}}, nil
		}
	}
	for _, uri := range fileURIs {
		s.AddResource(mcpgo.NewResource(uri, uri), read(uri))
	}
	s.AddResourceTemplate(mcpgo.NewResourceTemplate(templateURI, "db"), server.ResourceTemplateHandlerFunc(read(templateURI)))
	options = append(options, server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)), server.WithDisableLocalhostProtection(true))
	return server.NewStreamableHTTPServer(s, options...)
}

type (
	promptCompleter   struct{ l *ledger }
	resourceCompleter struct{ l *ledger }
)

func (c promptCompleter) CompletePromptArgument(ctx context.Context, name string, _ mcpgo.CompleteArgument, _ mcpgo.CompleteContext) (*mcpgo.Completion, error) {
	c.l.executed(numberOf(ctx), mcpauth.KindPrompt, name, anyArguments)
	return &mcpgo.Completion{}, nil
}

func (c resourceCompleter) CompleteResourceArgument(ctx context.Context, uri string, _ mcpgo.CompleteArgument, _ mcpgo.CompleteContext) (*mcpgo.Completion, error) {
	c.l.executed(numberOf(ctx), mcpauth.KindResource, uri, anyArguments)
	return &mcpgo.Completion{}, nil
}

func goSDKHandler(l *ledger, options sdk.StreamableHTTPOptions) http.Handler {
	number := func(r sdk.Request) int { n, _ := strconv.Atoi(r.GetExtra().Header.Get(numberHeader)); return n }
	s := sdk.NewServer(&sdk.Implementation{Name: "backend", Version: "1"}, &sdk.ServerOptions{
		CompletionHandler: func(_ context.Context, r *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			kind, name := mcpauth.KindPrompt, r.Params.Ref.Name
			if r.Params.Ref.Type == "ref/resource" {
				kind, name = mcpauth.KindResource, r.Params.Ref.URI
			}
			l.executed(number(r), kind, name, anyArguments)
			return &sdk.CompleteResult{}, nil
		},
		SubscribeHandler: func(_ context.Context, r *sdk.SubscribeRequest) error {
			l.executed(number(r), mcpauth.KindResource, r.Params.URI, anyArguments)
			return nil
		},
		UnsubscribeHandler: func(_ context.Context, r *sdk.UnsubscribeRequest) error {
			l.executed(number(r), mcpauth.KindResource, r.Params.URI, anyArguments)
			return nil
		},
	})
	s.AddReceivingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, r sdk.Request) (sdk.Result, error) {
			// Sessions send themselves notifications; requests come from outside.
			if r.GetExtra() != nil && !strings.HasPrefix(method, "notifications/") {
				l.executed(number(r), anyKind, method, anyArguments)
			}
			return next(ctx, method, r)
		}
	})
	for _, name := range toolNames {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			arguments := ""
			if string(r.Params.Arguments) != "null" {
				arguments = canonicalRaw(r.Params.Arguments)
			}
			l.executed(number(r), mcpauth.KindTool, name, arguments)
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil
		})
	}
	for _, name := range promptNames {
		s.AddPrompt(&sdk.Prompt{Name: name}, func(_ context.Context, r *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
			l.executed(number(r), mcpauth.KindPrompt, name, *stringMap(r.Params.Arguments))
			return &sdk.GetPromptResult{}, nil
		})
	}
	read := func(name string) sdk.ResourceHandler {
		return func(_ context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
			if name == templateURI {
				name = r.Params.URI
			}
			l.executed(number(r), mcpauth.KindResource, name, anyArguments)
			return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: name, Text: "done"}}}, nil
		}
	}
	for _, uri := range fileURIs {
		s.AddResource(&sdk.Resource{URI: uri, Name: uri}, read(uri))
	}
	s.AddResourceTemplate(&sdk.ResourceTemplate{URITemplate: templateURI, Name: "db"}, read(templateURI))
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &options)
}

// ledger holds what was decided about each request, and what was executed.
type ledger struct {
	lock       sync.Mutex
	decided    map[int]mcpauth.Decision
	executions []execution
	counts     map[mcpauth.Kind]int
}

type execution struct {
	number    int
	kind      mcpauth.Kind
	name      string
	arguments string // canonical, or anyArguments
}

const (
	anyArguments = "any"
	anyKind      = mcpauth.Kind("") // the name is a method
)

func newLedger() *ledger {
	return &ledger{decided: map[int]mcpauth.Decision{}, counts: map[mcpauth.Kind]int{}}
}

func (l *ledger) clear() {
	l.lock.Lock()
	defer l.lock.Unlock()
	clear(l.decided)
	l.executions = l.executions[:0]
}

func (l *ledger) executed(number int, kind mcpauth.Kind, name, arguments string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.executions = append(l.executions, execution{number, kind, name, arguments})
	l.counts[kind]++
}

func (l *ledger) decide(number int, d mcpauth.Decision) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.decided[number] = d
}

// unjustified are the executions that no decision named and allowed.
func (l *ledger) unjustified() (found []execution) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, e := range l.executions {
		if !e.justified(l.decided[e.number]) {
			found = append(found, e)
		}
	}
	return found
}

func (e *execution) justified(d mcpauth.Decision) bool {
	if d.Err != nil {
		return false
	}
	for _, call := range d.Calls {
		switch {
		case e.kind == anyKind || e.kind == mcpauth.KindMethod:
			if call.Method == e.name {
				return true
			}
		case call.Kind != e.kind || call.Name != e.name:
		case e.arguments == anyArguments:
			return true
		case e.kind == mcpauth.KindPrompt && e.arguments == promptArguments(canonicalRaw(call.Arguments)):
			return true
		case e.kind == mcpauth.KindTool && e.arguments == canonicalRaw(call.Arguments):
			return true
		}
	}
	return false
}

// count is how many tools, prompts and resources were executed.
func (l *ledger) count() (tools, prompts, resources int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.counts[mcpauth.KindTool], l.counts[mcpauth.KindPrompt], l.counts[mcpauth.KindResource]
}

// targets is the sum of count.
func (l *ledger) targets() int {
	tools, prompts, resources := l.count()
	return tools + prompts + resources
}

// TestLedger shows that an execution is only justified by a decision that
// allowed exactly it.
func TestLedger(t *testing.T) {
	call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: "echo", Arguments: []byte(`{"a":1}`)}
	allowed, denied := mcpauth.Decision{Calls: []mcpauth.Call{call}}, mcpauth.Decision{Calls: []mcpauth.Call{call}, Err: &mcpauth.DeniedError{}}
	for _, tt := range []struct {
		name     string
		decision mcpauth.Decision
		e        execution
		want     bool
	}{
		{"MCP-13 as decided", allowed, execution{1, mcpauth.KindTool, "echo", canonicalRaw(call.Arguments)}, true},
		{"MCP-13 denied", denied, execution{1, mcpauth.KindTool, "echo", canonicalRaw(call.Arguments)}, false},
		{"MCP-13 no decision", mcpauth.Decision{}, execution{1, mcpauth.KindTool, "echo", ""}, false},
		{"MCP-13 another tool", allowed, execution{1, mcpauth.KindTool, "admin_delete", canonicalRaw(call.Arguments)}, false},
		{"MCP-13 other arguments", allowed, execution{1, mcpauth.KindTool, "echo", canonicalRaw([]byte(`{"a":2}`))}, false},
		{"MCP-13 another kind", allowed, execution{1, mcpauth.KindPrompt, "echo", anyArguments}, false},
		{"MCP-13 another method", allowed, execution{1, anyKind, "prompts/get", anyArguments}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			l.decide(1, tt.decision)
			l.executed(tt.e.number, tt.e.kind, tt.e.name, tt.e.arguments)
			if (len(l.unjustified()) == 0) != tt.want {
				t.Errorf("unjustified: %v", l.unjustified())
			}
		})
	}
}
