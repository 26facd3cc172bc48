package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/faults"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// What a user with this trouble would say beyond resource, file and token.
var furtherFlags = map[string][]string{
	"a browser application's origin is not listed": {"--origin", "https://inspector.example.com"},
	"the user has not consented to the scope":      {"--tool", "admin_delete"},
	"the tool is not in the policy":                {"--tool", "admin-delete"},
}

// How the client's configuration holds the token, where that is the mistake.
var tokenForms = map[string]string{
	"the word Bearer is sent twice": "Bearer TOKEN",
	"the token is sent in quotes":   `"TOKEN"`,
}

// beyond are faults that no look from outside with a token can tell: they lie
// in requests that other programs send, or within the server.
var beyond = map[string]string{
	"the client sends another scheme":                 "lies in the client",
	"the client's token is empty":                     "lies in the client",
	"a page in a sandboxed frame calls":               "lies in the page",
	"a client of 2026-07-28 calls a method of before": "lies in the client",
	"the token stands in the query":                   "lies in the client",
	"the body is not announced as JSON":               "lies in the client",
	"a proxy rewrites the MCP headers":                "lies in the client's requests",
	"replicas do not share a session key":             "needs two replicas and a session",
	"the body is too large":                           "lies in the client",
	"the store that replicas share cannot be reached": "needs a task",
	"the session key is a buffer of zeros":            "is a secret of the server",

	"no policy is set":                          "the server here lists nothing in any case; New warns",
	"a scope is advertised that no rule needs":  "works; New warns, and mcpauth policy",
	"a rule spells a scope with another letter": "is a scope that the token lacks; New warns, and mcpauth policy",

	"the client sends a bound token as a bearer token":                "lies in the client: the doctor says that the token is bound",
	"a proxy drops the DPoP header":                                   "lies in the client's requests",
	"the client makes proofs for the address behind the proxy":        "lies in the client's requests",
	"the client's clock is ten minutes behind, and so are its proofs": "lies in the client",
	"the client uses one proof for several requests":                  "lies in the client",
	"the client makes its proofs for another method":                  "lies in the client",
	"the client has made a new key and kept the token":                "lies in the client",
	"nonces are needed, and the client does not know them":            "lies in the client",

	"the keys were rotated during an outage of the key set": "only the running server has the keys of before",
}

// What only the server's own log can mention, beside the cause.
var serverOnly = []string{"last fetched", "k1", "connection refused", "no rows"}

