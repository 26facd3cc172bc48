package check

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
)

// scope is what each server demands of a token, or of the call of its one tool.
const scope = "mcp:read"

// issuerOn serves an embedded issuer on loopback.
func issuerOn(t *testing.T) *conformance.Issuer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	issuer, err := conformance.NewIssuer("http://" + listener.Addr().String())
	require.NoError(t, err)
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: issuer}}
	web.Start()
	t.Cleanup(web.Close)
	return issuer
}

// serve starts what make returns for the resource's URL.
func serve(t *testing.T, make func(resource string) http.Handler) string {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	resource := "http://" + web.Listener.Addr().String() + "/mcp"
	web.Config.Handler = make(resource)
	web.Start()
	t.Cleanup(web.Close)
	return resource
}

// keyOf fetches the issuer's one key, as a resource server has it.
func keyOf(t *testing.T, issuer string) *rsa.PublicKey {
	t.Helper()
	response, err := http.Get(issuer + "/jwks")
	require.NoError(t, err)
	defer response.Body.Close()
	var set struct{ Keys []struct{ N, E string } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&set))
	number := func(text string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		require.NoError(t, err)
		return new(big.Int).SetBytes(raw)
	}
	return &rsa.PublicKey{N: number(set.Keys[0].N), E: int(number(set.Keys[0].E).Int64())}
}

// verifier is what the guides of JWT libraries advise: algorithm, issuer,
// audience and expiry.
func verifier(t *testing.T, issuer, resource string) auth.TokenVerifier {
	key := keyOf(t, issuer)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(resource), jwt.WithExpirationRequired())
	return func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		claims := struct {
			jwt.RegisteredClaims
			Scope string `json:"scope"`
		}{}
		if _, err := parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			return nil, fmt.Errorf("%w: %v", auth.ErrInvalidToken, err)
		}
		return &auth.TokenInfo{UserID: claims.Subject, Scopes: strings.Fields(claims.Scope), Expiration: claims.ExpiresAt.Time}, nil
	}
}

// bearer protects a handler with the go-sdk's middleware.
func bearer(t *testing.T, issuer, resource string, next http.Handler) http.Handler {
	origin := strings.TrimSuffix(resource, "/mcp")
	const path = "/.well-known/oauth-protected-resource/mcp"
	mux := http.NewServeMux()
	mux.Handle(path, auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: resource, AuthorizationServers: []string{issuer}, ScopesSupported: []string{scope}, BearerMethodsSupported: []string{"header"},
	}))
	mux.Handle("/mcp", auth.RequireBearerToken(verifier(t, issuer, resource), &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: origin + path, Scopes: []string{scope},
	})(next))
	return mux
}

// steps is how often the tool tells of its progress to whoever asks for it, and pace how fast.
const (
	steps = 30
	pace  = 10 * time.Millisecond
)

// pause waits for the next step, unless the call is ended.
func pause(ctx context.Context) error {
	select {
	case <-time.After(pace):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func mcpGo(options ...server.StreamableHTTPOption) func() http.Handler {
	return func() http.Handler {
		backend := server.NewMCPServer("notes", "1.0.0")
		backend.AddTool(mcp.NewTool("read"), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			for i := range steps {
				if r.Params.Meta == nil || r.Params.Meta.ProgressToken == nil {
					break
				}
				_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i})
				if err := pause(ctx); err != nil {
					return nil, err
				}
			}
			return mcp.NewToolResultText("done"), nil
		})
		return server.NewStreamableHTTPServer(backend, options...)
	}
}

func goSDK(options *sdk.StreamableHTTPOptions) func() http.Handler {
	return func() http.Handler {
		backend := sdk.NewServer(&sdk.Implementation{Name: "notes", Version: "1.0.0"}, nil)
		sdk.AddTool(backend, &sdk.Tool{Name: "read"}, func(ctx context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
			for i := range steps {
				if r.Params.GetProgressToken() == nil {
					break
				}
				_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: float64(i)})
				if err := pause(ctx); err != nil {
					return nil, nil, err
				}
			}
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "done"}}}, nil, nil
		})
		return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return backend }, options)
	}
}

// backends are the servers of both SDKs, in the ways in which they keep what belongs to a session.
var backends = map[string]func() http.Handler{
	"mcp-go":            mcpGo(),
	"mcp-go, stateless": mcpGo(server.WithStateLess(true), server.WithEventStore(server.NewInMemoryEventStore())),
	"go-sdk":            goSDK(&sdk.StreamableHTTPOptions{EventStore: sdk.NewMemoryEventStore(nil)}),
	"go-sdk, stateless": goSDK(&sdk.StreamableHTTPOptions{Stateless: true}),
	"go-sdk, JSON":      goSDK(&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true}),
}

func run(t *testing.T, issuer *conformance.Issuer, resource string) *conformance.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	report, err := conformance.Run(ctx, conformance.Target{
		URL: resource, Minter: issuer, Rate: 1000, Tools: []conformance.Tool{{Name: "read", Scopes: []string{scope}}}, Notifier: "read",
	})
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, report.WriteText(&text))
	t.Log(text.String())
	return report
}

// complete demands that the run means something.
func complete(t *testing.T, report *conformance.Report) {
	t.Helper()
	assert.Len(t, report.Results, len(conformance.Catalogue()))
	for _, result := range report.Results {
		if result.ID == "control.accepted" {
			assert.Equal(t, conformance.Pass, result.Outcome, result.Detail)
		}
		assert.NotContains(t, result.Detail, "gave no answer", result.ID)
	}
}

// TestOurs: nothing is found in this library, over sockets and in front of the servers of both SDKs.
func TestOurs_TEST_07(t *testing.T) {
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			issuer := issuerOn(t)
			report := run(t, issuer, serve(t, func(resource string) http.Handler {
				gate, err := mcpauth.New(mcpauth.Config{
					Resource: resource, Issuers: []mcpauth.Issuer{{URL: issuer.Issuer()}}, Scopes: []string{scope}, AllowInsecureLoopback: true,
					Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read": mcpauth.Scopes(scope)}},
				})
				require.NoError(t, err)
				return gate.Wrap(backend())
			}))
			complete(t, report)
			assert.Empty(t, report.Findings(conformance.Low))
		})
	}
}

// TestBearerMiddleware: the middleware of the official SDK, with a common JWT library behind it. One
// of the servers keeps what all have under way under one empty name, and that is found out.
func TestBearerMiddleware_ISOL_12(t *testing.T) {
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			issuer := issuerOn(t)
			report := run(t, issuer, serve(t, func(resource string) http.Handler {
				return bearer(t, issuer.Issuer(), resource, backend())
			}))
			complete(t, report)
			for _, result := range report.Results {
				if result.Group == "isolation" {
					assert.Equal(t, name == "mcp-go, stateless", result.Outcome == conformance.Fail, "%s: %s", result.ID, result.Detail)
				}
			}
		})
	}
}

// TestCareless: a server that believes what a token says is found out.
func TestCareless_TEST_10(t *testing.T) {
	report := run(t, issuerOn(t), serve(t, func(string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if strings.Count(token, ".") != 2 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		})
	}))
	complete(t, report)
	found := map[string]bool{}
	for _, finding := range report.Findings(conformance.Critical) {
		found[finding.ID] = true
	}
	for _, id := range []string{"forgery.alg-none", "forgery.wrong-signature", "token.audience-other", "token.expired", "scopes.missing"} {
		assert.True(t, found[id], id)
	}
}
