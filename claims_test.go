package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// TestScopes is about what the scope claims of a token grant.
func TestScopes(t *testing.T) {
	union := func(i *mcpauth.Issuer) { i.Claims.Union = true }
	paths := func(paths ...string) func(*mcpauth.Issuer) {
		return func(i *mcpauth.Issuer) { i.Claims.Scopes = paths }
	}
	type claims = mcpauthtest.Claims
	tests := []struct {
		name   string
		issuer func(*mcpauth.Issuer)
		claims claims
		want   []string
	}{
		{"CLAIM-01 two", nil, claims{"scope": "a b"}, []string{"a", "b"}},
		{"CLAIM-01 two spaces and a tab", nil, claims{"scope": "a  b\tc"}, []string{"a"}},
		{"CLAIM-01 newline", nil, claims{"scope": "a\nb c"}, []string{"c"}},
		{"CLAIM-01 no-break space", nil, claims{"scope": "a\u00a0b c"}, []string{"c"}},
		{"CLAIM-01 quote and backslash", nil, claims{"scope": `a"b c\d e`}, []string{"e"}},
		{"CLAIM-01 spaces around", nil, claims{"scope": " a "}, []string{"a"}},
		{"CLAIM-01 nothing but spaces", nil, claims{"scope": "   "}, nil},
		{"CLAIM-01 commas do not divide", nil, claims{"scope": "a,b"}, []string{"a,b"}},
		{"CLAIM-01 empty", nil, claims{"scope": ""}, nil},
		{"CLAIM-02 scp string", nil, claims{"scope": nil, "scp": "mcp:read x"}, []string{"mcp:read", "x"}},
		{"CLAIM-02 scp array", nil, claims{"scope": nil, "scp": []string{"mcp:read"}}, []string{"mcp:read"}},
		{"CLAIM-02 scope array", nil, claims{"scope": []string{"mcp:read", "x"}}, []string{"mcp:read", "x"}},
		{"CLAIM-03 a member with a space", nil, claims{"scope": []string{"mcp:read mcp:admin"}}, nil},
		{"CLAIM-03 beside a good one", nil, claims{"scope": []string{"mcp:read mcp:admin", "x"}}, []string{"x"}},
		{"CLAIM-04 first", nil, claims{"scope": "a", "scp": []string{"b"}}, []string{"a"}},
		{"CLAIM-04 first, though it is empty", nil, claims{"scope": "", "scp": []string{"b"}}, nil},
		{"CLAIM-04 first, though it is null", nil, claims{"scope": rawJSON("null"), "scp": []string{"b"}}, nil},
		{"CLAIM-04 union", union, claims{"scope": "a", "scp": []string{"b", "a"}}, []string{"a", "b"}},
		{"CLAIM-04 union, one absent", union, claims{"scope": nil, "scp": "b"}, []string{"b"}},
		{"CLAIM-04 another order", paths("scp", "scope"), claims{"scope": "a", "scp": "b"}, []string{"b"}},
		{"CLAIM-04 another claim alone", paths("permissions"), claims{"scope": "a", "permissions": []string{"p"}}, []string{"p"}},
		{"CLAIM-05 absent", nil, claims{"scope": nil}, nil},
		{"CLAIM-05 null", nil, claims{"scope": rawJSON("null")}, nil},
		{"CLAIM-05 object", nil, claims{"scope": map[string]any{"mcp:read": true}}, nil},
		{"CLAIM-05 number", nil, claims{"scope": 1}, nil},
		{"CLAIM-05 true", nil, claims{"scope": true}, nil},
		{"CLAIM-05 array with a number", nil, claims{"scope": []any{"mcp:read", 1}}, nil},
		{"CLAIM-05 array in an array", nil, claims{"scope": []any{[]string{"mcp:read"}}}, nil},
		{"CLAIM-06 permissions by default", nil, claims{"scope": nil, "permissions": []string{"mcp:admin"}}, nil},
		{"CLAIM-06 permissions mapped", paths("permissions"), claims{"scope": nil, "permissions": []string{"mcp:admin"}}, []string{"mcp:admin"}},
		{"CLAIM-13 256 scopes", nil, claims{"scope": numbered("s", 256)}, numbered("s", 256)},
		{"CLAIM-13 256 scopes, each twice", nil, claims{"scope": append(numbered("s", 256), numbered("s", 256)...)}, numbered("s", 256)},
		{"CLAIM-13 a scope of 256 bytes", nil, claims{"scope": strings.Repeat("s", 256)}, []string{strings.Repeat("s", 256)}},
		{"CLAIM-14 a name with slashes", paths(`"https://x.example/claims/scope"`), claims{"scope": nil, "https://x.example/claims/scope": "a"}, []string{"a"}},
		{"CLAIM-14 a name with dots is not nested", paths(`"a.b"`), claims{"a.b": "right", "a": map[string]string{"b": "wrong"}}, []string{"right"}},
		{"CLAIM-14 nested is not a name with dots", paths(`a.b`), claims{"a.b": "wrong", "a": map[string]string{"b": "right"}}, []string{"right"}},
		{"CLAIM-14 a quoted name and a plain one", paths(`"https://x.example/claims".auth.scope`),
			claims{"https://x.example/claims": map[string]any{"auth": map[string]string{"scope": "a"}}}, []string{"a"}},
		{"CLAIM-14 through a string", paths("a.b"), claims{"a": "b"}, nil},
		{"CLAIM-14 through an array", paths("a.b"), claims{"a": []any{map[string]string{"b": "x"}}}, nil},
		{"CLAIM-14 an index is no name", paths("a.0"), claims{"a": []string{"x"}}, nil},
		{"CLAIM-14 the case of a name counts", paths("a.b"), claims{"A": map[string]string{"b": "x"}, "a": map[string]string{"B": "x"}}, nil},
		{"CLAIM-14 the second path", paths("a.b", "c"), claims{"a": map[string]string{}, "c": "x"}, []string{"x"}},
		{"CLAIM-18 duplicates", nil, claims{"scope": "a a b a"}, []string{"a", "b"}},
		{"CLAIM-18 duplicates in an array", nil, claims{"scope": []string{"b", "a", "b"}}, []string{"b", "a"}},
		{"TOK-24 SCOPE", nil, claims{"scope": nil, "SCOPE": "a", "\u017fcope": "a", "Scp": "a"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := verified(t, test.issuer, usual(test.claims))
			require.NoError(t, err)
			assert.Equal(t, test.want, p.Scopes)
			assert.Equal(t, len(test.want) > 0 && test.want[0] == "mcp:read", p.HasScope("mcp:read"))
			assert.False(t, p.HasScope(""))
		})
	}
}

