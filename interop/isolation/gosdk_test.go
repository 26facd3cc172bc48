//lint:file-ignore SA1019 Two callers of the older revisions share what the newest one has given up.

package isolation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth/gosdk"
)

// goSDK is a server of the official Go SDK with the two tools.
type goSDK struct{ *sdk.Server }

func newGoSDK(options sdk.ServerOptions) goSDK {
	options.SubscribeHandler = func(context.Context, *sdk.SubscribeRequest) error { return nil }
	options.UnsubscribeHandler = func(context.Context, *sdk.UnsubscribeRequest) error { return nil }
	options.CompletionHandler = func(context.Context, *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
		return &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{"all"}}}, nil
	}
	s := goSDK{sdk.NewServer(&sdk.Implementation{Name: "isolation", Version: "1"}, &options)}
	for _, name := range []string{"run", "look"} {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, s.play)
	}
	s.AddPrompt(&sdk.Prompt{Name: "p"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{}, nil
	})
	s.AddResource(&sdk.Resource{URI: "note://all", Name: "all"}, s.read)
	s.AddResourceTemplate(&sdk.ResourceTemplate{URITemplate: "note://{name}", Name: "note"}, s.read)
	return s
}

func (goSDK) read(_ context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
	return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: r.Params.URI, Text: "all"}}}, nil
}

// goSDKCall does the steps of one call, in its session.
type goSDKCall struct {
	goSDK
	session *sdk.ServerSession
}

func (s goSDK) play(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	var script script
	if err := json.Unmarshal(r.Params.Arguments, &script); err != nil {
		return nil, err
	}
	said := script.play(ctx, goSDKCall{s, r.Session})
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: said}}}, nil
}

// notify counts among the log messages, which a session of this server sends
// only when its client has set a level.
func (c goSDKCall) notify(ctx context.Context, text string) error {
	return c.log(ctx, "emergency", text)
}

// Where there is no stream for a notification, this server tells the tool. It
// goes on all the same, as most tools would.
func (c goSDKCall) progress(ctx context.Context, token, text string, n int) error {
	_ = c.session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Message: text, Progress: float64(n)})
	return ctx.Err()
}

func (c goSDKCall) log(ctx context.Context, level, text string) error {
	_ = c.session.Log(ctx, &sdk.LoggingMessageParams{Level: sdk.LoggingLevel(level), Logger: "run", Data: text})
	return ctx.Err()
}

func (c goSDKCall) elicit(ctx context.Context, text string) (string, error) {
	result, err := c.session.Elicit(ctx, &sdk.ElicitParams{Message: text, RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}})
	if err != nil {
		return "", err
	}
	return result.Action, nil
}

func (c goSDKCall) sample(ctx context.Context, text string) (string, error) {
	result, err := c.session.CreateMessage(ctx, &sdk.CreateMessageParams{MaxTokens: 1,
		Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: text}}}})
	if err != nil {
		return "", err
	}
	return result.Model, nil
}

// addTool is not for this server: all sessions of a server have the same tools.
func (goSDKCall) addTool(context.Context, string) error { return nil }

func (c goSDKCall) updated(ctx context.Context, uri string) error {
	return c.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: uri})
}

func (c goSDKCall) broadcast(_ context.Context, text string) error {
	for session := range c.Sessions() {
		_ = session.NotifyProgress(context.Background(), &sdk.ProgressNotificationParams{ProgressToken: "all", Message: text})
	}
	return nil
}

func goSDKHandler(own sdk.ServerOptions, options sdk.StreamableHTTPOptions) http.Handler {
	s := newGoSDK(own)
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s.Server }, &options)
}

// withCaller is the same behind what package gosdk has for it.
func withCaller(own sdk.ServerOptions, options sdk.StreamableHTTPOptions) http.Handler {
	s := newGoSDK(own)
	s.AddReceivingMiddleware(gosdk.Middleware)
	return gosdk.Handler(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s.Server }, &options))
}

func goSDKSSE() http.Handler {
	s := newGoSDK(sdk.ServerOptions{})
	return sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s.Server }, nil)
}

// pathSSE serves HTTP+SSE, and names its sessions in the path of their
// endpoints, where [sdk.SSEHandler] has them in the query.
type pathSSE struct {
	goSDK
	sessions sync.Map // path to *sdk.SSEServerTransport
}

func (s *pathSSE) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		if session, ok := s.sessions.Load(r.URL.Path); ok {
			session.(http.Handler).ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	path := endpointPath + "/messages/" + rand.Text()
	transport := &sdk.SSEServerTransport{Endpoint: path, Response: w}
	s.sessions.Store(path, transport)
	defer s.sessions.Delete(path)
	session, err := s.Connect(r.Context(), transport, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	<-r.Context().Done()
	_ = session.Close()
}

// refusesIDs is what some servers do that have no sessions, the C# SDK's for
// one: a request that names a session is a mistake.
func refusesIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Session-Id") != "" {
			http.Error(w, "Bad Request: The Mcp-Session-Id header is not supported in stateless mode", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
