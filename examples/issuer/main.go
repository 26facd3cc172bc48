// Command issuer is an authorization server to try your own server with: it
// prints a token, and serves what your server needs to verify it until it is
// stopped. Anybody who runs it can have any token, so trust it on your own
// machine only. Its key is made anew each time.
//
//	go run ./examples/issuer http://127.0.0.1:8080/mcp analytics:data:read
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-1e292522/mcpauth/conformance"
)

// address is fixed, because a server names its issuers before any of them runs.
const address = "127.0.0.1:9400"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, address, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends: 0 after an orderly end, 1 if serving failed, 2 if
// the command line is wrong.
func run(ctx context.Context, addr string, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || !strings.Contains(args[0], "://") {
		fmt.Fprintln(stderr, "usage: issuer RESOURCE [SCOPE...], such as issuer http://127.0.0.1:8080/mcp analytics:data:read")
		return 2
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(stderr, "issuer:", err)
		return 1
	}
	defer func() { _ = listener.Close() }()
	issuer, err := conformance.NewIssuer("http://" + listener.Addr().String())
	if err != nil {
		fmt.Fprintln(stderr, "issuer:", err)
		return 1
	}
	token, err := mint(issuer, args[0], args[1:])
	if err != nil {
		fmt.Fprintln(stderr, "issuer:", err)
		return 1
	}
	fmt.Fprintf(stderr, "%s until Ctrl-C; a token of alice, good for an hour:\n", issuer.Issuer())
	fmt.Fprintln(stdout, token)
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(stderr, "issuer:", err)
		return 1
	}
	return 0
}

// mint signs an access token (RFC 9068).
func mint(issuer *conformance.Issuer, resource string, scopes []string) (string, error) {
	kid, alg, _ := issuer.Key()
	header, err := json.Marshal(map[string]string{"typ": "at+jwt", "alg": alg, "kid": kid})
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer.Issuer(), "aud": resource, "sub": "alice", "client_id": "curl", "jti": rand.Text(),
		"scope": strings.Join(scopes, " "), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return "", err
	}
	return issuer.Sign(string(header), string(claims))
}
