package mcpauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-1e292522/mcpauth"
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
	server := newServer(auth.Wrap(http.NotFoundHandler()))

	answer := httptest.NewRecorder()
	server.Handler.ServeHTTP(answer, httptest.NewRequest("POST", "/mcp", nil))
	fmt.Println(answer.Code, server.ReadHeaderTimeout, server.ReadTimeout)
	// Output: 401 5s 30s
}
