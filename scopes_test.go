package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// tool is a call of a tool, as Authorize takes it.
func tool(name string) mcpauth.Call {
	return mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: name}
}

// holder is a principal with these scopes.
func holder(scopes ...string) *mcpauth.Principal { return &mcpauth.Principal{Scopes: scopes} }

// authorizer is a middleware that is asked directly.
func authorizer(t *testing.T, change func(*mcpauth.Config)) *mcpauth.Middleware {
	t.Helper()
	config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
	change(&config)
	auth, err := mcpauth.New(config)
	require.NoError(t, err)
	return auth
}

// refused asserts what Authorize said.
func refused(t *testing.T, err error, reason mcpauth.Reason, scopes ...string) *mcpauth.DeniedError {
	t.Helper()
	var denied *mcpauth.DeniedError
	require.ErrorAs(t, err, &denied)
	require.ErrorIs(t, err, reason)
	assert.Equal(t, scopes, denied.Scopes)
	return denied
}

func TestRequirementForms_MCP_44(t *testing.T) {
	both := mcpauth.Requirement{AllOf: []string{"a"}, AnyOf: [][]string{{"b", "c"}, {"d"}}}
	auth := authorizer(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"all": mcpauth.Scopes("a", "b"), "any": mcpauth.AnyScope("a", "b"), "both": both, "token": mcpauth.Authenticated(),
		}}
	})
	for _, row := range []struct {
		tool, granted string
		missing       string // "" if the call is allowed
	}{
		{"all", "a b", ""},
		{"all", "b x a", ""},
		{"all", "a", "a b"},
		{"all", "b", "a b"},
		{"all", "", "a b"},
		{"all", "A B", "a b"},
		{"all", "ab", "a b"},
		{"any", "a", ""},
		{"any", "b", ""},
		{"any", "c", "a"},
		{"any", "", "a"},
		{"both", "a b d", ""},
		{"both", "a c d", ""},
		{"both", "a c", "a c d"},
		{"both", "a d", "a b d"},
		{"both", "b d", "a b d"},
		{"both", "c", "a c d"},
		{"both", "", "a b d"},
		{"token", "", ""},
		{"token", "x", ""},
	} {
		t.Run(fmt.Sprintf("MCP-44 %s with %q", row.tool, row.granted), func(t *testing.T) {
			err := auth.Authorize(t.Context(), holder(strings.Fields(row.granted)...), tool(row.tool))
			if row.missing == "" {
				require.NoError(t, err)
				return
			}
			denied := refused(t, err, mcpauth.ErrInsufficientScope, strings.Fields(row.missing)...)
			assert.Equal(t, http.StatusForbidden, denied.Status)
			assert.Equal(t, "insufficient_scope", denied.Code)
		})
	}
}

func TestRequirementText_MCP_44(t *testing.T) {
	for want, r := range map[string]mcpauth.Requirement{
		"nobody":                       {},
		"any valid token":              mcpauth.Authenticated(),
		"a":                            mcpauth.Scopes("a"),
		"a and b":                      mcpauth.Scopes("a", "b"),
		"(a or b)":                     mcpauth.AnyScope("a", "b"),
		"a and (b or c) and (d or e)":  {AllOf: []string{"a"}, AnyOf: [][]string{{"b", "c"}, {"d", "e"}}},
		"a and b and (mcp:read or x)":  {AllOf: []string{"a", "b"}, AnyOf: [][]string{{"mcp:read", "x"}}},
		"a and (tool:{name}:run or x)": {AllOf: []string{"a"}, AnyOf: [][]string{{"tool:{name}:run", "x"}}},
	} {
		assert.Equal(t, want, r.String())
	}
}

