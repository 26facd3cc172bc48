// Command mcpgo is a protected server of mcp-go in each of the three ways in
// which mcp-go serves HTTP:
//
//	go run ./examples/mcpgo --issuer https://login.example.com --transport stateless
//	go run ./examples/mcpgo --issuer https://login.example.com --transport stateful
//	go run ./examples/mcpgo --issuer https://login.example.com --transport sse
//
// The wrapper is the same for all of them; see server.go. Tokens come from the
// authorization server that you name, and must carry the printed endpoint in aud.
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
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends: 0 after an orderly end, 1 if serving failed, 2 if
// the command line is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mcpgo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	s := settings{log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags.StringVar(&s.issuer, "issuer", "", "`URL` of the authorization server, exactly as in iss of its tokens")
	flags.StringVar(&s.transport, "transport", stateless, "stateless, stateful or sse")
	flags.StringVar(&s.resource, "resource", "", "`URL` that clients dial, if it is not the address that is listened on")
	addr := flags.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(stderr, "mcpgo:", err)
		return 1
	}
	if s.resource == "" {
		s.resource = "http://" + listener.Addr().String() + endpoints[s.transport]
	}
	handler, err := newHandler(s)
	if err != nil {
		_ = listener.Close()
		fmt.Fprintf(stderr, "mcpgo: %v\n", err)
		return 2
	}
	fmt.Fprintln(stdout, "MCP endpoint:", s.resource)
	return serve(ctx, listener, handler, s.log)
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) int {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // streams end with the program
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
	<-stopped // Serve is over when the end begins
	return 0
}
