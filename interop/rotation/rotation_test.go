package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// Revisions: the newest, whose clients begin with server/discover, and the last one before it.
const (
	modern = "2026-07-28"
	legacy = "2025-11-25"
)

// scene is a server behind mcpauth, and the way to it of one client, whose first request
// of one method meets what goes wrong.
type scene struct {
	t        *testing.T
	issuer   *mcpauthtest.Issuer
	resource string
	era      string // that the client begins with
	moment   string // method
	event    string

	mu      sync.Mutex
	token   string
	met     bool
	refuse  bool     // the next answer is a 503
	methods []string // as they went out
	status  map[int]int
}

func newScene(t *testing.T, era, moment, event string) *scene {
	s := &scene{t: t, issuer: mcpauthtest.NewIssuer(t), era: era, moment: moment, event: event, status: map[int]int{}}
	web := httptest.NewUnstartedServer(nil)
	s.resource = "http://" + web.Listener.Addr().String() + "/mcp"
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource, Issuers: []mcpauth.Issuer{s.issuer.Config()}, AllowInsecureLoopback: true,
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")}},
	})
	require.NoError(t, err)
	mcp := server.NewMCPServer("rotation", "1", server.WithToolCapabilities(false))
	mcp.AddTool(mcpgo.NewTool("echo"), func(context.Context, mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText("done"), nil
	})
	web.Config.Handler = auth.Wrap(server.NewStreamableHTTPServer(mcp))
	web.Start()
	t.Cleanup(web.Close)
	require.NoError(t, auth.Warm(t.Context()))
	s.token = s.issuer.TokenFor(s.resource, "mcp:read")
	return s
}

// RoundTrip is the client's way out: it presents the token of the moment, and counts.
func (s *scene) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	var message struct{ Method string }
	_ = json.Unmarshal(body, &message)
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.methods = append(s.methods, message.Method)
	if message.Method == s.moment && !s.met {
		s.met = true
		s.happens()
	}
	refuse := s.refuse
	s.refuse = false
	r.Header.Set("Authorization", "Bearer "+s.token)
	s.mu.Unlock()
	resp, err := &http.Response{}, error(nil)
	if refuse {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.WriteString(`{"jsonrpc":"2.0","error":{"code":-31503,"message":"authorization temporarily unavailable"}}`)
		resp = w.Result()
		resp.Request = r
	} else if resp, err = http.DefaultTransport.RoundTrip(r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.status[resp.StatusCode]++
	s.mu.Unlock()
	return resp, nil
}

// happens must be called with mu held.
func (s *scene) happens() {
	if s.event == "one 503" {
		s.refuse = true
		return
	}
	s.issuer.Rotate(mcpauthtest.NewKey("next", "ES256"))
	s.token = s.issuer.TokenFor(s.resource, "mcp:read")
	if s.event == "outage of 3 s" {
		for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
			s.issuer.Break(endpoint, mcpauthtest.Down)
			// It began a tenth of a second ago: the third try must not race with its end.
			time.AfterFunc(2900*time.Millisecond, func() { s.issuer.Break(endpoint, mcpauthtest.None) })
		}
	}
}

// outcome is what a client has made of it.
type outcome struct {
	connected, called bool
	version           string
	again             bool // a second call, a while later
}

// connections are the clients, each by its own library, in the era that it is told.
var connections = map[string]func(s *scene, ctx context.Context) outcome{
	"go-sdk 1.8.0": func(s *scene, ctx context.Context) (o outcome) {
		options := &sdk.ClientOptions{}
		own := sdk.NewClient(&sdk.Implementation{Name: "rotation", Version: "1"}, options)
		over := &sdk.StreamableClientTransport{Endpoint: s.resource, HTTPClient: &http.Client{Transport: s}, DisableStandaloneSSE: true}
		var session *sdk.ClientSession
		var err error
		if s.era == legacy {
			session, err = own.Connect(ctx, over, &sdk.ClientSessionOptions{ProtocolVersion: legacy})
		} else {
			session, err = own.Connect(ctx, over, nil)
		}
		if err != nil {
			s.t.Logf("go-sdk, %s met by %s: %v", s.moment, s.event, err)
			return o
		}
		defer session.Close()
		o.connected, o.version = true, session.InitializeResult().ProtocolVersion
		call := func() bool {
			_, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{}})
			if err != nil {
				s.t.Logf("go-sdk, %s met by %s: call: %v", s.moment, s.event, err)
			}
			return err == nil
		}
		o.called = call()
		o.again = call()
		return o
	},
	"mcp-go 1.2.1": func(s *scene, ctx context.Context) (o outcome) {
		over, err := transport.NewStreamableHTTP(s.resource, transport.WithHTTPBasicClient(&http.Client{Transport: s}))
		require.NoError(s.t, err)
		var options []client.ClientOption
		if s.era == legacy {
			options = append(options, client.WithProtocolVersion(legacy))
		}
		c := client.NewClient(over, options...)
		defer c.Close()
		require.NoError(s.t, c.Start(ctx))
		if _, err := c.Initialize(ctx, mcpgo.InitializeRequest{}); err != nil {
			s.t.Logf("mcp-go, %s met by %s: %v", s.moment, s.event, err)
			return o
		}
		o.connected, o.version = true, c.ProtocolVersion()
		call := func() bool {
			_, err := c.CallTool(ctx, mcpgo.CallToolRequest{Params: mcpgo.CallToolParams{Name: "echo"}})
			if err != nil {
				s.t.Logf("mcp-go, %s met by %s: call: %v", s.moment, s.event, err)
			}
			return err == nil
		}
		o.called = call()
		o.again = call()
		return o
	},
}

// TestClients_FRESH_17: what a client makes of the answers. A plain rotation costs none of them anything.
func TestClients_FRESH_17(t *testing.T) {
	lines := make([]string, 0, 18)
	var mu sync.Mutex
	t.Run("clients", func(t *testing.T) {
		for name, connect := range connections {
			for _, moment := range []string{"server/discover", "initialize", "tools/call"} {
				for _, event := range []string{"rotation", "outage of 3 s", "one 503"} {
					t.Run(fmt.Sprintf("%s, %s met by %s", name, moment, event), func(t *testing.T) {
						t.Parallel()
						era := modern
						if moment == "initialize" {
							era = legacy
						}
						s := newScene(t, era, moment, event)
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						begun := time.Now()
						o := connect(s, ctx)
						s.mu.Lock()
						defer s.mu.Unlock()
						require.True(t, s.met, "the moment did not come: %v", s.methods)
						lost := o.connected && o.version != era
						if event == "rotation" {
							assert.True(t, o.connected && o.called && o.again)
							assert.False(t, lost)
						}
						assert.Zero(t, s.status[http.StatusUnauthorized], "a good token was thrown away")
						mu.Lock()
						defer mu.Unlock()
						lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %d | %d |", name, moment, event,
							yes(!o.connected), yes(lost), yes(o.connected && !o.called), s.status[http.StatusUnauthorized], s.status[http.StatusServiceUnavailable]))
						t.Logf("%v after %v: %v", o, time.Since(begun).Round(100*time.Millisecond), s.methods)
					})
				}
			}
		}
	})
	slices.Sort(lines)
	table := "| client | met | by | connect failed | era lost | call failed | tokens thrown away | 503s |\n|---|---|---|---|---|---|---|---|\n" + strings.Join(lines, "\n")
	t.Log("\n" + table)
	page, err := os.ReadFile("../../docs/interop.md")
	require.NoError(t, err)
	assert.Contains(t, string(page), table+"\n", "docs/interop.md has another table")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
