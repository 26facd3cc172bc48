package mcpauth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// inBandConfig answers calls of "soft" in band, and all others with 403.
func inBandConfig(last *mcpauth.Decision) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) {
		soft := mcpauth.Requirement{AllOf: []string{"mcp:admin"}, AnyOf: [][]string{{"a", "b"}}, InBand: true}
		rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"soft": soft, "echo": mcpauth.Scopes("mcp:read"), "hard": mcpauth.Scopes("mcp:admin"), "both_*": soft, "named_*": {AllOf: []string{"tool:{name}"}, InBand: true},
		}}
		// In Rules, InBand is for tools only; a policy of one's own may say it of anything.
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if call.Kind != mcpauth.KindTool {
				return soft, nil
			}
			return rules.Require(ctx, call)
		})
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { *last = d }
		allowApp(c)
	}
}

const inBandScopes = "mcp:admin a"

// inBandChallenge is the challenge for scopes as it stands inside JSON.
func inBandChallenge(scopes string) string {
	return `Bearer error=\"insufficient_scope\", scope=\"` + scopes + `\", resource_metadata=\"` + testMetadataURL + `\"`
}

// Item 7 of the issue: the whole answer, in both eras. CHAL-22 is the other one's.
func TestInBand_CHAL_07_PASS_10(t *testing.T) {
	var last mcpauth.Decision
	f := newFixture(t, inBandConfig(&last))
	legacyHeaders, modernEra := []string{app}, append(modernHeaders("tools/call", "soft"), app)
	for _, row := range []struct {
		name, body string
		headers    []string
		want       string
	}{
		{"legacy", legacyCall("soft"), legacyHeaders,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"insufficient scope"}],"isError":true,"_meta":{"mcp/www_authenticate":["` + inBandChallenge("mcp:read mcp:admin a") + `"]}}}`},
		{"modern", modernCall("soft"), modernEra,
			`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"insufficient scope"}],"isError":true,"_meta":{"mcp/www_authenticate":["` + inBandChallenge(inBandScopes) + `"]}}}`},
		{"an id of text", strings.Replace(modernCall("soft"), `"id":1`, `"id":"<\u0061>"`, 1), modernEra,
			`{"jsonrpc":"2.0","id":"<\u0061>","result":{"resultType":"complete","content":[{"type":"text","text":"insufficient scope"}],"isError":true,"_meta":{"mcp/www_authenticate":["` + inBandChallenge(inBandScopes) + `"]}}}`},
		{"a large id", strings.Replace(modernCall("soft"), `"id":1`, `"id":9007199254740991`, 1), modernEra,
			`{"jsonrpc":"2.0","id":9007199254740991,"result":{"resultType":"complete","content":[{"type":"text","text":"insufficient scope"}],"isError":true,"_meta":{"mcp/www_authenticate":["` + inBandChallenge(inBandScopes) + `"]}}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := f.post(f.token(nil), row.body, row.headers...)
			f.refused(w, http.StatusOK, "")
			assert.Equal(t, row.want, w.Body.String())
			assert.True(t, json.Valid(w.Body.Bytes()))
			assert.Equal(t, http.Header{
				"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(row.want))},
				"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Vary": {"Origin"},
				"Access-Control-Allow-Origin": {"https://app.example.com"}, "Access-Control-Expose-Headers": {exposed},
			}, w.Result().Header)
			require.NotNil(t, last.Err, "the operator sees a refusal")
			assert.Equal(t, http.StatusForbidden, last.Err.Status)
			assert.Equal(t, []string{"mcp:admin", "a"}, last.Err.Scopes)
			assert.Contains(t, f.log.String(), "status=403")
		})
	}
}

// Everything but one tool call that lacks scopes is answered as ever.
func TestNotInBand_CHAL_07(t *testing.T) {
	var last mcpauth.Decision
	f := newFixture(t, inBandConfig(&last))
	challenge := func(scopes string) string {
		return `Bearer error="insufficient_scope", scope="` + scopes + `", resource_metadata="` + testMetadataURL + `"`
	}
	const all = "mcp:read mcp:admin a"
	soft := legacyCall("soft")
	for _, row := range []struct {
		name, body, token string
		headers           []string
		status            int
		challenge         string
	}{
		{"a tool without InBand", legacyCall("hard"), f.token(nil), nil, 403, challenge("mcp:read mcp:admin")},
		{"a tool without a rule", legacyCall("none"), f.token(nil), nil, 403, ""},
		{"a notification has no result", strings.Replace(soft, `"id":1,`, "", 1), f.token(nil), nil, 403, challenge(all)},
		{"a prompt", `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"soft"}}`, f.token(nil), nil, 403, challenge(all)},
		{"a resource", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"db://soft"}}`, f.token(nil), nil, 403, challenge(all)},
		{"a list", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, f.token(nil), nil, 403, challenge(all)},
		{"a batch", `[` + soft + `]`, f.token(nil), nil, 200, ""},
		{"a batch of two", `[` + soft + `,` + strings.Replace(legacyCall("both_x"), `"id":1`, `"id":2`, 1) + `]`, f.token(nil), nil, 403, challenge(all)},
		{"a batch with another", `[` + soft + `,` + strings.Replace(legacyCall("hard"), `"id":1`, `"id":2`, 1) + `]`, f.token(nil), nil, 403, challenge(all)},
		{"no token", soft, "", nil, 401, bareChallenge},
		{"an expired token", soft, f.token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()}), nil, 401, invalidToken("token expired")},
		{"a name that fits no scope", legacyCall("named_a b"), f.token(nil), nil, 403, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "a batch" {
				row.status, row.challenge = 403, challenge(all) // its answer would have to be a batch
			}
			w := f.post(row.token, row.body, row.headers...)
			f.refused(w, row.status, row.challenge)
			assert.NotContains(t, w.Body.String(), "www_authenticate")
		})
	}
	f.served(f.legacyCall(f.token(mcpauthtest.Claims{"scope": "mcp:admin b"}), "soft"))
	f.served(f.call(f.token(mcpauthtest.Claims{"scope": "mcp:admin a"}), "soft"))
	f.refused(f.legacyCall(f.token(nil), "both_x"), http.StatusOK, "")
	w := f.legacyCall(f.token(nil), "named_x")
	f.refused(w, http.StatusOK, "")
	assert.Contains(t, w.Body.String(), `tool:named_x`)
}

// A result of a tool is the answer to a call of it, and not to a request about the task that it began.
func TestNotInBandOfTask_CHAL_07(t *testing.T) {
	b := newTaskBed(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if call.Kind == mcpauth.KindTool {
				return mcpauth.Requirement{AllOf: []string{"mcp:admin"}, InBand: true}, nil
			}
			return mcpauth.Requirement{AllOf: []string{"mcp:read"}, InBand: true}, nil
		})
	})
	b.begin(b.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"}), "soft", "t")
	b.refusedWhole(t, b.legacyTask(b.token(nil), "tasks/get", "t"), http.StatusForbidden, scopeChallenge("mcp:read mcp:admin"), scopeBody("1", "mcp:read mcp:admin"))
}
