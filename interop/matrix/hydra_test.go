package matrix

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/protected"
)

// TestHydraRegistration says which clients can register themselves with Ory
// Hydra. It answers with members that are empty or null, where RFC 7591 has URLs and
// lists, and a client that reads them strictly has no id afterwards.
func TestHydraRegistration(t *testing.T) {
	node.Need(t)
	server := authservers.StartHydra(t, true)
	stumbles := map[string]string{ // over what
		"go-sdk":      "failed to decode successful registration response", // jwks: {}
		nameTS1:       "client_uri",
		nameTS2:       "client_uri",
		nameInspector: "contacts",
		nameRemote:    "connection closed",
	}
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			guarded := protected.Start(t, protected.Listen(t), protected.Options{Backend: protected.MCPGo, Issuer: server.Issuer})
			reports := c.run(t, job{url: guarded.URL, browser: authservers.NewBrowser(authservers.Ann, false),
				steps: []string{"connect", "call:echo"}})
			require.NotEmpty(t, reports)
			if over := stumbles[c.name]; over != "" {
				assert.False(t, reports[0].OK)
				assert.Contains(t, reports[0].Text, over)
				assert.Empty(t, guarded.Ran())
				return
			}
			assert.Equal(t, []string{"echo"}, guarded.Ran())
		})
	}
}
