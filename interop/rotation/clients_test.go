package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	mcpgoclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	mcpgo "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/python"
)

// runner has clients do their jobs, all at the same time, and says what came of each.
type runner func(ctx context.Context, t *testing.T, jobs []job) []outcome

// client is a client under test.
type client struct {
	name      string
	version   string
	versionOf func(t testing.TB) string
	old       bool // speaks no revision that has server/discover
	start     func(t *testing.T) runner
}

func (c client) moments() []string {
	if c.old {
		return []string{initialize, call}
	}
	return []string{discover, initialize, call}
}

// era is the one that the client begins with, for this moment to come.
func (c client) era(moment string) string {
	if c.old || moment == initialize {
		return legacy
	}
	return modern
}

var clients = []client{
	{name: "go-sdk", versionOf: module("github.com/modelcontextprotocol/go-sdk"), start: library(goSDK)},
	{name: "mcp-go", versionOf: module("github.com/mark3labs/mcp-go"), start: library(mcpGo)},
	{name: "TypeScript SDK 1.x", versionOf: packaged("@modelcontextprotocol/sdk"), old: true, start: typeScript("1")},
	{name: "TypeScript SDK 2.x", versionOf: packaged("@modelcontextprotocol/client"), start: typeScript("2")},
	{name: "Python SDK", versionOf: func(testing.TB) string { return python.Version }, start: pythonSDK},
}

func module(path string) func(testing.TB) string {
	return func(t testing.TB) string { return authservers.ModuleVersion(t, path) }
}

func packaged(name string) func(testing.TB) string {
	return func(t testing.TB) string { return node.Version(t, name) }
}

// library is a client that runs in this process.
func library(run func(ctx context.Context, j job) outcome) func(*testing.T) runner {
	return func(*testing.T) runner {
		return func(ctx context.Context, _ *testing.T, jobs []job) []outcome {
			outcomes := make([]outcome, len(jobs))
			var all sync.WaitGroup
			for i, j := range jobs {
				all.Go(func() { outcomes[i] = run(ctx, j) })
			}
			all.Wait()
			return outcomes
		}
	}
}

// note keeps the first error, and reports whether there was none.
func (o *outcome) note(err error) bool {
	if err != nil && o.Error == "" {
		o.Error = err.Error()
	}
	return err == nil
}

// holder is the go-sdk's authorization handler that has a token and gets no other.
type holder struct {
	token string
	asked atomic.Bool
}

func (h *holder) TokenSource(context.Context) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: h.token}), nil
}

func (h *holder) Authorize(_ context.Context, _ *http.Request, resp *http.Response) error {
	h.asked.Store(true)
	_ = resp.Body.Close()
	return errors.New("nobody signs in")
}

func goSDK(ctx context.Context, j job) (o outcome) {
	own := sdk.NewClient(&sdk.Implementation{Name: "rotation", Version: "1"}, nil)
	held := &holder{token: j.Token}
	over := &sdk.StreamableClientTransport{Endpoint: j.URL, OAuthHandler: held, HTTPClient: &http.Client{}}
	defer func() { o.Asked = held.asked.Load() }()
	var options *sdk.ClientSessionOptions
	if j.Era == legacy {
		options = &sdk.ClientSessionOptions{ProtocolVersion: legacy}
	}
	session, err := own.Connect(ctx, over, options)
	if !o.note(err) {
		return o
	}
	defer session.Close()
	o.Connected, o.Version = true, session.InitializeResult().ProtocolVersion
	echo := func() bool {
		_, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{}})
		return o.note(err)
	}
	o.Called = echo()
	o.Again = echo()
	return o
}

func mcpGo(ctx context.Context, j job) (o outcome) {
	store := mcpgoclient.NewMemoryTokenStore()
	if !o.note(store.SaveToken(ctx, &transport.Token{AccessToken: j.Token})) {
		return o
	}
	over, err := transport.NewStreamableHTTP(j.URL, transport.WithHTTPOAuth(transport.OAuthConfig{ClientID: "rotation", TokenStore: store}))
	if !o.note(err) {
		return o
	}
	var options []mcpgoclient.ClientOption
	if j.Era == legacy {
		options = append(options, mcpgoclient.WithProtocolVersion(legacy))
	}
	own := mcpgoclient.NewClient(over, options...)
	defer own.Close()
	attempt := func(err error) bool {
		o.Asked = o.Asked || mcpgoclient.IsOAuthAuthorizationRequiredError(err)
		return o.note(err)
	}
	if !attempt(own.Start(ctx)) {
		return o
	}
	if _, err := own.Initialize(ctx, mcpgo.InitializeRequest{}); !attempt(err) {
		return o
	}
	o.Connected, o.Version = true, own.ProtocolVersion()
	echo := func() bool {
		_, err := own.CallTool(ctx, mcpgo.CallToolRequest{Params: mcpgo.CallToolParams{Name: "echo"}})
		return attempt(err)
	}
	o.Called = echo()
	o.Again = echo()
	return o
}

func typeScript(version string) func(*testing.T) runner {
	return func(t *testing.T) runner {
		node.Need(t)
		return program("node", node.Path("rotation.mjs"), version)
	}
}

func pythonSDK(t *testing.T) runner {
	return program(python.Need(t), filepath.Join("testdata", "client.py"))
}

// program is a client of another language: all of its jobs are done by one process.
func program(name string, arguments ...string) runner {
	return func(ctx context.Context, t *testing.T, jobs []job) []outcome {
		input, err := json.Marshal(jobs)
		require.NoError(t, err)
		command := exec.CommandContext(ctx, name, arguments...)
		command.Stdin = bytes.NewReader(input)
		command.Stderr = t.Output()
		output, err := command.Output()
		require.NoError(t, err)
		outcomes := make([]outcome, len(jobs))
		done := map[int]bool{}
		for line := range strings.Lines(string(output)) {
			var said struct {
				Job int
				outcome
			}
			require.NoError(t, json.Unmarshal([]byte(line), &said), line)
			outcomes[said.Job] = said.outcome
			done[said.Job] = true
		}
		require.Len(t, done, len(jobs), "a job without an outcome")
		return outcomes
	}
}
