package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/gosdk"
)

// Scopes are named tool:{name}:{action}. One of them is for administrators.
const (
	executeGenerate = "tool:generate:execute"
	executeDeploy   = "tool:deploy:execute"
	prodDeploy      = "tool:deploy:prod"
	inspectDebug    = "tool:debug:inspect"
	everyTool       = "tool:*"
)

// implied is the hierarchy. That the name of a scope ends in a star means
// nothing by itself: what it includes stands here.
var implied = map[string][]string{
	everyTool: {executeGenerate, executeDeploy, prodDeploy, inspectDebug},
}

// byArguments is the convention, and the one rule that depends on arguments.
type byArguments struct{ rules mcpauth.Rules }

func newPolicy() byArguments {
	return byArguments{mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
		// A tool that is added later needs a scope that nobody has yet.
		"*":     {AllOf: []string{"tool:{name}:execute"}, Visible: true},
		"debug": mcpauth.Scopes(inspectDebug), // not Visible: listed for those who may
	}}}
}

// Require adds a scope to a deployment that could reach production.
func (p byArguments) Require(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	requirement, err := p.rules.Require(ctx, call)
	if err != nil || call.Kind != mcpauth.KindTool || call.Name != "deploy" {
		return requirement, err
	}
	harmless, err := isHarmless(call.Arguments)
	if err == nil && !harmless {
		requirement.AllOf = append(slices.Clone(requirement.AllOf), prodDeploy)
	}
	return requirement, err
}

// isHarmless lists what is harmless, so that all that nobody has thought of is
// not. It reads the member as the tool does: by its exact name, as a string.
func isHarmless(arguments json.RawMessage) (bool, error) {
	if arguments == nil {
		return true, nil // a question of tools/list, or a call that the tool refuses for want of arguments
	}
	var members map[string]any
	if err := json.Unmarshal(arguments, &members); err != nil {
		return false, err
	}
	return members["environment"] == "dev" || members["environment"] == "staging", nil
}

// protect is the MCP server with its gate: a stateful server of the official
// Go SDK, whose handlers see the caller of each call.
func protect(at stage.Stage, policy mcpauth.Policy, w *workshop) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: at.Resource,
		Issuers:  []mcpauth.Issuer{{URL: at.Issuer}},
		Policy:   policy,
		Implies:  implied,
		Scopes:   []string{executeGenerate}, // what everybody begins with
		Logger:   at.Log,

		AllowInsecureLoopback: true, // for this story only
	})
	if err != nil {
		return nil, err
	}
	server := w.server()
	server.AddReceivingMiddleware(gosdk.Middleware)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Logger: slog.New(slog.DiscardHandler)})
	return auth.Wrap(gosdk.Handler(handler)), nil
}

// workshop has the tools, and remembers what they did.
type workshop struct {
	mu   sync.Mutex
	done []string
}

type target struct {
	Environment string `json:"environment" jsonschema:"dev, staging or prod"`
}

func (w *workshop) server() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "workshop", Version: "1.0.0"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "generate", Description: "Write code"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return w.did(ctx, "generated code")
	})
	mcp.AddTool(s, &mcp.Tool{Name: "debug", Description: "Look into a running program"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return w.did(ctx, "looked into the program")
	})
	mcp.AddTool(s, &mcp.Tool{Name: "deploy", Description: "Bring code to an environment"}, func(ctx context.Context, _ *mcp.CallToolRequest, to target) (*mcp.CallToolResult, any, error) {
		return w.did(ctx, "deployed to "+to.Environment)
	})
	return s
}

// did notes a deed in the name of the caller of this call.
func (w *workshop) did(ctx context.Context, what string) (*mcp.CallToolResult, any, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return nil, nil, fmt.Errorf("the server is not wrapped")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	deed := caller.Subject + " " + what
	w.done = append(w.done, deed)
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: deed}}}, nil, nil
}

// deeds returns what was done so far.
func (w *workshop) deeds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.done)
}
