package gosdk_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/gosdk"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// protect is a server of the SDK with the three lines that protect it: the
// middleware, the handler around the SDK's, and the wrapper around both.
func protect(config mcpauth.Config) (http.Handler, error) {
	server := mcp.NewServer(&mcp.Implementation{Name: "dashboards", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(gosdk.Middleware)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, whoami)

	guard, err := mcpauth.New(config)
	if err != nil {
		return nil, err
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	return guard.Wrap(gosdk.Handler(handler)), nil
}

// whoami finds its caller in the context.
func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return nil, nil, fmt.Errorf("the server is not wrapped")
	}
	text := fmt.Sprint(caller.Subject, " may ", caller.Scopes)
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
}

// A stateful session of the SDK, in which the client comes with another token:
// the tool sees the caller of the call, not of the session's beginning.
func Example() {
	issuer := mcpauthtest.NewIssuer(exampleTB{})
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer web.Close()
	resource := web.URL + "/mcp"
	handler, err := protect(mcpauth.Config{
		Resource: resource,
		Issuers:  []mcpauth.Issuer{issuer.Config()},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"whoami": mcpauth.Authenticated()}},

		AllowInsecureLoopback: true,
	})
	if err != nil {
		log.Fatal(err)
	}

	tokens := &held{}
	tokens.token.Store(issuer.TokenFor(resource, "analytics:data:read"))
	client := mcp.NewClient(&mcp.Implementation{Name: "tool", Version: "1.0.0"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{Endpoint: resource, OAuthHandler: tokens}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	ask := func() {
		result, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: "whoami"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Content[0].(*mcp.TextContent).Text)
	}
	ask()
	tokens.token.Store(issuer.TokenFor(resource, "analytics:data:read", "dashboard:modify"))
	ask()
	// Output:
	// user-1 may [analytics:data:read]
	// user-1 may [analytics:data:read dashboard:modify]
}

// held is a client's store for one token. A real client has
// [auth.AuthorizationCodeHandler] in its place.
type held struct{ token atomic.Value }

func (h *held) TokenSource(context.Context) (oauth2.TokenSource, error) {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: h.token.Load().(string)}), nil
}

func (h *held) Authorize(context.Context, *http.Request, *http.Response) error {
	return auth.ErrInvalidToken
}

// exampleTB lets an example have what a test has. It leaves the issuer to the
// end of the process.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                      {}
func (exampleTB) Cleanup(func())               {}
func (exampleTB) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }
func (exampleTB) Errorf(f string, args ...any) { log.Printf(f, args...) }
