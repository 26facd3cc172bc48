package mcpauthtest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What follows is a user's server: one tool that says who calls.

const resource = "https://notes.example.com/mcp"

func whoami(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return mcp.NewToolResultError("nobody"), nil
	}
	return mcp.NewToolResultText("you are " + caller.Subject), nil
}

func newServer(config mcpauth.Config) http.Handler {
	tools := server.NewMCPServer("notes", "1.0.0")
	tools.AddTool(mcp.NewTool("whoami"), whoami)
	config.Resource = resource
	config.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"whoami": mcpauth.Scopes("profile:read")}}
	auth, err := mcpauth.New(config)
	if err != nil {
		panic(err)
	}
	return auth.Wrap(server.NewStreamableHTTPServer(tools, server.WithStateLess(true)))
}

// And these are the user's tests.

func TestUserServer(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true})
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, toolCall(issuer.TokenFor(resource, "profile:read"), "whoami"))
	assert.Contains(t, response.Body.String(), "you are user-1")
}

func toolCall(token, tool string) *http.Request {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	return r
}

func TestUserServerRefuses(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com/tenant1")
	stranger := mcpauthtest.NewIssuerAt(t, issuer.URL())
	handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport()})
	for _, tt := range []struct {
		name, token string
		status      int
	}{
		{"good", issuer.TokenFor(resource, "profile:read"), 200},
		{"no token", "", 401},
		{"no scope", issuer.TokenFor(resource), 403},
		{"other scope", issuer.TokenFor(resource, "profile:write"), 403},
		{"other resource", issuer.TokenFor("https://other.example.com/mcp", "profile:read"), 401},
		{"expired", issuer.Token(mcpauthtest.Claims{"aud": resource, "exp": time.Now().Add(-time.Hour).Unix()}), 401},
		{"without exp", issuer.Token(mcpauthtest.Claims{"aud": resource, "exp": nil}), 401},
		{"same issuer, same kid, other key", stranger.TokenFor(resource, "profile:read"), 401},
		{"raw", issuer.Sign(`{"alg":"none"}`, `{}`), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response := httptest.NewRecorder()
			r := toolCall(tt.token, "whoami")
			if tt.token == "" {
				r.Header.Del("Authorization")
			}
			handler.ServeHTTP(response, r)
			assert.Equal(t, tt.status, response.Code, "%s", response.Body)
		})
	}
	assert.Equal(t, 2, issuer.Fetches(mcpauthtest.JWKS), "once, and once more for a token that the keys did not verify")
}

// TestUserClient: a real client, over real sockets.
func TestUserClient(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	service := httptest.NewServer(newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true}))
	defer service.Close()
	token := issuer.TokenFor(resource, "profile:read")
	c, err := client.NewStreamableHttpClient(service.URL+"/mcp",
		transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + token}))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Start(t.Context()))
	request := mcp.InitializeRequest{}
	request.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	_, err = c.Initialize(t.Context(), request)
	require.NoError(t, err)
	call := mcp.CallToolRequest{}
	call.Params.Name = "whoami"
	result, err := c.CallTool(t.Context(), call)
	require.NoError(t, err)
	require.Len(t, result.Content, 1)
	assert.Equal(t, "you are user-1", result.Content[0].(mcp.TextContent).Text)
	assert.Equal(t, 1, issuer.Fetches(mcpauthtest.Metadata))
	assert.Equal(t, 1, issuer.Fetches(mcpauthtest.JWKS))
}

// TestUserOutage: an outage of a day, over in no time.
func TestUserOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com")
		handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport()})
		status := func() int {
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, toolCall(issuer.TokenFor(resource, "profile:read"), "whoami"))
			synctest.Wait()
			return response.Code
		}
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.Hang)
		begun := time.Now()
		assert.Equal(t, 503, status())
		assert.LessOrEqual(t, time.Since(begun), 5*time.Second)
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
		time.Sleep(time.Minute)
		assert.Equal(t, 200, status())
		issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		time.Sleep(12 * time.Hour)
		assert.Equal(t, 200, status())
		time.Sleep(13 * time.Hour)
		assert.Equal(t, 503, status())
	})
}

// TestUserOpaqueToken: a token that only its issuer can read, and that is revoked.
func TestUserOpaqueToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := mcpauthtest.NewIssuerAt(t, "https://login.example.com")
		config := issuer.Config()
		config.Introspect = issuer.Introspection()
		handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{config}, Transport: issuer.Transport()})
		token := issuer.Opaque(mcpauthtest.Claims{"aud": resource, "scope": "profile:read"})
		status := func() int {
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, toolCall(token, "whoami"))
			return response.Code
		}
		assert.Equal(t, 200, status())
		issuer.Answer(token, "") // revoked, which is noticed within a minute
		time.Sleep(time.Minute)
		assert.Equal(t, 401, status())
	})
}

// TestUserBoundToken: a token that is bound to its client's key, and a client that knows nonces.
func TestUserBoundToken(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	config := issuer.Config()
	config.DPoP = mcpauth.DPoPRequired
	handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{config}, AllowInsecureLoopback: true})
	key := mcpauthtest.NewKey("client", "ES256")
	token := issuer.BoundToken(key, mcpauthtest.Claims{"aud": resource, "scope": "profile:read"})
	call := func(claims mcpauthtest.Claims) *httptest.ResponseRecorder {
		r := toolCall(token, "whoami")
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", key.Proof(http.MethodPost, resource, token, claims))
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, r)
		return response
	}
	first := call(nil)
	assert.Equal(t, 401, first.Code, "without a nonce, which the answer brings")
	assert.Equal(t, 200, call(mcpauthtest.Claims{"nonce": first.Header().Get("DPoP-Nonce")}).Code)

	stolen := httptest.NewRecorder()
	handler.ServeHTTP(stolen, toolCall(token, "whoami"))
	assert.Equal(t, 401, stolen.Code)
}

// TestUserConformance: the suite of the command, without a socket.
func TestUserConformance(t *testing.T) {
	issuer := mcpauthtest.NewIssuer(t)
	handler := newServer(mcpauth.Config{Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true})
	mcpauthtest.Conformance(t, handler, conformance.Target{
		URL:    resource,
		Minter: issuer.Minter(),
		Tools:  []conformance.Tool{{Name: "whoami", Scopes: []string{"profile:read"}}},
	})
}

func TestNewContext(t *testing.T) {
	caller := &mcpauth.Principal{Subject: "user-1", Scopes: []string{"profile:read"}}
	result, err := whoami(mcpauthtest.NewContext(t.Context(), caller), mcp.CallToolRequest{})
	require.NoError(t, err)
	assert.Equal(t, "you are user-1", result.Content[0].(mcp.TextContent).Text)

	found, ok := mcpauth.FromContext(mcpauthtest.NewContext(t.Context(), caller))
	assert.True(t, ok)
	assert.Equal(t, caller, found)

	_, ok = mcpauth.FromContext(mcpauthtest.NewContext(t.Context(), nil))
	assert.False(t, ok)
}

// TestDoc: the five lines in the package's documentation are those that run here.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	this, err := os.ReadFile("user_test.go")
	require.NoError(t, err)
	_, lines, _ := strings.Cut(string(this), "func TestUserServer(")
	lines, _, _ = strings.Cut(lines, "\n}\n")
	assert.Equal(t, 5, strings.Count(lines, "\n"))
	for line := range strings.Lines("func TestUserServer(" + lines) {
		assert.Contains(t, string(doc), "//\t"+line)
	}
}
