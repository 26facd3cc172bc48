package authservers

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// OIDCProviderOptions are the two things about oidc-provider that an operator
// of an MCP server may have to change.
type OIDCProviderOptions struct {
	// DefaultResource is the audience for clients that know no RFC 8707.
	DefaultResource string

	// FreeScopes lets a registered client ask for more than the scope that it
	// registered with.
	FreeScopes bool

	// Asking makes access tokens opaque. It is the secret of the client mcp-server, which may ask about them.
	Asking string
}

// StartOIDCProvider starts the npm package oidc-provider.
func StartOIDCProvider(t testing.TB, options OIDCProviderOptions) *Server {
	t.Helper()
	server := &Server{
		Name:      "oidc-provider",
		Version:   node.Version(t, "oidc-provider"),
		Habits:    "dynamic registration, RFC 8707, RFC 9068 tokens (`at+jwt`, ES256), rotating refresh tokens",
		Authorize: "/auth", Token: "/token", Register: "/reg",
		Record: &wire.Record{},
	}
	keep := "yes"
	if options.FreeScopes {
		keep = "no"
		server.Name += ", free scopes"
		server.Habits = "the same, but a client is not held to the scope that it registered with"
	}
	serve(t, server.Record, func(origin string) http.Handler {
		server.Issuer = mcpauth.Issuer{URL: origin}
		ready := node.Start(t, "oidc-provider.mjs", "ISSUER="+origin, "SHORT_LIFE="+strconv.Itoa(ShortLife),
			"DEFAULT_RESOURCE="+options.DefaultResource, "KEEP_SCOPE="+keep, "ASKING_SECRET="+options.Asking)
		return forward(ready.Port)
	})
	return server
}
