// Package authservers starts real authorization servers on loopback, and walks
// their pages as a person with a browser would.
//
// Each is other people's code with the storage and the two pages (sign in,
// consent) that it asks its operator for. They differ on purpose, as
// [Server.Habits] says.
package authservers

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// The people who can sign in. There are no passwords. Who signs in decides
// what tokens the client gets.
const (
	Ann = "ann" // tokens for ten minutes, and no refresh token
	Lee = "lee" // tokens for ten minutes, and a refresh token
	Ron = "ron" // tokens for [ShortLife] seconds, and a refresh token
)

// ShortLife is how long Ron's tokens live, in seconds. It is real time: half
// of the servers and clients are other processes with clocks of their own.
const ShortLife = 4

// Scopes are what can be asked for.
var Scopes = []string{"mcp:read", "mcp:admin"}

// Server is a running authorization server.
type Server struct {
	Name    string // as its package is called
	Version string
	Habits  string // what it does differently from the others

	// Issuer is the configuration with which mcpauth accepts its tokens.
	Issuer mcpauth.Issuer

	// ClientID is a public client for any port of 127.0.0.1, for a server
	// without dynamic registration. Empty: clients register themselves.
	ClientID string

	// Known are the clients, by their names in the matrix, that cannot register
	// there and so have ids from an administrator.
	Known map[string]string

	// Secret is that of the Known clients, and Redirects lists a redirect URI for
	// them. Nil: they are public, and any port of 127.0.0.1 will do.
	Secret    string
	Redirects func(ctx context.Context, uri string) error

	// IgnoresResource says that RFC 8707 is unknown to the server, and that
	// the audience comes from elsewhere.
	IgnoresResource bool

	// Narrows says that the server has no answer access_denied: who refuses a scope
	// gives the others, and who refuses all does not come back to the client.
	Narrows bool

	// Authorize, Token and Register are the paths of its endpoints.
	Authorize, Token, Register string

	// Rotate makes the server sign with a new key, in its own way. Nil: its keys
	// are fixed here.
	Rotate func(context.Context) error

	// Revoke ends what a person has granted, in the server's own way, and
	// Revoked tells an MCP server of it, as [mcpauth.Config].Revoked. Nil: the
	// server has no such thing here.
	Revoke  func(ctx context.Context, person string) error
	Revoked func(context.Context, *mcpauth.Principal) (bool, error)

	// Introspection is where to ask about tokens, if the metadata does not say.
	Introspection string

	// Prepare is called before each scenario of a person, if the server does not
	// know whose tokens live how long, or knows the person from before.
	Prepare func(person string)

	// Record has every exchange with the server.
	Record *wire.Record
}

// serve starts the HTTP server of an issuer. The handler is made when the
// address is known, because the issuer's URL contains it.
func serve(t testing.TB, record *wire.Record, handler func(origin string) http.Handler) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner := handler("http://" + listener.Addr().String())
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: record.Handler(inner)}}
	server.Start()
	t.Cleanup(server.Close)
}

// forward passes requests on to a server that is another process.
func forward(port int) http.Handler {
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(port)}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // from which some make their URLs
		},
		// Node.js closes a connection after five seconds, and a POST on it would be lost.
		Transport: &http.Transport{DisableKeepAlives: true},
	}
}

// ModuleVersion is the version of a module in the go.mod of the interop tests.
func ModuleVersion(t testing.TB, path string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == path {
			return strings.TrimPrefix(fields[1], "v")
		}
	}
	t.Fatalf("%s is not in go.mod", path)
	return ""
}
