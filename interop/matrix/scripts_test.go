package matrix

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/node"
)

// script is a client of a TypeScript SDK: a script that does a whole job.
func script(t *testing.T, name, pkg, file string) client {
	return client{
		name:    name,
		version: node.Version(t, pkg),
		run: func(t *testing.T, j job) []report {
			input, err := json.Marshal(map[string]any{
				"url": j.url, "clientId": j.clientID, "scope": j.scope, "redirect": redirect, "steps": j.steps,
				"browser": serveBrowser(t, j.browser),
			})
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), "node", node.Path(file))
			command.Stdin = bytes.NewReader(input)
			var diagnostics bytes.Buffer
			command.Stderr = &diagnostics
			output, err := command.Output()
			require.NoError(t, err, diagnostics.String())
			var reports []report
			for line := range strings.Lines(string(output)) {
				var r report
				require.NoError(t, json.Unmarshal([]byte(line), &r), line)
				reports = append(reports, r)
			}
			return reports
		},
	}
}
