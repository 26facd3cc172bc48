package mcpauthtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A handler's unit test reads claims of its own making.
func TestPrincipalHasClaims(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	p := issuer.Principal(mcpauthtest.Claims{"scope": "mcp:read mcp:write", "tenant": "a"})
	ctx := mcpauthtest.NewContext(t.Context(), p)

	caller, ok := mcpauth.FromContext(ctx)
	require.True(t, ok)
	assert.Equal(t, []string{"mcp:read", "mcp:write"}, caller.Scopes)
	var claims struct{ Tenant string }
	require.NoError(t, caller.Claims(&claims))
	assert.Equal(t, "a", claims.Tenant)
	assert.Zero(t, issuer.Fetches(mcpauthtest.JWKS)+issuer.Fetches(mcpauthtest.Metadata))
}
