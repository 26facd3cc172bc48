package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// result is what a run of the command leaves.
type result struct {
	code           int
	stdout, stderr string
}

func mcpauthCommand(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, environment{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return result{code, out.String(), errs.String()}
}

// fileWith writes a file for a flag.
func fileWith(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// textTool is a tool. Asked for its progress, it takes a while and tells of it.
func textTool(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for i := range 30 {
		if r.Params.Meta == nil || r.Params.Meta.ProgressToken == nil {
			break
		}
		_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i})
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return mcp.NewToolResultText("done"), nil
}

// notes is a server with two tools, on loopback, whose issuer is at a URL.
func notes(t *testing.T, issuer string, options ...server.StreamableHTTPOption) (resource string) {
	t.Helper()
	backend := server.NewMCPServer("notes", "1.0.0")
	for _, name := range []string{"read", "write"} {
		backend.AddTool(mcp.NewTool(name), textTool)
	}
	web := httptest.NewUnstartedServer(nil)
	resource = "http://" + web.Listener.Addr().String() + "/mcp"
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{{URL: issuer}}, AllowInsecureLoopback: true, AllowedOrigins: []string{"https://app.example.com"},
		Scopes: []string{"notes:read"},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read": mcpauth.Scopes("notes:read"), "write": mcpauth.Scopes("notes:read", "notes:write")}},
	})
	require.NoError(t, err)
	handler := server.NewStreamableHTTPServer(backend, options...)
	web.Config.Handler = auth.Wrap(handler)
	web.Start()
	t.Cleanup(web.Close)
	t.Cleanup(func() { handler.CloseSessions(context.Background()) })
	return resource
}

// serve starts a handler on loopback.
func serve(t *testing.T, handler http.Handler) (resource string) {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return web.URL + "/mcp"
}

var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`[0-9]+ bytes`), "N bytes"},
	{regexp.MustCompile(`[0-9]+ requests`), "N requests"},
	{regexp.MustCompile(`"requests": [0-9]+`), `"requests": N`},
}

// settled replaces what differs from run to run.
func settled(text string) string {
	for _, one := range volatile {
		text = one.pattern.ReplaceAllString(text, one.with)
	}
	return text
}

func newIssuer(t *testing.T) *mcpauthtest.Issuer {
	t.Helper()
	issuer := mcpauthtest.NewIssuer(t)
	issuer.PublishMetadata(func(m map[string]any) {
		m["authorization_endpoint"], m["token_endpoint"] = issuer.URL()+"/authorize", issuer.URL()+"/token"
		m["registration_endpoint"] = issuer.URL() + "/register"
		m["scopes_supported"] = []string{"notes:read", "notes:write"}
	})
	return issuer
}

// payloadOf is the JSON text of a token's claims.
func payloadOf(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	return string(text)
}
