package gosdk_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// pipes is a listener whose connections are in memory, on the clock of the test.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func inMemory(t *testing.T, handler http.Handler) *http.Client {
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	carrier := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		l.conns <- there
		return here, nil
	}}
	t.Cleanup(func() {
		carrier.CloseIdleConnections()
		_ = server.Close()
		time.Sleep(time.Second)
	})
	return &http.Client{Transport: carrier}
}

// bearer adds the token to each request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// TestRevokedCall: the call of the SDK's own client to the SDK's own server, which
// reports progress, ends with an error when its token is revoked.
func TestRevokedCall_INTRO_23_MCP_55(t *testing.T) {
	for _, stateless := range []bool{false, true} {
		t.Run(fmt.Sprint("stateless ", stateless), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
				var revoked atomic.Bool
				guard, err := mcpauth.New(mcpauth.Config{
					Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(),
					Policy:  mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"slow": mcpauth.Authenticated()}},
					Revoked: func(context.Context, *mcpauth.Principal) (bool, error) { return revoked.Load(), nil },
				})
				require.NoError(t, err)
				server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
				free := make(chan struct{})
				mcp.AddTool(server, &mcp.Tool{Name: "slow"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
					for n := 0; ; n++ {
						_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Progress: float64(n)})
						select {
						case <-time.After(10 * time.Second):
						case <-ctx.Done():
							return nil, nil, ctx.Err()
						case <-free: // the SDK lets a tool go on whose caller has left
							return &mcp.CallToolResult{}, nil, nil
						}
					}
				})
				hc := inMemory(t, guard.Wrap(gosdk.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
					&mcp.StreamableHTTPOptions{Stateless: stateless, Logger: slog.New(slog.DiscardHandler)}))))
				hc.Transport = bearer{issuer.Token(mcpauthtest.Claims{"aud": "https://mcp.example.com/mcp", "exp": time.Now().Add(time.Hour).Unix()}), hc.Transport}
				var progress atomic.Int32
				client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, &mcp.ClientOptions{
					ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { progress.Add(1) },
				})
				session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://mcp.example.com/mcp", HTTPClient: hc, MaxRetries: -1, DisableStandaloneSSE: true}, nil)
				require.NoError(t, err)
				begun := time.Now()
				time.AfterFunc(95*time.Second, func() { revoked.Store(true) })
				params := &mcp.CallToolParams{Name: "slow"}
				params.SetProgressToken("p")
				_, err = session.CallTool(t.Context(), params)
				require.ErrorContains(t, err, "token revoked")
				assert.WithinRange(t, time.Now(), begun.Add(95*time.Second), begun.Add(161*time.Second))
				assert.Greater(t, progress.Load(), int32(8))
				close(free)
				revoked.Store(false)
				_ = session.Close()
				synctest.Wait()
			})
		})
	}
}