// TestEscapedClaims: names and values are compared after decoding.
func TestEscapedClaims_TOK_66(t *testing.T) {
	p, err := verified(t, nil, func(f *fixture) string {
		return f.issuer.Sign(`{"alg":"RS256","kid":"k1"}`, `{"i\u0073s":"https:\u002f\u002Fas.example.com\/tenant1","aud":["https:\/\/mcp.example.com/mcp"],"ex\u0070":9000000000,`+
			`"s\u0075b":"\ud83d\ude00","scop\u0065":"mcp\u003aread"}`)
	})
	require.NoError(t, err)
	assert.Equal(t, "😀", p.Subject)
	assert.Equal(t, []string{"mcp:read"}, p.Scopes)
	assert.Equal(t, testIssuerURL, p.Issuer)
}

func TestRoles_CLAIM_06_CLAIM_07(t *testing.T) {
	mapped := func(paths ...string) func(*mcpauth.Issuer) {
		return func(i *mcpauth.Issuer) {
			i.Claims.Roles = paths
			i.Claims.RoleScopes = map[string][]string{"mcp-admin": {"mcp:admin", "mcp:read"}, "mcp-reader": {"mcp:read"}, "roles": {"wrong:path"}}
		}
	}
	type claims = mcpauthtest.Claims
	roles := func(roles ...string) map[string]any { return map[string]any{"roles": roles} }
	tests := []struct {
		name   string
		issuer func(*mcpauth.Issuer)
		claims claims
		want   []string
	}{
		{"CLAIM-07 not mapped", nil, claims{"realm_access": roles("mcp-admin"), "roles": []string{"mcp-admin"}, "groups": []string{"mcp-admin"}, "entitlements": "mcp:admin"}, nil},
		{"CLAIM-07 nested", mapped("realm_access.roles"), claims{"realm_access": roles("offline_access", "mcp-admin")}, []string{"mcp:admin", "mcp:read"}},
		{"CLAIM-07 of a client", mapped("resource_access.mcp-server.roles"),
			claims{"resource_access": map[string]any{"mcp-server": roles("mcp-reader"), "other": roles("mcp-admin")}}, []string{"mcp:read"}},
		{"CLAIM-07 of a client whose name has a dot", mapped(`resource_access."mcp.server".roles`),
			claims{"resource_access": map[string]any{"mcp.server": roles("mcp-reader"), "mcp": map[string]any{"server": roles("mcp-admin")}}}, []string{"mcp:read"}},
		{"CLAIM-07 no wildcard", mapped("resource_access.*.roles"), claims{"resource_access": map[string]any{"other": roles("mcp-admin")}}, nil},
		{"CLAIM-07 several claims add up", mapped("groups", "realm_access.roles"), claims{"groups": []string{"mcp-reader"}, "realm_access": roles("mcp-admin")}, []string{"mcp:read", "mcp:admin"}},
		{"CLAIM-07 an object", mapped(`"urn:zitadel:iam:org:project:roles"`), claims{"urn:zitadel:iam:org:project:roles": map[string]any{"mcp-reader": map[string]string{"1": "x"}}}, []string{"mcp:read"}},
		{"CLAIM-07 an object's values are no roles", mapped("r"), claims{"r": map[string]any{"x": "mcp-admin"}}, nil},
		{"CLAIM-07 a string is one role", mapped("role"), claims{"role": "mcp-reader"}, []string{"mcp:read"}},
		{"CLAIM-07 a string is not split", mapped("role"), claims{"role": "mcp-reader mcp-admin"}, nil},
		{"CLAIM-07 a role that is not listed", mapped("role"), claims{"role": []string{"admin", "MCP-ADMIN", "mcp:admin"}}, nil},
		{"CLAIM-07 a role with an escape", mapped("role"), claims{"role": rawJSON(`["mcp-r\u0065ader"]`)}, []string{"mcp:read"}},
		{"CLAIM-07 a number among the roles", mapped("role"), claims{"role": []any{"mcp-admin", 1}}, nil},
		{"CLAIM-07 null", mapped("role"), claims{"role": rawJSON("null")}, nil},
		{"CLAIM-07 a path one step short", mapped("realm_access"), claims{"realm_access": roles("mcp-admin")}, []string{"wrong:path"}},
		{"CLAIM-07 roles beside scopes", mapped("role"), claims{"scope": "x", "role": "mcp-reader"}, []string{"x", "mcp:read"}},
		{"CLAIM-07 the scope claim as roles", mapped("scope"), claims{"scope": "mcp-reader"}, []string{"mcp-reader", "mcp:read"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, given := test.claims["scope"]; !given {
				test.claims["scope"] = nil
			}
			p, err := verified(t, test.issuer, usual(test.claims))
			require.NoError(t, err)
			assert.Equal(t, test.want, p.Scopes)
		})
	}
	full := make([]string, 256)
	copy(full, numbered("s", 256))
	_, err := verified(t, mapped("role"), usual(claims{"scope": strings.Join(full, " "), "role": "mcp-admin"}))
	assert.ErrorIs(t, err, tooComplex, "CLAIM-13: roles count too")
}