// A refusal names the scopes of the whole operation, and of nothing else.
func TestWholeOperation_CHAL_07_CHAL_08(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Scopes = []string{"mcp:read", "start"}
		c.Implies = map[string][]string{"top": {"a"}}
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"t": mcpauth.Scopes("a", "b"), "other": mcpauth.Scopes("c"), "write": mcpauth.Scopes("mcp:write"),
			"any": {AllOf: []string{"b"}, AnyOf: [][]string{{"c", "d"}}}, "named": mcpauth.Scopes("tool:{name}:run"),
		}}
	})
	for _, row := range []struct{ id, tool, granted, modern, legacy string }{
		{"CHAL-07 one of two", "t", "a", "a b", "a b"},
		{"CHAL-07 the other of two", "t", "b", "a b", "b a"},
		{"CHAL-07 neither", "t", "", "a b", "a b"},
		{"CHAL-07 never the catalogue", "t", "c", "a b", "c a b"},
		{"CHAL-07 of alternatives the one that is held", "any", "d", "b d", "d b"},
		{"CHAL-07 of alternatives the first", "any", "a", "b c", "a b c"},
		{"CHAL-07 named after the tool", "named", "x", "tool:named:run", "tool:named:run"},
		{"CHAL-08 what was granted", "write", "mcp:read", "mcp:write", "mcp:read mcp:write"},
		{"CHAL-08 what was granted to begin with", "write", "start", "mcp:write", "start mcp:write"},
		{"CHAL-08 what was granted by a broader scope", "write", "top", "mcp:write", "top mcp:write"},
		{"CHAL-08 what was granted for a tool by name", "write", "tool:x:run tool::run", "mcp:write", "tool:x:run mcp:write"},
		{"CHAL-08 nothing that is none of our business", "write", "openid profile https://graph.example/all mcp:read", "mcp:write", "mcp:read mcp:write"},
		{"CHAL-08 nothing twice", "t", "b b a2 b", "a b", "b a"},
	} {
		t.Run(row.id, func(t *testing.T) {
			token := f.token(mcpauthtest.Claims{"scope": row.granted})
			w := f.call(token, row.tool)
			f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(row.modern), scopeBody("1", row.modern))
			for _, version := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
				w = f.post(token, legacyCall(row.tool), "MCP-Protocol-Version: "+version)
				f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(row.legacy), scopeBody("1", row.legacy))
			}
			w = f.post(token, legacyCall(row.tool))
			f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(row.legacy), scopeBody("1", row.legacy))
		})
	}
}

// Several calls are one operation: all or nothing, and one trip through
// consent. What no scope can open is never worth that trip.
func TestSeveralCalls_CHAL_07_CHAL_15(t *testing.T) {
	auth := authorizer(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"a": mcpauth.Scopes("a"), "b": mcpauth.Scopes("b", "a"), "c": mcpauth.Scopes("c"), "free": mcpauth.Authenticated(),
		}}
	})
	ctx := t.Context()
	require.NoError(t, auth.Authorize(ctx, holder("a", "b"), tool("a"), tool("b"), tool("free")))
	refused(t, auth.Authorize(ctx, holder("a"), tool("a"), tool("b"), tool("c")), mcpauth.ErrInsufficientScope, "a", "b", "c")
	refused(t, auth.Authorize(ctx, holder("c"), tool("free"), tool("c"), tool("b")), mcpauth.ErrInsufficientScope, "c", "b", "a")
	denied := refused(t, auth.Authorize(ctx, holder(), tool("a"), tool("unlisted")), mcpauth.ErrForbidden)
	assert.Empty(t, denied.Code)
	refused(t, auth.Authorize(ctx, holder("a"), tool("unlisted"), tool("b")), mcpauth.ErrForbidden)
	refused(t, auth.Authorize(ctx, holder("a")), mcpauth.ErrForbidden)
	refused(t, auth.Authorize(ctx, nil, tool("free")), mcpauth.ErrNoCredentials)
}

func TestIncurable_CHAL_15_MCP_40(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin * all"})
	for _, name := range []string{"unlisted", "Echo", "ECHO", "echo ", " echo", "echо" /* a Cyrillic letter */, "echo/", "ech", "echo2", "*", "{name}", "__proto__"} {
		w := f.post(token, legacyCall(name))
		f.refusedWhole(t, w, http.StatusForbidden, "", forbiddenBody)
	}
	f.refusedWhole(t, f.call(token, "unlisted"), http.StatusForbidden, "", forbiddenBody)
	assert.Contains(t, f.log.String(), `expected a rule in the policy`)
	// A policy that nobody wrote opens nothing.
	f = newFixture(t, func(c *mcpauth.Config) { c.Policy = nil })
	f.refusedWhole(t, f.call(f.token(nil), "echo"), http.StatusForbidden, "", forbiddenBody)
	f.servedIn(t, f.post(f.token(nil), modernBody("tools/list", ""), modernHeaders("tools/list", "")...))
}

