package conformance_test

import (
	"net/http"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/conformance"
)

// TestStates: a server whose state is the plain "step=1" is found out, and the same one behind the sealer is not. Without a
// tool that asks there is nothing to present.
func TestStates_STATE_16(t *testing.T) {
	issuer := sharedIssuer()
	outcomes := func(make func(t *testing.T) http.Handler, tools ...conformance.Tool) map[string]conformance.Outcome {
		report := checkServer(t, issuer, make, func(target *conformance.Target) { target.Tools, target.Notifier = tools, "" })
		all := map[string]conformance.Outcome{}
		for _, result := range report.Results {
			if result.Group == "state" {
				all[result.ID] = result.Outcome
			}
		}
		return all
	}
	plain := func(t *testing.T) http.Handler {
		return newAuth(t, issuer).Wrap(mcpServer(t, server.WithStateLess(true)))
	}
	behind := func(t *testing.T) http.Handler { return good(t, issuer) }
	read, ask := tools[0], tools[3]
	assert.Equal(t, map[string]conformance.Outcome{
		"state.works": conformance.Pass, "state.changed": conformance.Pass, "state.foreign": conformance.Fail, "state.other-arguments": conformance.Fail,
	}, outcomes(plain, read, ask))
	assert.Equal(t, map[string]conformance.Outcome{
		"state.works": conformance.Pass, "state.changed": conformance.Pass, "state.foreign": conformance.Pass, "state.other-arguments": conformance.Pass,
	}, outcomes(behind, read, ask))
	for id, outcome := range outcomes(behind, read) {
		assert.Equal(t, conformance.NotRun, outcome, id)
	}
}
