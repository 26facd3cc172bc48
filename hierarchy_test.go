package mcpauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func withHierarchy(c *mcpauth.Config) {
	c.Implies = map[string][]string{
		"mcp:admin": {"mcp:write", "audit"}, "mcp:write": {"mcp:read"}, "root": {"mcp:admin"}, "other": {"mcp:read"},
	}
	c.Policy = mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{
			"echo": mcpauth.Scopes("mcp:read"), "edit": mcpauth.Scopes("mcp:write"), "admin": mcpauth.Scopes("mcp:admin"),
			"any": mcpauth.AnyScope("x", "mcp:read"), "both": mcpauth.Scopes("mcp:read", "y"),
		},
		Methods: map[string]mcpauth.Requirement{"tools/list": mcpauth.Scopes("mcp:read")},
	}
}

func TestHierarchy_CLAIM_10(t *testing.T) {
	f := newFixture(t, withHierarchy)
	for _, row := range []struct{ granted, tool, missing string }{
		{"mcp:read", "echo", ""},
		{"mcp:write", "echo", ""},
		{"mcp:admin", "echo", ""},
		{"root", "echo", ""}, // three steps
		{"other", "echo", ""},
		{"mcp:write", "edit", ""},
		{"root", "edit", ""},
		{"root", "admin", ""},
		{"mcp:admin", "any", ""},
		{"root y", "both", ""},
		// Never the other way round, nor through a common narrower scope.
		{"mcp:read", "edit", "mcp:write"},
		{"mcp:write", "admin", "mcp:admin"},
		{"other", "edit", "mcp:write"},
		{"audit", "echo", "mcp:read"},
		{"mcp:admin2", "echo", "mcp:read"},
		{"MCP:ADMIN", "echo", "mcp:read"},
		{"mcp:*", "echo", "mcp:read"},
		// A challenge asks for what the rule says, not for what would do as well.
		{"unrelated", "echo", "mcp:read"},
		{"root", "both", "mcp:read y"},
		{"audit", "any", "x"},
	} {
		t.Run(fmt.Sprintf("CLAIM-10 %s calls %s", row.granted, row.tool), func(t *testing.T) {
			w := f.call(f.token(mcpauthtest.Claims{"scope": row.granted}), row.tool)
			if row.missing == "" {
				f.servedIn(t, w)
				return
			}
			f.refusedWhole(t, w, http.StatusForbidden, scopeChallenge(row.missing), scopeBody("1", row.missing))
		})
	}
	t.Run("CLAIM-10 a list", func(t *testing.T) {
		f.servedIn(t, f.post(f.token(mcpauthtest.Claims{"scope": "root"}), modernBody("tools/list", ""), modernHeaders("tools/list", "")...))
	})
	t.Run("CLAIM-10 the handler sees the token's own scopes", func(t *testing.T) {
		f.servedIn(t, f.call(f.token(mcpauthtest.Claims{"scope": "root"}), "echo"))
		p, ok := mcpauth.FromContext(f.last.Context())
		require.True(t, ok)
		assert.Equal(t, []string{"root"}, p.Scopes)
		assert.False(t, p.HasScope("mcp:read"))
	})
}

func TestHierarchyMistakes_CLAIM_10(t *testing.T) {
	long := map[string][]string{}
	for i := range 50 {
		long[fmt.Sprintf("s%02d", i)] = []string{fmt.Sprintf("s%02d", (i+1)%50)}
	}
	for name, row := range map[string]struct {
		implies map[string][]string
		value   string
		reason  string
	}{
		"CLAIM-10 itself":              {map[string][]string{"a": {"a"}}, `"a"`, "a scope includes itself: break the cycle"},
		"CLAIM-10 two":                 {map[string][]string{"b": {"a"}, "a": {"b"}}, `"a"`, `a scope includes itself, by way of "b": break the cycle`},
		"CLAIM-10 a ring of fifty":     {long, `"s00"`, `a scope includes itself, by way of "s01", "s02", "s03", "s04", "s05" and 44 more: break the cycle`},
		"CLAIM-10 behind an entrance":  {map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}, `"b"`, `a scope includes itself, by way of "c": break the cycle`},
		"CLAIM-10 a way round":         {map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": {"b", "d"}, "d": {"a"}}, `"a"`, `a scope includes itself, by way of "c", "d": break the cycle`},
		"CLAIM-10 by an empty name":    {map[string][]string{"a": {""}, "": {"b"}, "b": {"c"}, "c": {"b", "a"}}, `""`, "is not a scope"},
		"CLAIM-10 no scope":            {map[string][]string{"a b": {"c"}}, `"a b"`, "is not a scope"},
		"CLAIM-10 no scope on the end": {map[string][]string{"a": {"b", `"`}}, `"\""`, "is not a scope"},
		"CLAIM-15 offline_access":      {map[string][]string{"a": {"offline_access"}}, `"offline_access"`, "offline_access concerns"},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
			config.Implies = row.implies
			_, err := mcpauth.New(config)
			var wrong *mcpauth.ConfigError
			require.True(t, errors.As(err, &wrong), "%v", err)
			assert.True(t, strings.HasPrefix(wrong.Field, "Implies"), wrong.Field)
			assert.Equal(t, row.value, wrong.Value)
			assert.Contains(t, wrong.Reason, row.reason)
		})
	}
}

// A hierarchy that is wide, deep and full of diamonds is decided like its
// definition says: by the way from what is held to what is asked.
func TestHierarchyByDefinition_CLAIM_10(t *testing.T) {
	implies := map[string][]string{}
	for i := range 12 {
		for j := i + 1; j < 12; j++ {
			if (i*7+j*3)%4 == 0 {
				from := fmt.Sprintf("s%d", i)
				implies[from] = append(implies[from], fmt.Sprintf("s%d", j))
			}
		}
	}
	rules := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("{name}")}}
	auth := authorizer(t, func(c *mcpauth.Config) { c.Implies, c.Policy = implies, rules })
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return from == to || slices.ContainsFunc(implies[from], func(next string) bool { return reaches(next, to) })
	}
	allowed := 0
	for i := range 12 {
		for j := range 12 {
			from, to := fmt.Sprintf("s%d", i), fmt.Sprintf("s%d", j)
			err := auth.Authorize(t.Context(), holder(from), tool(to))
			assert.Equal(t, reaches(from, to), err == nil, "%s -> %s", from, to)
			if err == nil {
				allowed++
			} else {
				refused(t, err, mcpauth.ErrInsufficientScope, to)
			}
		}
	}
	assert.Greater(t, allowed, 20)
}