// TestDoctorGolden_OBS_08 runs the doctor over each fault that users report. The
// golden file says of each what the doctor names; doctor.tsv, of which
// docs/troubleshooting.md is made, whether that is right.
func TestDoctorGolden_OBS_08(t *testing.T) {
	all := faults.All()
	lines, results := make([]string, len(all)), make([]string, len(all))
	t.Run("faults", func(t *testing.T) {
		for i, fault := range all {
			t.Run(fault.Name, func(t *testing.T) {
				t.Parallel()
				named, causes := diagnose(t, fault)
				results[i] = fault.Name + "\t" + named + "\n"
				lines[i] = fmt.Sprintf("%-4s %s\n     is %s, named %s\n", named, fault.Name, orNone(fault.Cause), orNone(strings.Join(causes, ", ")))
			})
		}
	})
	if t.Failed() {
		return
	}
	right := strings.Count(strings.Join(results, ""), "\tyes\n")
	summary := fmt.Sprintf("\n%d of %d named, with the fix\n", right, len(all))
	golden(t, "testdata/doctor.golden", strings.Join(lines, "")+summary)
	golden(t, "../../internal/faults/doctor.tsv", strings.Join(results, ""))
	for i, fault := range all {
		_, excused := beyond[fault.Name]
		assert.NotEqual(t, excused, strings.HasSuffix(results[i], "\tyes\n"), "%s", results[i])
	}
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// diagnose sets a fault up, runs the doctor and says whether it named the cause
// and a fix, and everything that the fault must mention.
func diagnose(t *testing.T, fault faults.Fault) (named string, causes []string) {
	scene := fault.Setup(t)
	resource := scene.Resource
	if _, err := scene.Serve(nil); err != nil {
		resource = "http://127.0.0.1:1/mcp" // what refuses its configuration does not run
	}
	args := []string{"doctor", "--json", "--resource", resource, "--policy", writeConfig(t, scene.Config)}
	stdin := ""
	if scene.Token != "" {
		args = append(args, "--token", "-")
		stdin = scene.Token
		if form := tokenForms[fault.Name]; form != "" {
			stdin = strings.Replace(form, "TOKEN", scene.Token, 1)
		}
	}
	args = append(args, furtherFlags[fault.Name]...)
	var out, errs bytes.Buffer
	code := run(t.Context(), args, environment{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	for part := range strings.SplitSeq(scene.Token, ".") {
		if len(part) > 8 {
			assert.NotContains(t, out.String()+errs.String(), part, "a part of the token is printed")
		}
	}
	var report findings
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), "%s%s", out.String(), errs.String())
	require.Equal(t, report.Faults > 0, code != exitOK)

	text := ""
	fixed := false
	for _, s := range report.Steps {
		if s.State == stateFault {
			causes = append(causes, s.Cause)
			text += s.Title + " " + s.Detail + "\n"
			fixed = fixed || s.Cause == fault.Cause && s.Fix != ""
		}
	}
	if fault.Cause == "" {
		fixed = len(causes) == 0
	}
	for _, mention := range fault.Mentions {
		mention = strings.ReplaceAll(scene.Expand(mention), `\"`, `"`)
		if fixed && !slices.Contains(serverOnly, mention) && !strings.Contains(text, mention) {
			t.Logf("%s: does not mention %s:\n%s", fault.Name, mention, text)
			fixed = false
		}
	}
	if fixed {
		return "yes", causes
	}
	return "no", causes
}

// writeConfig writes what the operator's program has as a file for --policy.
func writeConfig(t *testing.T, c mcpauth.Config) string {
	t.Helper()
	all := map[string]any{"resource": c.Resource, "scopes": c.Scopes}
	if rules, ok := c.Policy.(mcpauth.Rules); ok { // what is code cannot be written down
		tools := map[string]any{}
		for name, requirement := range rules.Tools {
			tools[name] = requirement.AllOf
		}
		resources := map[string]any{}
		for uri, requirement := range rules.Resources {
			resources[uri] = requirement.AllOf
		}
		all["rules"] = map[string]any{"tools": tools, "resources": resources}
	}
	issuers := make([]map[string]any, len(c.Issuers))
	for i, one := range c.Issuers {
		issuers[i] = map[string]any{"url": one.URL, "audiences": one.Audiences, "algorithms": one.Algorithms, "token_types": one.TokenTypes,
			"require_claims": one.RequireClaims, "claims": map[string]any{"scopes": one.Claims.Scopes}, "max_lifetime": one.MaxLifetime.String(),
			"introspect": introspectionInFile(t, one.Introspect), "dpop": []string{"off", "accepted", "required"}[one.DPoP]}
	}
	all["issuers"] = issuers
	content, err := json.Marshal(all)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "mcpauth.json")
	require.NoError(t, os.WriteFile(name, content, 0o600))
	return name
}

// introspectionInFile writes down how an issuer is asked, and puts the secret into the environment.
func introspectionInFile(t *testing.T, how *mcpauth.Introspection) map[string]any {
	t.Helper()
	if how == nil {
		return nil
	}
	header := http.Header{}
	require.NoError(t, how.Client.Apply(t.Context(), clientauth.Endpoint{}, header, nil))
	id, secret, _ := (&http.Request{Header: header}).BasicAuth()
	variable := "MCPAUTH_TEST_" + rand.Text() // tests run side by side
	require.NoError(t, os.Setenv(variable, secret))
	t.Cleanup(func() { _ = os.Unsetenv(variable) })
	return map[string]any{"endpoint": how.Endpoint, "client": map[string]any{"id": id, "secret": map[string]any{"env": variable}}, "prefix": how.Prefix, "jwts": how.JWTs}
}

// golden compares a text with a file, or writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got, "run make golden")
}
