package conformance

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// allowed lets a valid token do everything that the suite does. The suite is
// about the protocol; who may do what is tested elsewhere.
func allowed() mcpauth.Rules {
	all := map[string]mcpauth.Requirement{"*": mcpauth.Authenticated()}
	return mcpauth.Rules{Tools: all, Prompts: all, Resources: all, Methods: map[string]mcpauth.Requirement{
		"tasks/get":    mcpauth.Authenticated(),
		"tasks/update": mcpauth.Authenticated(),
		"tasks/cancel": mcpauth.Authenticated(),
		"tasks/result": mcpauth.Authenticated(),
		"tasks/list":   mcpauth.Authenticated(),
	}}
}

// endpoint makes the URL at which the suite finds an MCP server.
func endpoint(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return "http://localhost:" + port + "/mcp"
}

// gate puts mcpauth in front of the server at address and returns the URL for
// the suite. The suite has no token, so the request gets one on its way in,
// and is otherwise what the suite sent, its Host included:
//
//	suite -> injector -> mcpauth -> reverse proxy -> server
func gate(t *testing.T, address string, policy mcpauth.Policy, delegate, inject bool) string {
	t.Helper()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: address})
		r.Out.Host = r.In.Host
	}}
	front := httptest.NewUnstartedServer(nil)
	resource := endpoint(t, front.Listener.Addr().String())
	issuer := mcpauthtest.NewIssuer(t)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:      resource,
		Issuers:       []mcpauth.Issuer{issuer.Config()},
		Policy:        policy,
		DelegateTasks: delegate,
		Logger:        slog.New(slog.NewTextHandler(t.Output(), nil)),

		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)

	wrapped, token := auth.Wrap(proxy), issuer.TokenFor(resource)
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inject {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		wrapped.ServeHTTP(w, r)
	})
	front.Start()
	t.Cleanup(front.Close)
	return resource
}
