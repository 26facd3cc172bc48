package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/redis/go-redis/v9"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/configfile"
	"github.com/seed-1e292522/mcpauth/redisstore"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// replica is one of the servers. Nothing of it outlives its process but what is in Redis and what clients hold.
type replica struct {
	auth    *mcpauth.Middleware
	revoked *revoke.List
	base    func(*mcpauth.Config)
	http.Handler
}

// newReplica protects an MCP server by the rules of a file, with what replicas share.
func newReplica(file string, key []byte, client redis.UniversalClient, inner *server.MCPServer, log *slog.Logger) (*replica, error) {
	store, err := redisstore.New(client, "example:")
	if err != nil {
		return nil, err
	}
	revoked, err := revoke.New(store, key)
	if err != nil {
		return nil, err
	}
	base := func(c *mcpauth.Config) { // what the program adds to the file, at the start and with each change
		c.SessionKey, c.Store, c.Revoked, c.Logger = key, store, revoked.Revoked, log
	}
	auth, err := configfile.New(file, base)
	if err != nil {
		return nil, err
	}
	mcpServer := server.NewStreamableHTTPServer(inner, server.WithStateLess(true), server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	return &replica{auth: auth, revoked: revoked, base: base, Handler: auth.Wrap(mcpServer)}, nil
}

// follow puts in force what the file says, until ctx ends.
func (r *replica) follow(ctx context.Context, file string) {
	_ = configfile.Watch(ctx, r.auth, file, configfile.Options{Every: 100 * time.Millisecond, Base: r.base})
}

// newServer is an ordinary server of mcp-go. It keeps its tasks in memory, so that both replicas are given the same one: in
// earnest a queue or a database stands in its place. Reports are ready when the program ends.
func newServer(end context.Context) *server.MCPServer {
	s := server.NewMCPServer("reports", "1.0.0", server.WithToolCapabilities(false), server.WithTaskCapabilities(true, true, true))
	s.AddTool(mcp.NewTool("whoami", mcp.WithDescription("Who the caller is")), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, _ := mcpauth.FromContext(ctx)
		return mcp.NewToolResultText(caller.Subject), nil
	})
	s.AddTaskTool(mcp.NewTool("report", mcp.WithDescription("A report that takes long"), mcp.WithTaskSupport(mcp.TaskSupportRequired)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CreateTaskResult, error) { // whose context ends with the request
			<-end.Done()
			return &mcp.CreateTaskResult{}, nil
		})
	return s
}
