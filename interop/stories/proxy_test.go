package stories

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const upstream = "../../examples/proxy/upstream"

// caller is what the servers behind the proxy answer to whoami.
type caller struct {
	Issuer, Subject, Kind, Client string
	Scopes                        []string
}

// site is the proxy in front of a server, and a client that changes its token.
type site struct {
	*client.Client
	issuer   *mcpauthtest.Issuer
	endpoint string
	token    atomic.Value
}

func newSite(t *testing.T, behind string) *site {
	t.Helper()
	s := &site{issuer: mcpauthtest.NewIssuer(t)}
	s.endpoint = start(t, "MCP endpoint: ", exec.Command(buildProxy(t),
		"--addr", "127.0.0.1:0", "--issuer", s.issuer.URL(), "--upstream", behind))
	s.hold(mcpauthtest.Claims{"sub": "auth0|jürgen", "scope": "tool:add:execute"})
	s.Client = connect(t, s.endpoint, &s.token)
	return s
}

func (s *site) hold(claims mcpauthtest.Claims) {
	claims["aud"] = s.endpoint
	s.token.Store(s.issuer.Token(claims))
}

// knowsItsCaller: the server behind sees who really calls, and a tool whose
// scope is missing does not run.
func (s *site) knowsItsCaller(t *testing.T) {
	t.Helper()
	var who caller
	require.NoError(t, json.Unmarshal([]byte(call(t, s.Client, "whoami", nil)), &who))
	assert.Equal(t, caller{s.issuer.URL(), "auth0|jürgen", "user", "client-1", []string{"tool:add:execute"}}, who,
		"not admin, whom the client claims to be in its headers")
	assert.Equal(t, "3", call(t, s.Client, "add", map[string]any{"a": 1, "b": 2}))
	_, err := s.CallTool(t.Context(), request("headers", nil))
	require.ErrorContains(t, err, "insufficient scope")

	s.hold(mcpauthtest.Claims{"scope": "tool:headers:execute tool:countdown:execute"})
	names := strings.Fields(call(t, s.Client, "headers", nil))
	assert.Contains(t, names, "x-mcp-subject")
	for _, name := range []string{"authorization", "x_mcp_subject", "x-forwarded-for", "x-forwarded-user", "cookie"} {
		assert.NotContains(t, names, name)
	}
}

// TestProxyBeforeTypeScript: a server of the TypeScript SDK behind the proxy
// knows its caller, and no client can be somebody else for it.
func TestProxyBeforeTypeScript_PASS_01_PASS_05_PASS_08_COMPAT_14(t *testing.T) {
	installNode(t)
	s := newSite(t, start(t, "listening on ", command("node", "server.mjs")))
	s.knowsItsCaller(t)

	var progress atomic.Int32
	s.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == "notifications/progress" {
			progress.Add(1)
		}
	})
	countdown := request("countdown", nil)
	countdown.Params.Meta = &mcp.Meta{ProgressToken: "p"}
	_, err := s.CallTool(t.Context(), countdown)
	require.NoError(t, err)
	assert.EqualValues(t, 3, progress.Load(), "notifications come through before the answer")
}

// TestProxyBeforePython: the same with a server in Python.
func TestProxyBeforePython_PASS_01_PASS_05_COMPAT_14(t *testing.T) {
	need(t, "python3")
	newSite(t, start(t, "listening on ", command("python3", "-u", "server.py"))).knowsItsCaller(t)
}

// need skips the test where a program is missing, unless MCPAUTH_INTEROP=required.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			giveUp(t, "%s is not installed; MCPAUTH_INTEROP=required makes this a failure", program)
		}
	}
}

func giveUp(t *testing.T, format string, values ...any) {
	t.Helper()
	if os.Getenv("MCPAUTH_INTEROP") == "required" {
		t.Fatalf(format, values...)
	}
	t.Skipf(format, values...)
}

// installNode gets the packages of the server.
func installNode(t *testing.T) {
	t.Helper()
	need(t, "node", "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = upstream
	if output, err := install.CombinedOutput(); err != nil {
		giveUp(t, "npm ci: %v\n%s", err, output)
	}
}

func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir, c.Env = upstream, append(os.Environ(), "PORT=0")
	return c
}

// buildProxy compiles the example, which belongs to another module.
func buildProxy(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "proxy")
	build := exec.Command("go", "build", "-o", program, "./examples/proxy")
	build.Dir = "../.."
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return program
}

// start runs a server and returns the URL that it prints after the words.
func start(t *testing.T, words string, c *exec.Cmd) string {
	t.Helper()
	c.Stderr = os.Stderr
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	url, found := strings.CutPrefix(strings.TrimSpace(line), words)
	require.True(t, found, line)
	return url
}

// connect is a client that claims to be an administrator wherever it can.
func connect(t *testing.T, endpoint string, token *atomic.Value) *client.Client {
	t.Helper()
	c, err := client.NewStreamableHttpClient(endpoint, transport.WithHTTPHeaderFunc(func(context.Context) map[string]string {
		return map[string]string{
			"Authorization":    "Bearer " + token.Load().(string),
			"X-Mcp-Subject":    "admin",
			"X-Forwarded-User": "admin",
			"X-Forwarded-For":  "10.0.0.1",
			"X_mcp_subject":    "admin",
			"Cookie":           "session=admin",
		}
	}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Start(t.Context()))
	initialize := mcp.InitializeRequest{}
	initialize.Params.ProtocolVersion = "2025-11-25"
	initialize.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	_, err = c.Initialize(t.Context(), initialize)
	require.NoError(t, err)
	return c
}

func request(tool string, arguments any) mcp.CallToolRequest {
	return mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: arguments}}
}

func call(t *testing.T, c *client.Client, tool string, arguments any) string {
	t.Helper()
	result, err := c.CallTool(t.Context(), request(tool, arguments))
	require.NoError(t, err)
	text := fmt.Sprint(result.Content[0].(mcp.TextContent).Text)
	require.False(t, result.IsError, text)
	return text
}
