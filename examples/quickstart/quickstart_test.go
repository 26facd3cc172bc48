package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
)

func TestDemo(t *testing.T) {
	var stdout, stderr strings.Builder
	require.Zero(t, run(t.Context(), nil, console{out: &stdout, err: &stderr}), stderr.String())
	assert.Empty(t, stderr.String())
	transcript := stdout.String()
	assert.LessOrEqual(t, widest(transcript), 80)

	var statuses, titles []string
	for line := range strings.Lines(transcript) {
		line = strings.TrimSuffix(line, "\n")
		if status := regexp.MustCompile(`^  < (\d{3}) `).FindStringSubmatch(line); status != nil {
			statuses = append(statuses, status[1])
		}
		if title := regexp.MustCompile(`^\d+\. `).FindString(line); title != "" {
			titles = append(titles, title)
		}
	}
	assert.Equal(t, "401 200 200 201 200 303 200 200 403 200 303 200 200", strings.Join(statuses, " "))
	assert.Equal(t, "1. 2. 3. 4. 5. 6. 7. 8. 9. 10. 11. ", strings.Join(titles, ""))
	assert.True(t, strings.HasSuffix(transcript, "\nAll 11 steps did what they should.\n"))

	unfolded := regexp.MustCompile(`\n  [<>]     `).ReplaceAllString(transcript, "")
	assert.Regexp(t, `WWW-Authenticate: Bearer ?resource_metadata="http://127\.0\.0\.1:\d+/\.well-known/oauth-protected-resource/mcp", ?scope="analytics:data:read"`, unfolded)
	assert.Regexp(t, `WWW-Authenticate: Bearer ?error="insufficient_scope", ?scope="dashboard:modify", ?resource_metadata="http`, unfolded)
	assert.Contains(t, unfolded, "&scope=analytics%3Adata%3Aread+dashboard%3Amodify", "a step-up asks for what the client has, too")

	assert.Contains(t, transcript, "Authorization: Bearer eyJhbGci…\n")
	assert.NotRegexp(t, `eyJ[\w-]{6}`, transcript, "a token is printed")
	assert.NotRegexp(t, `\b(code|code_verifier|consent)=[\w-]{6}`, transcript, "a secret of the flow is printed")
}

