package conformance

import (
	"cmp"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row is what came out of one leg.
type row struct {
	leg       leg
	scenarios int
	identical int
	unsteady  []string
	explained []string       // checks that come out differently, for a known reason
	checks    int            // of the steady scenarios, bare and behind alike
	failed    map[string]int // scenario -> checks that the bare server fails as well
}

func (r *row) count(name string, checks []check) {
	for _, c := range checks {
		if c.Status != "INFO" && c.Status != "SKIPPED" {
			r.checks++
		}
	}
	if n := failures(checks); n > 0 {
		if r.failed == nil {
			r.failed = map[string]int{}
		}
		r.failed[name] = n
	}
}

const introduction = `# Conformance

<!-- Written by: go test . -run Conformance -update, in interop/conformance. -->

The official conformance suite of MCP (npm ` + "`@modelcontextprotocol/conformance`" + `) runs twice against each server: bare,
and behind mcpauth. It has no token, so a handler in front of the wrapper adds one to each request:

    suite -> injector -> mcpauth -> reverse proxy -> server

A scenario is identical when each of its checks has the same status on both sides and, if it fails, says the same. The
policy allows the suite everything; two controls make sure that without the token nothing passes, and that a policy
that refuses one tool is noticed.

`

const explanation = `
Servers: those that the SDKs publish for this suite, and two of our own. "rounds" has fixtures for 2026-07-28 that mcp-go's
lacks; "tasks" speaks the extension io.modelcontextprotocol/tasks, which neither SDK has yet. With "sealed" a
sealer stands behind mcpauth, in the scenarios with results that ask for input: each state that goes out is sealed.

What the bare server fails, it fails behind the wrapper too, in the same words. These scenarios ask for fixtures that
the server does not have, or for behaviour that it does not show; the numbers are failing checks:

`

// render writes the document: what was run, the table, and what bare servers fail.
func render(t *testing.T, rows []row) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(introduction)
	fmt.Fprintf(&b, "Versions: suite %s (stable) and %s (alpha), go-sdk %s, mcp-go %s.\n\n", stable.version(t), alpha.version(t),
		version(t, "github.com/modelcontextprotocol/go-sdk"), version(t, "github.com/mark3labs/mcp-go"))
	b.WriteString("| server | suite | revision | scenarios | identical | checks | of these failed by the bare server |\n|---|---|---|---|---|---|---|\n")
	var explained []string
	scenarios, identical := 0, 0
	unsteady := map[string]string{}
	for _, r := range rows {
		failed := 0
		for _, n := range r.failed {
			failed += n
		}
		for _, id := range r.explained {
			explained = append(explained, fmt.Sprintf("\nNot identical, %s, `%s`:\n%s\n", r.leg.server.name, id, r.leg.server.explained[id]))
		}
		for _, name := range r.unsteady {
			unsteady[r.leg.server.name+", `"+name+"`"] = r.leg.server.unsteady[name]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d | %d |\n", r.leg.server.name, r.leg.suite.name, cmp.Or(r.leg.revision, "extension"), r.scenarios, r.identical, r.checks, failed)
		scenarios, identical = scenarios+r.scenarios, identical+r.identical
	}
	fmt.Fprintf(&b, "| **all** | | | **%d** | **%d** | | |\n", scenarios, identical)
	for _, text := range explained {
		b.WriteString(text)
	}
	b.WriteString(explanation)
	for _, r := range rows {
		if len(r.failed) == 0 {
			continue
		}
		var names []string
		for _, name := range slices.Sorted(maps.Keys(r.failed)) {
			names = append(names, fmt.Sprintf("`%s` (%d)", name, r.failed[name]))
		}
		fmt.Fprintf(&b, "- %s, %s suite, %s: %s\n", r.leg.server.name, r.leg.suite.name, r.leg.revision, strings.Join(names, ", "))
	}
	if len(unsteady) > 0 {
		b.WriteString("\nA few scenarios are a matter of luck with the bare server. They count as identical when they pass on both sides, within\n100 attempts, and their checks are not counted:\n\n")
		for _, name := range slices.Sorted(maps.Keys(unsteady)) {
			fmt.Fprintf(&b, "- %s: %s\n", name, unsteady[name])
		}
	}
	return b.String()
}

// version is the version of a module that the servers are built from.
func version(t *testing.T, module string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(output))
}
