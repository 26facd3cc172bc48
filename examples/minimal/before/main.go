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
)

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", newHandler()))
}

func newHandler() http.Handler {
	s := server.NewMCPServer("weather", "1.0.0")
	s.AddTool(mcp.NewTool("forecast", mcp.WithDescription("Tomorrow's weather")), forecast)
	return server.NewStreamableHTTPServer(s, server.WithStateLess(true))
}

func forecast(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText("sunny"), nil
}
