package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

// configuration is what the page tells a user to write, and the policy of the README.
func configuration() mcpauth.Config {
	config := mcpauth.Config{
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"query_usage":    mcpauth.Scopes("analytics:data:read"),
			"edit_dashboard": mcpauth.Scopes("dashboard:modify"),
		}},
	}
	config.Resource = "http://127.0.0.1:8080/mcp"
	config.Issuers = []mcpauth.Issuer{{URL: "http://127.0.0.1:9400"}}
	config.AllowInsecureLoopback = true
	return config
}

// TestPage: what docs/testing.md has a user send is served, and only with the token.
func TestPage_TEST_16(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Skip("somebody has copied the directory")
	}
	_, section, found := strings.Cut(string(page), "\n## On your own machine\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	arguments := regexp.MustCompile(`go run \./examples/issuer (.+)\n`).FindStringSubmatch(section)
	require.NotNil(t, arguments)
	token, issuer := start(t, strings.Fields(arguments[1])...)

	config := configuration()
	assert.Equal(t, "http://"+address, config.Issuers[0].URL)
	config.Issuers[0].URL = issuer // the test takes any port that is free
	auth, err := mcpauth.New(config)
	require.NoError(t, err)
	tools := server.NewMCPServer("analytics", "1.0.0")
	for _, name := range []string{"query_usage", "edit_dashboard"} {
		tools.AddTool(mcp.NewTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			caller, _ := mcpauth.FromContext(ctx)
			return mcp.NewToolResultText(name + " ran for " + caller.Subject), nil
		})
	}
	handler := auth.Wrap(server.NewStreamableHTTPServer(tools, server.WithStateLess(true)))

	for _, row := range []struct {
		name, token, tool string
		status            int
		body              string
	}{
		{"as on the page", token, "query_usage", 200, "query_usage ran for alice"},
		{"another tool", token, "edit_dashboard", 403, "insufficient scope"},
		{"no token", "", "query_usage", 401, "authorization required"},
		{"a changed token", token[:len(token)-8] + "AAAAAAAA", "query_usage", 401, "invalid"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, curl(t, section, row.token, row.tool))
			assert.Equal(t, row.status, w.Code, "%s", w.Body)
			assert.Contains(t, w.Body.String(), row.body)
		})
	}
}

// curl is the request of the page's command, with another token and tool.
func curl(t *testing.T, section, token, tool string) *http.Request {
	t.Helper()
	command := regexp.MustCompile(`(?s)curl (\S+) .*-d '([^']+)'`).FindStringSubmatch(section)
	require.NotNil(t, command)
	require.Contains(t, command[2], "query_usage")
	r := httptest.NewRequest(http.MethodPost, command[1], strings.NewReader(strings.ReplaceAll(command[2], "query_usage", tool)))
	for _, header := range regexp.MustCompile(`-H ["']([\w-]+): ([^"']+)["']`).FindAllStringSubmatch(command[0], -1) {
		r.Header.Set(header[1], strings.ReplaceAll(header[2], "$TOKEN", token))
	}
	require.Contains(t, r.Header, "Authorization")
	if token == "" {
		r.Header.Del("Authorization")
	}
	return r
}

// start runs the command on any port and returns its first line, the token, and its URL.
func start(t *testing.T, args ...string) (token, issuer string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, out := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int)
	go func() { ended <- run(ctx, "127.0.0.1:0", args, out, &stderr) }()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-ended)
	})
	token, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	issuer, _, _ = strings.Cut(stderr.String(), " ")
	return strings.TrimSuffix(token, "\n"), issuer
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{nil, {"analytics:data:read"}} {
		var stderr strings.Builder
		assert.Equal(t, 2, run(t.Context(), "127.0.0.1:0", args, io.Discard, &stderr))
		assert.Contains(t, stderr.String(), "usage: issuer RESOURCE")
	}
	var stderr strings.Builder
	assert.Equal(t, 1, run(t.Context(), "127.0.0.1:no", []string{"http://127.0.0.1:8080/mcp"}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "issuer: listen")
}
