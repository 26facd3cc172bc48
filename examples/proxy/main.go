// Command proxy protects an MCP server that is written in another language:
// mcpauth around a reverse proxy. The server behind it needs no code for
// tokens; it finds its caller in headers that no client can forge.
//
//	(cd examples/proxy/upstream && npm ci && PORT=3000 node server.mjs)
//	go run ./examples/proxy --issuer https://login.example.com --upstream http://127.0.0.1:3000
//
// Only the proxy may be able to reach the server behind it: whoever else could
// would also say who he is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type settings struct{ issuer, resource, upstream string }

// policy needs no list of the tools behind: each has a scope of its own, and
// one that is added later is locked until somebody grants it. A task is for
// whoever began it and may still make the call that did.
func policy() mcpauth.Rules {
	return mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{
			"whoami": mcpauth.Authenticated(),
			"*":      {AllOf: []string{"tool:{name}:execute"}, Visible: true},
		},
		Methods: map[string]mcpauth.Requirement{
			"tasks/get":    mcpauth.Authenticated(),
			"tasks/update": mcpauth.Authenticated(),
			"tasks/cancel": mcpauth.Authenticated(),
			"tasks/result": mcpauth.Authenticated(),
			"tasks/list":   mcpauth.Authenticated(),
		},
	}
}

// newHandler is the gate with the proxy behind it. Nothing but the endpoint is passed on.
func newHandler(s settings, log *slog.Logger) (http.Handler, error) {
	upstream, err := url.Parse(s.upstream)
	if err != nil || upstream.Host == "" || upstream.Scheme != "http" && upstream.Scheme != "https" {
		return nil, fmt.Errorf("upstream %q: use a URL such as http://127.0.0.1:3000", s.upstream)
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: s.resource,
		Issuers:  []mcpauth.Issuer{{URL: s.issuer}},
		Policy:   policy(),
		Logger:   log,

		AllowInsecureLoopback: true, // to try it out; has no effect on public addresses
	})
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(s.resource)
	if err != nil {
		return nil, err
	}
	proxy := newProxy(upstream, log)
	return auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != endpoint.Path {
			http.NotFound(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})), nil
}

// run serves until ctx ends: 0 after an orderly end, 1 if serving failed, 2 if
// the command line is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var s settings
	flags.StringVar(&s.issuer, "issuer", "", "`URL` of the authorization server, exactly as in iss of its tokens")
	flags.StringVar(&s.upstream, "upstream", "http://127.0.0.1:3000", "`URL` of the MCP server behind the proxy, without its path")
	flags.StringVar(&s.resource, "resource", "", "`URL` that clients dial; default: /mcp at the address that is listened on")
	addr := flags.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(stderr, "proxy:", err)
		return 1
	}
	if s.resource == "" {
		s.resource = "http://" + listener.Addr().String() + "/mcp"
	}
	handler, err := newHandler(s, log)
	if err != nil {
		_ = listener.Close()
		fmt.Fprintf(stderr, "proxy: %v\n", err)
		return 2
	}
	fmt.Fprintln(stdout, "MCP endpoint:", s.resource)
	return serve(ctx, listener, handler, log)
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) int {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // streams end with the program
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close()
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serving failed", "error", err)
		return 1
	}
	<-stopped
	return 0
}
