package downstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// TestStopped: Keycloak ends. Nobody is told to sign in again for it, and what was exchanged before serves on.
func TestStopped_EXCH_15_EXCH_25(t *testing.T) {
	direct := authservers.StartKeycloakExchange(t)
	direct.Issuer.URL = strings.Replace(direct.Issuer.URL, direct.Origin(), "http://"+direct.Address(), 1)
	type place struct {
		*site
		cached, fresh string
		cause         string
	}
	places := map[string]place{
		"behind a proxy that answers 502": {site: newSite(t, nil), cause: "status=502"},
		"where nobody listens":            {site: newSiteAt(t, direct, nil), cause: "connection refused"},
	}
	for name, at := range places {
		at.cached, at.fresh = at.signIn("mcp:read"), at.signIn("mcp:read")
		require.Equal(t, toolSays("200 the customers of ann-of-exchange", false), at.call(at.cached, customers), name)
		places[name] = at
	}
	direct.Stop(t)
	for name, at := range places {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, toolSays("200 the customers of ann-of-exchange", false), at.call(at.cached, customers))
			assert.Equal(t, toolSays("not available now", true), at.call(at.fresh, customers))
			require.Len(t, at.failed, 1)
			assert.Equal(t, onbehalf.Unavailable, at.failed[0].Kind)
			assert.Empty(t, at.failed[0].Code)
			assert.Positive(t, at.failed[0].RetryAfter)

			answer := at.call(at.fresh, early) // before the tool runs
			assert.Equal(t, 503, answer.status)
			assert.NotEmpty(t, answer.retryAfter)
			assert.Empty(t, answer.challenge)
			assert.Len(t, at.failed, 1, "the tool ran")
			assert.Len(t, at.api.served(), 2)
			assert.Equal(t, 1, strings.Count(at.logged(), `level=ERROR msg="onbehalf: the token endpoint cannot be used now" target=crm client_id=mcp-server`), at.logged())
			assert.Contains(t, at.logged(), at.cause)
			t.Logf("%+v", answer)
		})
	}
}
