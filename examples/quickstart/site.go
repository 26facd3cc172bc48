package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

// site is the two servers, running on loopback.
type site struct {
	resource string // the MCP endpoint, and the audience of its tokens
	issuer   string // the authorization server
	tools    *toolbox
	servers  []*http.Server
}

// start opens both ports first, because each server has to know the other's URL.
func start(addr string, rules mcpauth.Rules, log *slog.Logger) (*site, error) {
	mcp, err := listen(addr)
	if err != nil {
		return nil, err
	}
	login, err := listen("127.0.0.1:0")
	if err != nil {
		_ = mcp.Close()
		return nil, err
	}
	s := &site{
		resource: "http://" + mcp.Addr().String() + "/mcp",
		issuer:   "http://" + login.Addr().String(),
		tools:    &toolbox{},
	}
	protected, err := protect(s.resource, s.issuer, rules, s.tools, log)
	if err != nil {
		_ = mcp.Close()
		_ = login.Close()
		return nil, err
	}
	s.serve(mcp, protected)
	s.serve(login, newIssuer(s.issuer, s.resource).handler())
	return s, nil
}

// listen refuses addresses that other machines could reach: tokens would
// travel over plain HTTP.
func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = listener.Close()
		return nil, fmt.Errorf("%q is not a loopback address: this demonstration speaks plain HTTP, use 127.0.0.1:PORT", addr)
	}
	return listener, nil
}

func (s *site) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(listener) }()
}

func (s *site) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, server := range s.servers {
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	}
}