func TestClaimPaths_CLAIM_14(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	for path, good := range map[string]bool{
		"scope": true, "a.b.c": true, `"a.b"`: true, `"https://x.example/roles"`: true, `a."b.c".d`: true, `a."b/c"`: true, "cognito:groups": true, "urn:x:y": true, " ": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, `"`: false, `"a`: false, `""`: false, `"a"b`: false, `"a".`: false, `a"b`: false, `a"b"`: false, "a/b": false,
		"https://x.example/roles": false, `a."".b`: false,
	} {
		for field, set := range map[string]func(*mcpauth.Issuer){
			"Claims.Scopes[0]": func(i *mcpauth.Issuer) { i.Claims.Scopes = []string{path} },
			"Claims.Roles[0]": func(i *mcpauth.Issuer) {
				i.Claims.Roles, i.Claims.RoleScopes = []string{path}, map[string][]string{"r": {"s"}}
			},
			"Claims.ClientID": func(i *mcpauth.Issuer) { i.Claims.ClientID = path },
			"Claims.Audience": func(i *mcpauth.Issuer) { i.Claims.Audience = path },
			"RequireClaims":   func(i *mcpauth.Issuer) { i.RequireClaims = map[string][]string{path: {"x"}} },
		} {
			if path == "" && (field == "Claims.ClientID" || field == "Claims.Audience") {
				continue // there the empty path stands for the default
			}
			config := testConfig(issuer)
			set(&config.Issuers[0])
			_, err := mcpauth.New(config)
			if good {
				assert.NoError(t, err, "%s = %s", field, path)
			} else {
				assert.ErrorContains(t, err, "Config.Issuers[0]."+field, "%s", path)
			}
		}
	}
}

// TestScopesDecide: through the whole middleware, what is no scope of the
// policy opens nothing.
func TestScopesDecide(t *testing.T) {
	readChallenge := `Bearer error="insufficient_scope", scope="mcp:read", resource_metadata="` + testMetadataURL + `"`
	f := newFixture(t, nil)
	for name, scope := range map[string]any{
		"CLAIM-03 one member": []string{"mcp:read mcp:admin"}, "CLAIM-05 null": rawJSON("null"), "CLAIM-05 object": map[string]any{}, "CLAIM-05 absent": nil,
		"CLAIM-09 capitals": "MCP:READ", "CLAIM-09 a longer one": "mcp:reads", "CLAIM-09 a shorter one": "mcp:rea",
		"CLAIM-11 star": "*", "CLAIM-11 star behind": "mcp:*", "CLAIM-11 all": "all", "CLAIM-11 star in front": "*:read", "CLAIM-11 dots": "mcp.read",
		"CLAIM-15 OpenID": "openid offline_access profile email", "CLAIM-06 empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			f.tb = t
			w := f.call(f.token(mcpauthtest.Claims{"scope": scope, "permissions": []string{"mcp:read"}, "roles": []string{"mcp:read"}}), "echo")
			f.refused(w, http.StatusForbidden, readChallenge)
		})
	}
}

// TestNarrowToken: fewer scopes than the metadata advertises are no mistake.
func TestNarrowToken_CLAIM_17(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.Scopes = []string{"mcp:read", "mcp:admin"} })
	f.served(f.call(f.token(nil), "echo"))
	f.refused(f.call(f.token(nil), "admin_delete"), http.StatusForbidden, adminChallenge)
}

// TestPolicyCanOnlyNarrow: a policy of the operator's own says what is
// required; it cannot say that a missing scope is there.
func TestPolicyCanOnlyNarrow_CLAIM_12(t *testing.T) {
	var asked int
	require := mcpauth.Scopes("mcp:admin")
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
			asked++
			if p, ok := mcpauth.FromContext(ctx); !ok || p.Subject != "user-1" {
				return mcpauth.Requirement{}, nil
			}
			return require, nil
		})
	})
	f.refused(f.call(f.token(nil), "echo"), http.StatusForbidden, adminChallenge)
	require = mcpauth.Scopes("mcp:read")
	f.served(f.call(f.token(nil), "echo"))
	f.refused(f.call(f.token(mcpauthtest.Claims{"sub": "user-2"}), "echo"), http.StatusForbidden, "")
	require = mcpauth.Authenticated()
	f.refused(f.call(f.token(mcpauthtest.Claims{"exp": 1}), "echo"), http.StatusUnauthorized, invalidToken("token expired"))
	assert.Equal(t, 3, asked, "the policy is not asked about a token that is refused")
}

// TestTooManyScopesAreCheap: many scopes make no more work than one that is as long.
func TestTooManyScopesAreCheap_CLAIM_13(t *testing.T) {
	f := newFixture(t, nil)
	require.NoError(t, f.auth.Warm(t.Context()))
	cost := func(scope string, status int) float64 {
		tokens := make([]string, 11)
		for i := range tokens { // none of which is remembered
			tokens[i] = f.token(mcpauthtest.Claims{"scope": scope, "jti": fmt.Sprint(100 + i)})
		}
		next := -1
		return testing.AllocsPerRun(len(tokens)-1, func() {
			next++
			assert.Equal(t, status, f.call(tokens[next], "admin_delete").Code)
		})
	}
	one := map[int]float64{
		http.StatusUnauthorized: cost(strings.Repeat("a", 10000), http.StatusUnauthorized),
		http.StatusForbidden:    cost("a", http.StatusForbidden),
	}
	for name, row := range map[string]struct {
		scope  string
		status int
	}{
		"10,000 letters": {strings.Repeat("a ", 5000), http.StatusForbidden},
		"distinct":       {strings.Join(numbered("", 2500), " "), http.StatusUnauthorized},
		"too long":       {strings.Repeat("ab ", 10000), http.StatusUnauthorized},
		"spaces":         {strings.Repeat(" ", 11000), http.StatusForbidden},
	} {
		many := cost(row.scope, row.status)
		t.Logf("%s: %v allocations, one scope %v", name, many, one[row.status])
		assert.Less(t, many, one[row.status]+50, name)
	}
	assert.Zero(t, f.ran)
}

func TestActors_CLAIM_16(t *testing.T) {
	act := func(subjects ...string) any {
		var chain any
		for i := len(subjects) - 1; i >= 0; i-- {
			link := map[string]any{"sub": subjects[i]}
			if chain != nil {
				link["act"] = chain
			}
			chain = link
		}
		return chain
	}
	for name, test := range map[string]struct {
		act  any
		want []string
	}{
		"one":                    {act("agent-1"), []string{"agent-1"}},
		"three":                  {act("agent-1", "agent-2", "agent-3"), []string{"agent-1", "agent-2", "agent-3"}},
		"five are cut":           {act("a1", "a2", "a3", "a4", "a5"), []string{"a1", "a2", "a3", "a4"}},
		"null":                   {rawJSON("null"), nil},
		"a string":               {"agent-1", nil},
		"without sub":            {map[string]any{"client_id": "x"}, nil},
		"a sub that is a number": {map[string]any{"sub": 1}, nil},
		"two subs":               {map[string]any{"sub": []string{"agent-1", "agent-2"}}, nil},
		"act in act is a string": {map[string]any{"sub": "agent-1", "act": "x"}, []string{"agent-1"}},
		"may_act is another":     {nil, nil},
	} {
		p, err := verified(t, nil, usual(mcpauthtest.Claims{"act": test.act, "may_act": map[string]any{"sub": "other"}}))
		require.NoError(t, err, name)
		assert.Equal(t, test.want, p.Actors, name)
		assert.Equal(t, "user-1", p.Subject, name)
	}
}

// TestRequiredClaims: the token is good, but its holder belongs elsewhere, and
// no scope would help.
func TestRequiredClaims_CLAIM_19(t *testing.T) {
	var decision mcpauth.Decision
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decision = d }
		c.Issuers[0].RequireClaims = map[string][]string{"tid": {"tenant-1", "tenant-2"}, `org."unit.id"`: {"unit-1"}}
	})
	unit := map[string]string{"unit.id": "unit-1"}
	for name, test := range map[string]struct {
		tid, org any
		served   bool
	}{
		"both":                   {"tenant-1", unit, true},
		"the other value":        {"tenant-2", unit, true},
		"one of an array":        {[]string{"x", "tenant-2"}, unit, true},
		"absent":                 {nil, unit, false},
		"null":                   {rawJSON("null"), unit, false},
		"empty":                  {"", unit, false},
		"another":                {"tenant-3", unit, false},
		"in capitals":            {"TENANT-1", unit, false},
		"two in a string":        {"tenant-1 tenant-2", unit, false},
		"an object":              {map[string]any{"tenant-1": true}, unit, false},
		"an array with a number": {[]any{"tenant-1", 1}, unit, false},
		"the nested one absent":  {"tenant-1", nil, false},
		"the nested one wrong":   {"tenant-1", map[string]any{"unit": map[string]string{"id": "unit-1"}}, false},
	} {
		w := f.call(f.token(mcpauthtest.Claims{"tid": test.tid, "org": test.org, "TID": "tenant-1", "Tid": "tenant-1"}), "echo")
		if test.served {
			f.served(w)
			continue
		}
		f.refused(w, http.StatusForbidden, "")
		assert.Contains(t, w.Body.String(), `"not permitted"`, name)
		require.NotNil(t, decision.Principal, name)
		assert.ErrorIs(t, decision.Err, mcpauth.ErrForbidden, name)
	}
	// The token itself comes first: a stranger learns nothing of the rule.
	f.refused(f.call(f.token(mcpauthtest.Claims{"exp": 1}), "echo"), http.StatusUnauthorized, invalidToken("token expired"))
}
