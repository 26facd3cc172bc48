package matrix

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/node"
	"github.com/seed-1e292522/mcpauth/interop/python"
)

// script is a client of a TypeScript SDK: a script that does a whole job.
func script(t *testing.T, name, pkg, file string) client {
	return scripted(name, node.Version(t, pkg), "node", node.Path(file))
}

// pythonSDK is the client of the Python SDK with its OAuth provider.
func pythonSDK(t *testing.T) client {
	return scripted("Python SDK", python.Version, python.Need(t), filepath.Join("testdata", "client.py"))
}

// scripted is a client that does a whole job in a process of its own.
func scripted(name, version, program, file string) client {
	return client{
		name:    name,
		version: version,
		run: func(t *testing.T, j job) []report {
			input, err := json.Marshal(map[string]any{
				"url": j.url, "clientId": j.clientID, "scope": j.scope, "redirect": redirect, "steps": j.steps,
				"browser": serveBrowser(t, j),
			})
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), program, file)
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
