// Command acceptance is an MCP server for black-box tests with real
// authorization servers and real clients. It is configured by its environment
// alone:
//
//	ISSUER        the authorization server, exactly as in iss of its tokens
//	RESOURCE      the URL of the MCP endpoint, also the audience of tokens
//	ADDR          host:port to listen on
//	EFFECTS_FILE  optional: every execution of a tool appends one line
//
// It needs the authorization server only when a token arrives. Its log goes to
// standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Getenv, os.Stderr))
}

// settings is the environment, checked as far as mcpauth does not check it.
type settings struct {
	issuer, resource, addr string
	path                   string // of the resource
	effects                *effects
}

// run serves until ctx ends: 0 after an orderly end, 1 if serving failed, 2 if
// the environment is wrong.
func run(ctx context.Context, getenv func(string) string, stderr io.Writer) int {
	s, err := readSettings(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "acceptance: the environment is wrong:\n%v\n", err)
		return 2
	}
	defer s.effects.close()
	log := slog.New(slog.NewTextHandler(stderr, nil))
	handler, err := newHandler(s, log)
	if err != nil {
		fmt.Fprintf(stderr, "acceptance: ISSUER or RESOURCE is wrong:\n%v\n", err)
		return 2
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		fmt.Fprintf(stderr, "acceptance: ADDR: %v\n", err)
		return 2
	}
	log.Info("listening", "addr", listener.Addr().String(), "resource", s.resource, "issuer", s.issuer)
	if err := serve(ctx, listener, handler); err != nil {
		log.Error("serving failed", "error", err)
		return 1
	}
	log.Info("stopped")
	return 0
}

// readSettings reports everything that is wrong, not just the first thing.
func readSettings(getenv func(string) string) (settings, error) {
	s := settings{issuer: getenv("ISSUER"), resource: getenv("RESOURCE"), addr: getenv("ADDR")}
	var errs []error
	for _, variable := range []struct{ name, value, example string }{
		{"ISSUER", s.issuer, "https://login.example.com, exactly as in iss"},
		{"RESOURCE", s.resource, "https://mcp.example.com/mcp, the URL that clients dial"},
		{"ADDR", s.addr, "127.0.0.1:8080"},
	} {
		if variable.value == "" {
			errs = append(errs, fmt.Errorf("%s is not set, for example %s", variable.name, variable.example))
		}
	}
	if _, _, err := net.SplitHostPort(s.addr); s.addr != "" && err != nil {
		errs = append(errs, fmt.Errorf("ADDR is not host:port: %w", err))
	}
	if u, err := url.Parse(s.resource); err != nil {
		errs = append(errs, fmt.Errorf("RESOURCE is not a URL: %w", err))
	} else {
		s.path = u.Path
	}
	var err error
	if s.effects, err = openEffects(getenv("EFFECTS_FILE")); err != nil {
		errs = append(errs, fmt.Errorf("EFFECTS_FILE: %w", err))
	}
	return s, errors.Join(errs...)
}

// route sends to the endpoint and to the metadata what belongs there, and
// answers 404 to the rest without asking for a token: old clients look for
// authorization endpoints on the server itself, and a 401 there would mislead them.
func route(path string, protected http.Handler) http.Handler {
	if path == "" {
		path = "/"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path && !strings.HasPrefix(r.URL.Path, "/.well-known/") {
			http.NotFound(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Requests under way may finish; the context that ended is of no use for that.
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
