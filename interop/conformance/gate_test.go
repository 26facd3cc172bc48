package conformance

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
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
//
// A sealer, if there is one, stands behind mcpauth.
func gate(t *testing.T, address string, policy mcpauth.Policy, s server, inject bool) string {
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
		DelegateTasks: s.delegate,
		Logger:        slog.New(slog.NewTextHandler(t.Output(), nil)),

		AllowInsecureLoopback: true,
	})
	require.NoError(t, err)

	wrapped, token := auth.Wrap(proxy), issuer.TokenFor(resource)
	if s.sealed {
		sealer, err := sealed.New(sealed.Config{Resource: resource, Ephemeral: true})
		require.NoError(t, err)
		wrapped = counting(t, auth.Wrap(sealer.Handler(proxy)))
	}
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

// counting holds that states went out sealed, and none as the server has written it: otherwise nothing was tested.
func counting(t *testing.T, next http.Handler) http.Handler {
	var states, seals atomic.Int32
	t.Cleanup(func() {
		assert.Positive(t, seals.Load(), "states went out sealed")
		assert.Equal(t, states.Load(), seals.Load(), "states went out")
		t.Logf("%d states went out, %d of them sealed", states.Load(), seals.Load())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&counted{w, &states, &seals}, r)
	})
}

type counted struct {
	http.ResponseWriter
	states, seals *atomic.Int32
}

func (c *counted) Write(data []byte) (int, error) {
	c.states.Add(int32(bytes.Count(data, []byte(`"requestState":"`))))
	c.seals.Add(int32(bytes.Count(data, []byte(`"requestState":"v1.`))))
	return c.ResponseWriter.Write(data)
}

func (c *counted) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }
