// Package endtoend measures a real MCP server on loopback: mcp-go behind the
// wrapper, behind its peers and behind nothing. The server is a process of its
// own, so that its CPU time is its own.
package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

const (
	tool = "query_usage"
	// environment carries the settings to the server process.
	environment = "MCPAUTH_BENCH_SERVER"
	usagePath   = "/_usage"
)

// settings are what the server process is told.
type settings struct {
	Auth   string // a name of [wrappers]
	Source peers.Source
	Heap   int // MB that are alive all the time
}

// wrappers are what can stand in front of mcp-go.
var wrappers = map[string]func(peers.Source, http.Handler) (http.Handler, error){
	"none":    wrapNot,
	"again":   wrapNot,
	"mcpauth": wrapMcpauth,
	"sdk+golang-jwt": func(s peers.Source, next http.Handler) (http.Handler, error) {
		return wrapPeer(s, peers.GolangJWT, next)
	},
	"sdk+jwx-jwt":  func(s peers.Source, next http.Handler) (http.Handler, error) { return wrapPeer(s, peers.JWX, next) },
	"sdk+lru+json": wrapRemembering,
}

func wrapNot(_ peers.Source, next http.Handler) (http.Handler, error) { return next, nil }

func wrapMcpauth(source peers.Source, next http.Handler) (http.Handler, error) {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:              source.Audience,
		Issuers:               []mcpauth.Issuer{{URL: source.Issuer}},
		AllowInsecureLoopback: true,
		Scopes:                []string{"mcp:read"},
		Policy:                mcpauth.Rules{Tools: map[string]mcpauth.Requirement{tool: mcpauth.Scopes("analytics:data:read")}},
	})
	if err != nil {
		return nil, err
	}
	return auth.Wrap(next), nil
}

func wrapPeer(source peers.Source, newVerifier func(context.Context, peers.Source) (peers.Verifier, error), next http.Handler) (http.Handler, error) {
	verify, err := newVerifier(context.Background(), source)
	if err != nil {
		return nil, err
	}
	return peers.BearerToken(verify, next), nil
}

func wrapRemembering(source peers.Source, next http.Handler) (http.Handler, error) {
	verify, err := peers.GolangJWT(context.Background(), source)
	if err != nil {
		return nil, err
	}
	return peers.BearerToken(peers.Remember(verify), peers.ReadCall(map[string]bool{tool: true}, next)), nil
}

// ServeIfAsked turns this process into the server when a parent started it as
// one. It reports whether it did; main and TestMain then return.
func ServeIfAsked() (bool, error) {
	text, ok := os.LookupEnv(environment)
	if !ok {
		return false, nil
	}
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return true, err
	}
	return true, serve(s)
}

// serve prints its address and serves until standard input ends, which it does
// when the parent is gone.
func serve(s settings) error {
	inner := server.NewMCPServer("bench", "1", server.WithToolCapabilities(false))
	inner.AddTool(mcp.NewTool(tool), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("42"), nil
	})
	streamable := server.NewStreamableHTTPServer(inner, server.WithStateLess(true),
		server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	wrap, ok := wrappers[s.Auth]
	if !ok {
		return fmt.Errorf("nothing is called %q", s.Auth)
	}
	handler, err := wrap(s.Source, streamable)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: withUsage(handler)}
	defer runtime.KeepAlive(alive(s.Heap))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	fmt.Println(listener.Addr())
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// withUsage tells what this process has used.
func withUsage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != usagePath {
			next.ServeHTTP(w, r)
			return
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(usage{fixture.CPUTime().Microseconds(), m.Sys - m.HeapReleased, m.TotalAlloc, m.Mallocs})
	})
}

// alive is so many MB in pieces of 1 KB, which a collector has to walk through.
func alive(megabytes int) [][]byte {
	pieces := make([][]byte, megabytes<<10)
	for i := range pieces {
		pieces[i] = make([]byte, 1<<10)
	}
	return pieces
}

// source is what the server is told of an issuer.
func source(issuer *fixture.Issuer, alg string) peers.Source {
	return peers.Source{Issuer: issuer.URL, JWKSURL: issuer.JWKSURL, Audience: fixture.Resource, Alg: alg}
}
