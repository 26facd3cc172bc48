package differential

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzExecuted is MCP-13 and MCP-25 with the real servers of both SDKs behind
// the gate: whatever the body, the version and the headers that repeat the
// body, nothing is executed that the decision did not name and allow, and
// nothing panics.
func FuzzExecuted(f *testing.F) {
	for _, body := range wellFormed() {
		h := agreeing(body)
		f.Add([]byte(body), "", "", "")
		f.Add([]byte(body), h["Mcp-Protocol-Version"], h["Mcp-Method"], h["Mcp-Name"])
	}
	for _, body := range batches() {
		f.Add([]byte(body), "2025-03-26", "", "")
	}
	var trials []*trial // of the process: a server for each input would leave too much behind
	for i := range backends {
		trials = append(trials, newTrial(f, &backends[i], realGate))
	}
	f.Fuzz(func(t *testing.T, body []byte, version, method, name string) {
		headers := map[string]string{}
		for header, value := range map[string]string{"Mcp-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name} {
			if value != "" {
				headers[header] = value
			}
		}
		for _, tr := range trials {
			tr.t = t
			tr.ledger.clear()
			tr.send(string(body), headers)
			require.Empty(t, tr.ledger.unjustified())
			require.Zero(t, tr.panics)
		}
	})
}

// batches puts well-formed calls beside each other, allowed and not.
func batches() []string {
	bodies := wellFormed()
	all := make([]string, 0, 2*len(bodies))
	for i, body := range bodies {
		other := bodies[(i*7+3)%len(bodies)]
		twin := strings.Replace(body, `"id":1`, `"id":2`, 1)
		all = append(all, "["+body+"]", "["+other+","+twin+"]")
	}
	return all
}

// TestBatches is MCP-58 on the real servers: an element that the decision does
// not allow keeps all from being executed.
func TestBatches(t *testing.T) {
	for _, b := range backends {
		t.Run("MCP-58 "+b.name, func(t *testing.T) {
			tr := newTrial(t, &b, realGate)
			for _, body := range batches() {
				tr.send(body, nil)
				tr.send(body, map[string]string{"Mcp-Protocol-Version": "2025-03-26"})
				tr.send(body, map[string]string{"Mcp-Protocol-Version": "2025-11-25"})
			}
			t.Logf("%d requests, %d let through, %d executed", tr.requests, tr.served, tr.ledger.targets())
			assert.Empty(t, tr.ledger.unjustified())
			assert.Zero(t, tr.panics)
			assert.Positive(t, tr.served)
		})
	}
}

// TestFuzzCorpora fails when a fuzz target has lost its committed corpus.
func TestFuzzCorpora(t *testing.T) {
	for _, target := range []string{"FuzzDifferential", "FuzzExecuted"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(seeds), 20, target)
	}
}