// TestDemoFails: the exit status is 0 only if every step did what it should.
func TestDemoFails(t *testing.T) {
	for name, row := range map[string]struct {
		rules  mcpauth.Rules
		failed string
	}{
		"everything is open": {
			mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}},
			"step 8 (Call a tool that needs more): expected 403, got 200",
		},
		"the scope of a challenge does not help": {
			mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("analytics:data:write")}},
			"step 7 (Call the tool again): expected 200, got 403",
		},
		"no scope would help": {
			mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"query_usage": mcpauth.Authenticated()}},
			"step 8 (Call a tool that needs more): expected a challenge for dashboard:modify",
		},
		"a rule is impossible": {
			mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"query_usage": {}}},
			`Config.Policy.Tools["query_usage"]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, 1, demonstrate(t.Context(), "127.0.0.1:0", row.rules, newWire(io.Discard), &stderr))
			assert.Contains(t, stderr.String(), row.failed)
		})
	}
}

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		args   string
		status int
		text   string
	}{
		{"--help", 0, "-serve"},
		{"--help", 0, "-short"},
		{"--serve --short", 2, "use one of them"},
		{"--port 1", 2, "flag provided but not defined: -port"},
		{"server", 2, `unexpected argument "server"`},
		{"--addr 0.0.0.0:0", 1, "not a loopback address"},
		{"--serve --addr :0", 1, "not a loopback address"},
		{"--addr 127.0.0.1", 1, "missing port"},
	} {
		t.Run(row.args, func(t *testing.T) {
			var stderr strings.Builder
			assert.Equal(t, row.status, run(t.Context(), strings.Fields(row.args), console{out: io.Discard, err: &stderr}))
			assert.Contains(t, stderr.String(), row.text)
			if row.args == "--help" {
				assert.LessOrEqual(t, widest(stderr.String()), 80)
			}
		})
	}
}

// TestCommandLineShort: what was asked for on the command line, and what the
// terminal shows, is what comes.
func TestCommandLineShort(t *testing.T) {
	var stdout strings.Builder
	require.Zero(t, run(t.Context(), []string{"--short"}, console{out: &stdout, err: io.Discard, colour: true}))
	assert.Equal(t, 10, strings.Count(stdout.String(), "\n"))
	assert.True(t, strings.HasPrefix(stdout.String(), "\x1b[31m401\x1b[0m  call query_usage"), stdout.String())
}

// startServe runs --serve and returns the URL of the MCP endpoint.
func startServe(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, in := io.Pipe()
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"--serve"}, console{out: in, err: io.Discard}); _ = in.Close() }()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-status)
	})
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan())
	_, endpoint, found := strings.Cut(lines.Text(), "http://")
	require.True(t, found, lines.Text())
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return "http://" + endpoint
}

// TestServe walks with the OAuth client of mcp-go, through the same consent page
// that a person would see.
func TestServe(t *testing.T) {
	endpoint := startServe(t)
	mcpClient, err := mcpclient.NewOAuthStreamableHttpClient(endpoint, mcpclient.OAuthConfig{
		RedirectURI: "http://127.0.0.1:33418/callback",
		Scopes:      []string{"analytics:data:read"},
		TokenStore:  mcpclient.NewMemoryTokenStore(),
		PKCEEnabled: true,
	})
	require.NoError(t, err)
	defer func() { _ = mcpClient.Close() }()
	require.NoError(t, mcpClient.Start(t.Context()))
	_, err = mcpClient.Initialize(t.Context(), mcp.InitializeRequest{})
	require.True(t, mcpclient.IsOAuthAuthorizationRequiredError(err), "%v", err)

	handler := mcpclient.GetOAuthHandler(err)
	require.NoError(t, handler.RegisterClient(t.Context(), "a client <b>of</b> the test"))
	verifier, err := mcpclient.GenerateCodeVerifier()
	require.NoError(t, err)
	address, err := handler.GetAuthorizationURL(t.Context(), "s1", mcpclient.GenerateCodeChallenge(verifier))
	require.NoError(t, err)
	answer := allowInBrowser(t, address)
	assert.Equal(t, "s1", answer.Get("state"))
	require.NoError(t, handler.ProcessAuthorizationResponse(t.Context(), answer.Get("code"), answer.Get("state"), verifier))

	_, err = mcpClient.Initialize(t.Context(), mcp.InitializeRequest{})
	require.NoError(t, err)
	tools, err := mcpClient.ListTools(t.Context(), mcp.ListToolsRequest{})
	require.NoError(t, err)
	assert.Len(t, tools.Tools, 4)

	call := func(tool string) (*mcp.CallToolResult, error) {
		return mcpClient.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool}})
	}
	result, err := call("whoami")
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(result.Content), "You are alice")
	_, err = call("query_usage")
	require.NoError(t, err)
	_, err = call("codegen")
	assert.ErrorContains(t, err, "insufficient scope")
}

// allowInBrowser presses the button on the consent page and returns what the
// redirect carries.
func allowInBrowser(t *testing.T, address string) url.Values {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page, err := browser.Get(address)
	require.NoError(t, err)
	content, err := io.ReadAll(page.Body)
	require.NoError(t, err)
	require.NoError(t, page.Body.Close())
	require.Equal(t, http.StatusOK, page.StatusCode, string(content))
	assert.NotContains(t, string(content), "<b>of</b>", "the client's name is text, not markup")
	field := consentField.FindSubmatch(content)
	require.NotNil(t, field, string(content))
	target, err := page.Request.URL.Parse("/consent")
	require.NoError(t, err)
	response, err := browser.PostForm(target.String(), url.Values{"consent": {string(field[1])}, "answer": {"allow"}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	location, err := response.Location()
	require.NoError(t, err)
	return location.Query()
}
