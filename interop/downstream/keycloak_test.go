package downstream

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

// TestKeycloak: the tool has the user's records of an API that takes exchanged tokens only.
func TestKeycloak_EXCH_06_EXCH_12_EXCH_20(t *testing.T) {
	s := newSite(t, nil)
	s.realm.Events(t)
	token := s.signIn("mcp:read")
	inbound := claimsOf(t, token)
	assert.Equal(t, toolSays("200 the customers of "+inbound.Subject, false), s.call(token, customers))
	require.Len(t, s.api.served(), 1)
	exchanged := s.api.served()[0]
	outbound := claimsOf(t, exchanged)

	assert.Equal(t, claims{audiences{"crm"}, inbound.Subject, "mcp-server", inbound.Session, "crm:read", outbound.Expiry}, outbound)
	s.realm.Record.Settle()
	recorded := 0
	for _, seen := range s.realm.Record.Take() {
		if seen.Params.Get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange" {
			recorded++
			assert.Equal(t, 200, seen.Status)
			assert.False(t, seen.Refresh, "a refresh token is issued")
		}
	}
	assert.Equal(t, 1, recorded)
	assert.Equal(t, toolSays("200 the customers of "+inbound.Subject, false), s.call(token, early))
	assert.Equal(t, map[string]int{"": 1}, s.exchanges(), "and the token is remembered")

	assert.Equal(t, 401, s.present(token), "the API takes no token of the MCP server")
	assert.Equal(t, 401, s.call(exchanged, customers).status, "the MCP server takes no token of the API")
	assert.Equal(t, 403, s.present(s.hide(s.realm.SignIn(t, "crm-app", authservers.Ann, "crm:read"))), "and the API none that was not exchanged")
	assert.Equal(t, 200, s.present(exchanged))
}

// TestLife: Keycloak gives the exchanged token the life that its client's tokens have, whatever is left of the
// caller's. It is remembered no longer than either is good.
func TestLife_EXCH_12(t *testing.T) {
	for _, row := range []struct {
		name            string
		caller, service string // life of the tokens of each, in seconds
		exchanges       int    // of two calls
		outlives        bool
	}{
		{"long lives", "3000", "600", 1, false},
		{"a short life of the caller's token", "25", "600", 2, true},
		{"a short life of the exchanged token", "600", "25", 2, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, nil)
			s.attribute("access.token.lifespan", row.service)
			s.realm.Edit(t, s.realm.Client(t, "assistant"), func(client map[string]any) {
				client["attributes"].(map[string]any)["access.token.lifespan"] = row.caller
			})
			token := s.signIn("mcp:read")
			s.realm.Events(t)
			for range 2 {
				assert.Equal(t, toolSays("200 the customers of ann-of-exchange", false), s.call(token, customers))
			}
			assert.Equal(t, map[string]int{"": row.exchanges}, s.exchanges())
			exchanged := s.api.served()
			require.Len(t, exchanged, 2)
			assert.Equal(t, row.outlives, claimsOf(t, exchanged[1]).Expiry > claimsOf(t, token).Expiry)
		})
	}
}
