//lint:file-ignore SA1019 Two callers of the older revisions share what the newest one has given up.

package isolation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// mcpGo is a server of mcp-go with the two tools.
type mcpGo struct{ *server.MCPServer }

func newMCPGo() mcpGo {
	s := mcpGo{server.NewMCPServer("isolation", "1", server.WithToolCapabilities(true), server.WithPromptCapabilities(true),
		server.WithResourceCapabilities(true, true), server.WithLogging(), server.WithElicitation(), server.WithCompletions(),
		server.WithTaskCapabilities(true, true, true), server.WithPromptCompletionProvider(noCompletion{}))}
	s.EnableSampling()
	for _, name := range []string{"run", "look"} {
		s.AddTool(mcp.NewTool(name, mcp.WithTaskSupport(mcp.TaskSupportOptional)), s.play)
	}
	s.AddPrompt(mcp.NewPrompt("p"), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return mcp.NewGetPromptResult("done", nil), nil
	})
	s.AddResource(mcp.NewResource("note://all", "all"), func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: r.Params.URI, Text: "all"}}, nil
	})
	return s
}

func (s mcpGo) play(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var script script
	if err := r.BindArguments(&script); err != nil {
		return nil, err
	}
	if r.Params.Task != nil { // this server ends the context of a task with the request that began it
		ctx = context.WithoutCancel(ctx)
	}
	return mcp.NewToolResultText(script.play(ctx, s)), nil
}

type noCompletion struct{}

func (noCompletion) CompletePromptArgument(context.Context, string, mcp.CompleteArgument, mcp.CompleteContext) (*mcp.Completion, error) {
	return &mcp.Completion{Values: []string{"all"}}, nil
}

func (s mcpGo) notify(ctx context.Context, text string) error {
	return s.SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "error", "logger": "run", "data": text})
}

func (s mcpGo) progress(ctx context.Context, token, text string, n int) error {
	return s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": token, "progress": n, "message": text})
}

func (s mcpGo) log(ctx context.Context, level, text string) error {
	return s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevel(level), "run", text))
}

func (s mcpGo) elicit(ctx context.Context, text string) (string, error) {
	result, err := s.RequestElicitation(ctx, mcp.ElicitationRequest{
		Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)},
		Params:  mcp.ElicitationParams{Message: text, RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}},
	})
	if err != nil {
		return "", err
	}
	return string(result.Action), nil
}

func (s mcpGo) sample(ctx context.Context, text string) (string, error) {
	result, err := s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: mcp.CreateMessageParams{
		Messages:  []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.TextContent{Type: "text", Text: text}}},
		MaxTokens: 1,
	}})
	if err != nil {
		return "", err
	}
	return result.Model, nil
}

func (s mcpGo) addTool(ctx context.Context, name string) error {
	session := server.ClientSessionFromContext(ctx)
	if session == nil {
		return errors.New("no session")
	}
	err := s.AddSessionTool(session.SessionID(), mcp.NewTool(name), s.play)
	if own, ok := session.(server.SessionWithTools); ok && errors.Is(err, server.ErrSessionNotFound) {
		// The session of a request is not among those that the server knows. It has tools all the same.
		own.SetSessionTools(map[string]server.ServerTool{name: {Tool: mcp.NewTool(name), Handler: s.play}})
		return nil
	}
	return err
}

// updated is not for this server: its HTTP sessions keep no subscriptions.
func (s mcpGo) updated(context.Context, string) error { return nil }

// broadcast also changes the list of tools, which is all that a listen stream hears of.
func (s mcpGo) broadcast(_ context.Context, text string) error {
	s.SendNotificationToAllClients("notifications/message", map[string]any{"level": "emergency", "data": text})
	s.SendNotificationToAllClients("notifications/tools/list_changed", map[string]any{"marker": text})
	return nil
}

func mcpGoHandler(options ...server.StreamableHTTPOption) http.Handler {
	options = append(options, server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	return server.NewStreamableHTTPServer(newMCPGo().MCPServer, options...)
}

// mcpGoSSE serves HTTP+SSE below the path of the endpoint.
func mcpGoSSE() http.Handler {
	return server.NewSSEServer(newMCPGo().MCPServer, server.WithSSEEndpoint(endpointPath), server.WithMessageEndpoint(endpointPath+"/message"))
}

// strictIDs mints ids of its own and knows no others. A lenient one also
// serves who has none.
type strictIDs struct {
	lenient bool
	ids     sync.Map
}

func (s *strictIDs) Generate() string {
	id := "own-" + rand.Text()
	s.ids.Store(id, true)
	return id
}

func (s *strictIDs) Validate(id string) (terminated bool, err error) {
	if _, ok := s.ids.Load(id); !ok && !(s.lenient && id == "") {
		return false, fmt.Errorf("unknown session %q", id)
	}
	return false, nil
}

func (s *strictIDs) Terminate(id string) (notAllowed bool, err error) {
	s.ids.Delete(id)
	return false, nil
}
