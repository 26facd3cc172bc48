package differential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/interop/process"
)

// TestInterpreters is MCP-14 for servers behind a reverse proxy: what the gate
// accepts is read alike by JSON.parse and by json.loads.
func TestInterpreters(t *testing.T) {
	var accepted []string
	var gates []reading
	bodies := allBodies(mutated)
	for _, body := range bodies {
		if gate, err := gateReading([]byte(body)); err == nil {
			accepted, gates = append(accepted, body), append(gates, gate)
		}
	}
	// Behind the accepted bodies comes one that the gate refuses and every
	// interpreter reads, as proof that a difference is seen.
	const smuggling = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"admin_delete"}}`
	for _, interpreter := range []struct{ name, command, script string }{
		{"MCP-14 JavaScript, JSON.parse", "node", "read.mjs"},
		{"MCP-14 Python, json.loads", "python3", "read.py"},
	} {
		t.Run(interpreter.name, func(t *testing.T) {
			path, err := exec.LookPath(interpreter.command)
			if err != nil {
				process.Unavailable(t, "not compared: there is no "+interpreter.command+" on this machine")
			}
			seen := interpret(t, path, interpreter.script, append(accepted[:len(accepted):len(accepted)], smuggling))
			disagreements, refused := []string{}, 0
			for i := range accepted {
				if seen[i]["error"] != "" {
					refused++
				} else if difference := interpretedDifference(seen[i], &gates[i]); difference != "" {
					disagreements = append(disagreements, difference+" in "+accepted[i])
				}
			}
			t.Logf("%d bodies, %d accepted, %d disagreements, refused by %s: %d",
				len(bodies), len(accepted), len(disagreements), interpreter.command, refused)
			assert.Empty(t, disagreements)
			assert.Less(t, refused, len(accepted)/100, "an interpreter that refuses everything agrees with everybody")

			echo := jsonrpc.Field{Value: "echo", State: jsonrpc.String}
			last := reading{Method: "tools/call", ID: canonical(1.0), Name: echo}
			assert.NotEmpty(t, interpretedDifference(seen[len(accepted)], &last))
		})
	}
}

// interpret runs the script once for all bodies.
func interpret(t *testing.T, path, script string, bodies []string) (seen []map[string]string) {
	t.Helper()
	var in, stderr bytes.Buffer
	for _, body := range bodies {
		in.WriteString(base64.StdEncoding.EncodeToString([]byte(body)) + "\n")
	}
	command := exec.CommandContext(t.Context(), path, filepath.Join("testdata", script))
	command.Stdin, command.Stderr = &in, &stderr
	out, err := command.Output()
	require.NoError(t, err, "%s", &stderr)
	for line := range bytes.Lines(out) {
		var s map[string]string
		require.NoError(t, json.Unmarshal(line, &s))
		seen = append(seen, s)
	}
	require.Len(t, seen, len(bodies))
	return seen
}

// present is "" for null, which is absent for everybody.
func present(canonical string) string {
	if canonical == "z" {
		return ""
	}
	return canonical
}

// interpretedDifference names the first thing that an interpreter sees
// otherwise than the gate, or returns "".
func interpretedDifference(seen map[string]string, gate *reading) string {
	method := ""
	if gate.Kind != jsonrpc.Response {
		method = canonical(gate.Method)
	}
	for member, ours := range map[string]string{"method": method, "id": gate.ID, "arguments": gate.Arguments} {
		if present(seen[member]) != ours {
			return fmt.Sprintf("%s: %s, gate: %s", member, seen[member], ours)
		}
	}
	for member, ours := range map[string]jsonrpc.Field{
		"name": gate.Name, "uri": gate.URI, "taskId": gate.TaskID, "version": gate.Version,
		"refType": gate.RefType, "refName": gate.RefName, "refUri": gate.RefURI,
	} {
		state := jsonrpc.Other
		switch {
		case seen[member] == "", seen[member] == "z" && ours.State == jsonrpc.Absent:
			state = jsonrpc.Absent
		case strings.HasPrefix(seen[member], `"`):
			state = jsonrpc.String
		}
		if state != ours.State || state == jsonrpc.String && seen[member] != canonical(ours.Value) {
			return fmt.Sprintf("%s: %s, gate: %+v", member, seen[member], ours)
		}
	}
	return ""
}
