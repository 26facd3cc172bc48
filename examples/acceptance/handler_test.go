package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// The README shows this test, as a pattern for tests of your own server.

const resource = "https://mcp.example.com/mcp"

func TestDebugNeedsItsScope(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	handler, err := newHandler(settings{issuer: issuer.URL(), resource: resource, path: "/mcp"}, slog.Default())
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, callTool(handler, issuer.TokenFor(resource, "mcp:read"), "debug").Code)
	assert.Equal(t, http.StatusOK, callTool(handler, issuer.TokenFor(resource, "tool:debug:inspect"), "debug").Code)
}

func callTool(handler http.Handler, token, tool string) *httptest.ResponseRecorder {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
	request := httptest.NewRequest("POST", resource, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}
