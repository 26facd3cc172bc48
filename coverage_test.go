package mcpauth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
)

// TestCoverage_RELOAD_12: what no token can reach, and rules that are about nothing, each with its reason.
func TestCoverage_RELOAD_12(t *testing.T) {
	one := mcpauth.Scopes("a")
	need := func(names ...string) map[string]mcpauth.Requirement {
		all := map[string]mcpauth.Requirement{}
		for _, name := range names {
			all[name] = one
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		rules mcpauth.Rules
		has   mcpauth.Registered
		want  string // of Err
		by    string // the rules of the entries in order
	}{
		{"all fits", mcpauth.Rules{Tools: need("read", "ad*")}, mcpauth.Registered{Tools: []string{"read", "add"}}, "", `tools["ad*"] tools["read"]`},
		{"by *", mcpauth.Rules{Tools: need("*")}, mcpauth.Registered{Tools: []string{"read"}}, "", `tools["*"]`},
		{"nothing and nothing", mcpauth.Rules{}, mcpauth.Registered{}, "", ""},
		{"no rule", mcpauth.Rules{Tools: need("read")}, mcpauth.Registered{Tools: []string{"read", "write"}},
			`mcpauth: no token can reach tool "write": no rule is about it`, `tools["read"] -`},
		{"a prompt is no tool", mcpauth.Rules{Tools: need("read")}, mcpauth.Registered{Prompts: []string{"read"}},
			`mcpauth: no token can reach prompt "read": no rule is about it
mcpauth: the rule tools["read"] is about nothing that the server has: correct its name, or remove it`, "-"},
		{"one letter", mcpauth.Rules{Tools: need("querry_usage")}, mcpauth.Registered{Tools: []string{"query_usage"}},
			`mcpauth: no token can reach tool "query_usage": no rule is about it, but one nearly is: tools["querry_usage"]
mcpauth: the rule tools["querry_usage"] is about nothing that the server has: correct its name, or remove it`, "-"},
		{"another case", mcpauth.Rules{Tools: need("Read")}, mcpauth.Registered{Tools: []string{"read"}},
			`mcpauth: no token can reach tool "read": no rule is about it, but one nearly is: tools["Read"]
mcpauth: the rule tools["Read"] is about nothing that the server has: correct its name, or remove it`, "-"},
		{"all in another case", mcpauth.Rules{Tools: need("READ")}, mcpauth.Registered{Tools: []string{"read"}},
			`mcpauth: no token can reach tool "read": no rule is about it, but one nearly is: tools["READ"]
mcpauth: the rule tools["READ"] is about nothing that the server has: correct its name, or remove it`, "-"},
		{"nearly, but another is about it", mcpauth.Rules{Tools: need("read", "raed")}, mcpauth.Registered{Tools: []string{"read"}},
			`mcpauth: the rule tools["raed"] is about nothing that the server has: correct its name, or remove it`, `tools["read"]`},
		{"a template that only its own rule meets", mcpauth.Rules{Resources: need("db://{table}/rows")}, mcpauth.Registered{Templates: []string{"db://{name}/rows"}}, "",
			`resources["db://{table}/rows"]`},
		{"a pattern that another rule hides is about something", mcpauth.Rules{Tools: need("read", "re*")}, mcpauth.Registered{Tools: []string{"read"}}, "", `tools["read"]`},
		{"a pattern about nothing", mcpauth.Rules{Tools: need("read", "wr*")}, mcpauth.Registered{Tools: []string{"read"}},
			`mcpauth: the rule tools["wr*"] is about nothing that the server has: correct its name, or remove it`, `tools["read"]`},
		{"a name that is no scope", mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("tool:{name}")}}, mcpauth.Registered{Tools: []string{"a b", "c"}},
			`mcpauth: no token can reach tool "a b": its name makes no scope of the rule's {name}`, `tools["*"] tools["*"]`},
		{"resources", mcpauth.Rules{Resources: need("db://one", "db://{table}", "mail://*")},
			mcpauth.Registered{Resources: []string{"db://one", "log://two"}, Templates: []string{"db://{name}", "file:///{path}"}},
			`mcpauth: no token can reach resource "file:///{path}": no rule is about it
mcpauth: no token can reach resource "log://two": no rule is about it
mcpauth: the rule resources["mail://*"] is about nothing that the server has: correct its name, or remove it`,
			`resources["db://one"] resources["db://{table}"] - -`},
		{"prompts", mcpauth.Rules{Prompts: need("review", "sum-up")}, mcpauth.Registered{Prompts: []string{"review", "sum_up"}},
			`mcpauth: no token can reach prompt "sum_up": no rule is about it, but one nearly is: prompts["sum-up"]
mcpauth: the rule prompts["sum-up"] is about nothing that the server has: correct its name, or remove it`, `prompts["review"] -`},
	} {
		f := newFixture(t, func(c *mcpauth.Config) { c.Policy = tt.rules })
		got := f.auth.Coverage(tt.has)
		text := ""
		if err := got.Err(); err != nil {
			text = err.Error()
		}
		assert.Equal(t, tt.want, text, tt.name)
		var by []string
		for _, e := range got.Entries {
			if e.Rule == "" {
				e.Rule = "-"
			}
			by = append(by, e.Rule)
		}
		assert.Equal(t, tt.by, strings.Join(by, " "), tt.name)
		for _, e := range got.Entries { // what it says is what happens
			method := map[mcpauth.Kind]string{mcpauth.KindTool: "tools/call", mcpauth.KindPrompt: "prompts/get", mcpauth.KindResource: "resources/read"}[e.Kind]
			if strings.Contains(e.Name, "{") {
				method = "completion/complete"
			}
			err := f.auth.Authorize(t.Context(), &mcpauth.Principal{Subject: "ada"}, mcpauth.Call{Method: method, Kind: e.Kind, Name: e.Name})
			if e.Unreachable != "" {
				assert.ErrorIs(t, err, mcpauth.ErrForbidden, "%s: %s", tt.name, e.Name)
			} else {
				assert.ErrorIs(t, err, mcpauth.ErrInsufficientScope, "%s: %s", tt.name, e.Name)
			}
		}
	}
	code := newFixture(t, func(c *mcpauth.Config) { c.Policy = mcpauth.PolicyFunc(nobody) }).auth.Coverage(mcpauth.Registered{Tools: []string{"a"}})
	assert.Equal(t, mcpauth.Coverage{PolicyIsCode: true}, code)
	assert.NoError(t, code.Err())
	assert.Error(t, newFixture(t, func(c *mcpauth.Config) { c.Policy = nil }).auth.Coverage(mcpauth.Registered{Tools: []string{"a"}}).Err())
}
