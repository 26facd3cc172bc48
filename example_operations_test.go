package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/configfile"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/sealed"
)

// newServer is a server for the public: net/http's own defaults let a slow
// sender hold a connection for ever. Streams are not limited by it; they end
// with their token.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              ":8080",
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // header and body together
		WriteTimeout:      0,                // any other value would cut streams off
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// shutDown ends a server that has open streams. Calls have a while to be answered; streams would go on, and are closed after it. Their
// clients come back, to another replica.
func shutDown(server *http.Server, while time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), while)
	defer cancel()
	if server.Shutdown(ctx) == nil {
		return nil
	}
	return server.Close()
}

// inContainers is for development: the authorization server has the browser's name for it, and
// is dialed by that of its container.
func inContainers(c *mcpauth.Config) {
	c.AllowInsecureLoopback = true
	c.Issuers = []mcpauth.Issuer{{URL: "http://localhost:8080/realms/main"}}
	c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "keycloak:8080")
	}}
}

// withState is a server, in any language behind a proxy, whose states nobody else can use.
func withState(auth *mcpauth.Middleware, proxy http.Handler, resource string, key []byte, logger *slog.Logger) (http.Handler, error) {
	sealer, err := sealed.New(sealed.Config{Resource: resource, Keys: [][]byte{key}, Logger: logger})
	if err != nil {
		return nil, err
	}
	return auth.Wrap(sealer.Handler(proxy)), nil
}

// fromFile makes a Middleware of a file, and follows what changes in it until ctx ends.
func fromFile(ctx context.Context, name string) (*mcpauth.Middleware, error) {
	base := func(c *mcpauth.Config) { c.Logger = slog.Default() } // what is code
	auth, err := configfile.New(name, base)
	if err != nil {
		return nil, err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go configfile.Watch(ctx, auth, name, configfile.Options{Signal: hangup, Base: base})
	return auth, nil
}

// A configuration that a file holds.
func Example_configFile() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := fromFile(ctx, "testdata/no-such-file.json")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}

// What a server on the Internet needs beside the wrapper. Limits on the rate of
// requests stand in front of it.
func Example_operations() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key := []byte("32 bytes, of crypto/rand in truth")
	handler, err := withState(auth, http.NotFoundHandler(), "https://mcp.example.com/mcp", key, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := newServer(handler)

	answer := httptest.NewRecorder()
	server.Handler.ServeHTTP(answer, httptest.NewRequest("POST", "/mcp", nil))
	fmt.Println(answer.Code, server.ReadHeaderTimeout, server.ReadTimeout)
	// Output: 401 5s 30s
}

// Where the handler is mounted below a path, the metadata has a route of its own: it
// stands at the root of the origin, whatever the path of the resource.
func ExampleMiddleware_Metadata() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/api/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Authenticated()}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mcpHandler := http.NotFoundHandler()

	metadata, _ := url.Parse(auth.MetadataURL())
	h := auth.Wrap(mcpHandler)

	direct := func(mux *http.ServeMux) {
		mux.Handle(metadata.Path, auth.Metadata())
		mux.Handle("/api/mcp", h)
	}
	stripped := func(mux *http.ServeMux) {
		mux.Handle(metadata.Path, auth.Metadata())
		mux.Handle("/api/", http.StripPrefix("/api", h))
	}
	for _, mount := range []func(*http.ServeMux){direct, stripped} {
		handler := http.NewServeMux()
		mount(handler)
		for _, path := range []string{"/.well-known/oauth-protected-resource/api/mcp", "/api/mcp"} {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
			fmt.Println(path, answer.Code)
		}
	}
	// Output:
	// /.well-known/oauth-protected-resource/api/mcp 200
	// /api/mcp 401
	// /.well-known/oauth-protected-resource/api/mcp 200
	// /api/mcp 401
}

// The readiness probe, on a port of its own. The keys of this issuer are given, so that there is nothing to wait for.
func ExampleMiddleware_Health() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com", Keys: mcpauthtest.NewKey("k1", "ES256").PEM()}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	admin := http.NewServeMux()

	admin.Handle("GET /readyz", auth.Health())

	answer := httptest.NewRecorder()
	admin.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	fmt.Println(answer.Code)
	// Output: 200
}

// Two MCP servers on one host, behind one handler.
func ExampleNewHost() {
	issuers := []mcpauth.Issuer{{URL: "https://login.example.com"}}
	sales := mcpauth.Config{Resource: "https://mcp.example.com/sales", Issuers: issuers, Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"orders": mcpauth.Scopes("sales:read")}}}
	stock := mcpauth.Config{Resource: "https://mcp.example.com/stock", Issuers: issuers, Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"parts": mcpauth.Scopes("stock:read")}}}
	salesServer, stockServer := http.NotFoundHandler(), http.NotFoundHandler() // yours
	host, err := mcpauth.NewHost(sales, stock)
	if err != nil {
		panic(err)
	}
	handler := host.Wrap(map[string]http.Handler{sales.Resource: salesServer, stock.Resource: stockServer})
	for _, path := range []string{"/sales", "/stock", ""} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://mcp.example.com/.well-known/oauth-protected-resource"+path, nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 {"authorization_servers":["https://login.example.com"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/sales"}
	// 200 {"authorization_servers":["https://login.example.com"],"bearer_methods_supported":["header"],"resource":"https://mcp.example.com/stock"}
	// 404
}
