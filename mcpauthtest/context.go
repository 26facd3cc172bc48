package mcpauthtest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/identity"
)

// NewContext returns a context in which [mcpauth.FromContext] finds the
// principal, for unit tests of tool handlers. A nil principal is nobody. One
// that is written by hand has no claims to decode; [Issuer.Principal] makes
// one that has.
//
//	ctx := mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{Subject: "user-1", Scopes: []string{"mcp:read"}})
func NewContext(ctx context.Context, p *mcpauth.Principal) context.Context {
	return identity.NewContext(ctx, p)
}

// Principal returns the caller that a resource server makes of a token with
// these claims, read as [Issuer.Config] says. The issuer's endpoints are not asked.
//
//	p := issuer.Principal(mcpauthtest.Claims{"scope": "mcp:read", "tenant": "a"})
func (i *Issuer) Principal(claims Claims) *mcpauth.Principal {
	i.tb.Helper()
	const resource = "https://resource.test/mcp"
	config := i.Config()
	config.Keys, _ = json.Marshal(map[string]any{"keys": []any{i.currentKey().JWK()}})
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{config}, AllowInsecureLoopback: true})
	if err != nil {
		i.tb.Fatalf("mcpauthtest: %v", err)
	}
	withAudience := Claims{"aud": resource}
	maps.Copy(withAudience, claims)
	r, _ := http.NewRequest(http.MethodPost, resource, nil)
	r.Header.Set("Authorization", "Bearer "+i.Token(withAudience))
	p, err := auth.Authenticate(r)
	if err != nil {
		i.tb.Fatalf("mcpauthtest: no resource server accepts these claims: %v", err)
	}
	return p
}
