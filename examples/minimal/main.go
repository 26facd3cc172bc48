// A weather server, as many have one that was made with mcp-go. The directory
// minimal has it protected by mcpauth, its directory before open to everybody,
// and the README shows the difference.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/seed-1e292522/mcpauth"
)

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", newHandler()))
}

func newHandler() http.Handler {
	s := server.NewMCPServer("weather", "1.0.0")
	s.AddTool(mcp.NewTool("forecast", mcp.WithDescription("Tomorrow's weather")), forecast)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"forecast": mcpauth.Scopes("weather:read")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return auth.Wrap(server.NewStreamableHTTPServer(s, server.WithStateLess(true)))
}

func forecast(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText("sunny"), nil
}