// What a policy of the user's own can do: deny further. What it gets wrong is a
// server error, never a yes.
func TestOwnPolicy_CLAIM_12(t *testing.T) {
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read"), "admin_delete": mcpauth.Scopes("mcp:admin")}}
	const broken = `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"authorization failed"}}`
	type answer struct {
		id, name string
		policy   mcpauth.PolicyFunc
		status   int
		header   string
		body     string
	}
	bad := func(id string, policy mcpauth.PolicyFunc) answer {
		return answer{id, "echo", policy, http.StatusInternalServerError, "", broken}
	}
	returns := func(r mcpauth.Requirement) mcpauth.PolicyFunc {
		return func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { return r, nil }
	}
	for _, row := range []answer{
		{"CLAIM-12 a yes leaves the scope of the rule", "admin_delete", rules.Require, 403, adminChallenge, scopeBody("1", "mcp:admin")},
		{"CLAIM-12 a no beside a scope that is there", "echo", func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if p, ok := mcpauth.FromContext(ctx); !ok || p.Subject == "user-1" {
				return mcpauth.Requirement{}, nil
			}
			return rules.Require(ctx, call)
		}, 403, "", forbiddenBody},
		{"CLAIM-12 a no for an argument", "echo", func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			if string(call.Arguments) != `{"safe":true}` {
				return mcpauth.Requirement{}, nil
			}
			return rules.Require(ctx, call)
		}, 403, "", forbiddenBody},
		{"MCP-40 no rule", "unlisted", rules.Require, 403, "", forbiddenBody},
		{"MCP-44 the zero requirement", "echo", returns(mcpauth.Requirement{}), 403, "", forbiddenBody},
		{"MCP-44 lists that are empty", "echo", returns(mcpauth.Requirement{AllOf: []string{}, AnyOf: [][]string{}}), 403, "", forbiddenBody},
		bad("CLAIM-12 an error", func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Authenticated(), errors.New("canary: the database is on fire")
		}),
		bad("CLAIM-12 a panic", func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic("canary") }),
		bad("CLAIM-12 a panic after a yes", func(_ context.Context, call mcpauth.Call) (r mcpauth.Requirement, err error) {
			defer func() { r = mcpauth.Authenticated() }()
			none := []int{}
			none[len(call.Name)]++
			return r, nil
		}),
		bad("MCP-44 an empty any-of group", returns(mcpauth.AnyScope())),
		bad("MCP-44 an empty group beside scopes that are there", returns(mcpauth.Requirement{AllOf: []string{"mcp:read"}, AnyOf: [][]string{{}}})),
		bad("MCP-44 an empty scope", returns(mcpauth.Scopes(""))),
		bad("MCP-44 two scopes in one", returns(mcpauth.Scopes("mcp:read mcp:admin"))),
		bad("MCP-44 a scope with a quote", returns(mcpauth.AnyScope("mcp:read", `x" injected="`))),
		bad("MCP-44 a scope with a line break", returns(mcpauth.Scopes("mcp:read\r\nX: y"))),
		bad("MCP-44 a scope beyond ASCII", returns(mcpauth.Scopes("mcp:réad"))),
		bad("CLAIM-15 offline_access", returns(mcpauth.AnyScope("offline_access", "mcp:read"))),
		bad("MCP-44 rules with a mistake", mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": {}}}.Require),
	} {
		t.Run(row.id, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Policy = row.policy })
			w := f.call(f.token(nil), row.name)
			f.refusedWhole(t, w, row.status, row.header, row.body)
			assert.Equal(t, row.status == 500, strings.Contains(f.log.String(), "level=ERROR"), "%s", f.log)
		})
	}
	t.Run("CLAIM-12 the argument that is allowed", func(t *testing.T) {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.Policy = mcpauth.PolicyFunc(func(_ context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
				var arguments struct{ Table string }
				if err := json.Unmarshal(call.Arguments, &arguments); err != nil {
					return mcpauth.Requirement{}, err
				}
				return mcpauth.Scopes("table:" + arguments.Table), nil
			})
		})
		token := f.token(mcpauthtest.Claims{"scope": "table:a"})
		body := func(table string) string {
			return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"Table":"` + table + `"}}}`
		}
		f.servedIn(t, f.post(token, body("a")))
		f.refusedWhole(t, f.post(token, body("b")), 403, scopeChallenge("table:b"), scopeBody("1", "table:b"))
	})
}

// The scopes of sign-in say who somebody is, and nothing about tools.
func TestIdentityScopes_CLAIM_15(t *testing.T) {
	f := newFixture(t, nil)
	w := f.call(f.token(mcpauthtest.Claims{"scope": "openid profile email offline_access"}), "echo")
	f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge("mcp:read"), scopeBody("1", "mcp:read"))
	w = f.legacyCall(f.token(mcpauthtest.Claims{"scope": "openid offline_access"}), "echo")
	f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge("mcp:read"), scopeBody("1", "mcp:read"))

	config := testConfig(f.issuer)
	config.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("offline_access")}}
	_, err := mcpauth.New(config)
	assert.ErrorContains(t, err, "offline_access concerns the client and the authorization server only")

	f = newFixture(t, func(c *mcpauth.Config) { // written down, openid is a scope like any other
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("openid")}}
	})
	f.servedIn(t, f.call(f.token(mcpauthtest.Claims{"scope": "openid"}), "echo"))
}

func TestTenants_CLAIM_19(t *testing.T) {
	byClaim := newFixture(t, func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tid": {"t1", "t2"}} })
	byPolicy := newFixture(t, func(c *mcpauth.Config) {
		rules := c.Policy
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			var claims struct{ Tid string }
			if p, ok := mcpauth.FromContext(ctx); !ok || p.Claims(&claims) != nil || claims.Tid != "t1" {
				return mcpauth.Requirement{}, nil
			}
			return rules.Require(ctx, call)
		})
	})
	for _, row := range []struct {
		id     string
		tid    any
		served bool
	}{
		{"CLAIM-19 the tenant", "t1", true},
		{"CLAIM-19 absent", nil, false},
		{"CLAIM-19 another tenant", "evil", false},
		{"CLAIM-19 empty", "", false},
		{"CLAIM-19 null", json.RawMessage("null"), false},
		{"CLAIM-19 another case", "T1", false},
		{"CLAIM-19 a number", 1, false},
	} {
		t.Run(row.id, func(t *testing.T) {
			for name, f := range map[string]*fixture{"claim": byClaim, "policy": byPolicy} {
				w := f.call(f.token(mcpauthtest.Claims{"tid": row.tid}), "echo")
				switch {
				case row.served:
					f.servedIn(t, w)
				case name == "claim": // refused before the body was read
					f.refusedWhole(t, w, http.StatusForbidden, "", strings.Replace(forbiddenBody, `"id":1,`, "", 1))
				default:
					f.refusedWhole(t, w, http.StatusForbidden, "", forbiddenBody)
				}
			}
		})
	}
}

// Authorize is the same decision. A call that says nothing clear about what it
// is about is refused, whatever method stands in it.
func TestAuthorize_MCP_41_MCP_40(t *testing.T) {
	auth := authorizer(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:   map[string]mcpauth.Requirement{"echo": mcpauth.Authenticated()},
			Methods: map[string]mcpauth.Requirement{"tools/list": mcpauth.Scopes("list")},
		}
	})
	for _, row := range []struct {
		id    string
		call  mcpauth.Call
		wants mcpauth.Reason
	}{
		{"MCP-41 a tool", tool("echo"), ""},
		{"MCP-41 a handshake", mcpauth.Call{Method: "ping", Kind: mcpauth.KindMethod}, ""},
		{"MCP-41 a method", mcpauth.Call{Method: "prompts/list", Kind: mcpauth.KindMethod}, ""},
		{"MCP-41 a list with a rule", mcpauth.Call{Method: "tools/list", Kind: mcpauth.KindMethod}, mcpauth.ErrInsufficientScope},
		{"MCP-40 an unlisted tool", tool("admin_delete"), mcpauth.ErrForbidden},
		{"MCP-40 nothing at all", mcpauth.Call{}, mcpauth.ErrForbidden},
		{"MCP-40 a tool without its kind", mcpauth.Call{Method: "tools/call", Name: "echo"}, mcpauth.ErrForbidden},
		{"MCP-40 a tool as a method", mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindMethod, Name: "admin_delete"}, mcpauth.ErrForbidden},
		{"MCP-40 a prompt as a method", mcpauth.Call{Method: "prompts/get", Kind: mcpauth.KindMethod, Name: "echo"}, mcpauth.ErrForbidden},
		{"MCP-40 a resource as a method", mcpauth.Call{Method: "resources/read", Kind: mcpauth.KindMethod}, mcpauth.ErrForbidden},
		{"MCP-40 a completion of nothing", mcpauth.Call{Method: "completion/complete", Kind: mcpauth.KindMethod}, mcpauth.ErrForbidden},
		{"MCP-40 a kind that does not exist", mcpauth.Call{Method: "tools/list", Kind: "Tool", Name: "echo"}, mcpauth.ErrForbidden},
		{"MCP-40 a tool under the name of a handshake", mcpauth.Call{Method: "ping", Kind: mcpauth.KindTool, Name: "admin_delete"}, mcpauth.ErrForbidden},
		{"MCP-40 a handshake without its kind", mcpauth.Call{Method: "initialize"}, mcpauth.ErrForbidden},
	} {
		t.Run(row.id, func(t *testing.T) {
			err := auth.Authorize(t.Context(), holder("x"), row.call)
			if row.wants == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, row.wants)
		})
	}
}

// The call is where a right is enforced: that a list shows a tool, or hides
// it, changes nothing.
func TestEnforcedOnTheCall_MCP_41(t *testing.T) {
	for name, listed := range map[string]string{
		"MCP-41 shown":  `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"},{"name":"admin_delete"}]}}`,
		"MCP-41 hidden": `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.inner = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(listed)) }
			w := f.post(f.token(nil), modernBody("tools/list", ""), modernHeaders("tools/list", "")...)
			f.servedIn(t, w)
			f.refusedWhole(t, f.call(f.token(nil), "admin_delete"), http.StatusForbidden, adminChallenge, scopeBody("1", "mcp:admin"))
		})
	}
}

func TestEchoedIDs_CHAL_22(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, id := range []string{
		`1`, `-7`, `0`, `9007199254740991`, `""`, `"a"`, `"\u0000"`, `"<script>alert(1)</script>"`, `"\"}],\"x\":\""`, `"\u2028é"`, `"` + strings.Repeat("i", 256) + `"`,
	} {
		w := f.post(token, strings.Replace(legacyCall("unlisted"), `"id":1`, `"id": `+id+` `, 1))
		f.refusedWhole(t, w, http.StatusForbidden, "", strings.Replace(forbiddenBody, `"id":1`, `"id":`+id, 1))
	}
}

// TestRefusalNames_MCP_40_CHAL_07: the operator is told what a refused call is about: of several that lack scopes the first, and what may have been
// meant by a name that has no rule.
func TestRefusalNames_MCP_40_CHAL_07(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:   requirements{"a": mcpauth.Scopes("a"), "b": mcpauth.Scopes("b"), "Query_Usage": mcpauth.Authenticated()},
			Prompts: requirements{"Sum-Up": mcpauth.Authenticated()},
			Methods: requirements{"tools/list": mcpauth.Scopes("list")},
		}
	})
	for body, want := range map[string]string{
		batchBody(batchCall(1, "a"), batchCall(2, "b")):      `tool \"a\"`,
		batchRequest(1, "tools/list", ""):                    `method \"tools/list\"`,
		batchRequest(1, "tasks/list", ""):                    `method \"tasks/list\" has no rule`,
		batchCall(1, "query-usage"):                          `tool \"query-usage\" has no rule, \"Query_Usage\" has`,
		batchRequest(1, "prompts/get", `"name":"sum-up"`):    `prompt \"sum-up\" has no rule, \"Sum-Up\" has`,
		batchRequest(1, "prompts/get", `"name":"something"`): `prompt \"something\" has no rule`,
	} {
		f.log.Reset()
		f.post(f.token(nil), body)
		assert.Contains(t, f.log.String(), want, body)
	}
}
