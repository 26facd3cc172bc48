package explain_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/explain"
)

const resource = "https://mcp.example.com/mcp"

func TestFindings(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	issuer := func(got string, configured ...string) explain.Finding { return explain.Issuer(got, configured) }
	audience := func(aud ...string) explain.Finding {
		return explain.Audience(aud, resource, "client-1", "https://as.example.com/", []string{"openid", "mcp:read", "api"})
	}
	scopes := func(granted []string, claims map[string]any) explain.Finding {
		return explain.Scopes([]string{"mcp:read"}, granted, claims)
	}
	deep := map[string]any{"a": map[string]any{"b": map[string]any{"c": map[string]any{"d": map[string]any{"e": "mcp:read"}}}}}
	for _, row := range []struct {
		name, cause, mention string
		got                  explain.Finding
	}{
		{"no header", "no-credentials", "", explain.Authorization("")},
		{"basic", "scheme", `"Basic"`, explain.Authorization("Basic Zm9vOmJhcg==")},
		{"no token", "token-empty", "", explain.Authorization("Bearer ")},
		{"no token and no space", "token-empty", "", explain.Authorization("bearer")},
		{"an unknown word may be a secret", "scheme", "none that is known", explain.Authorization("hunter2")},
		{"a bare token", "token-without-scheme", "", explain.Authorization("eyJhbGciOi.x.y")},
		{"quoted", "token-quoted", "", explain.Compact(`"a.b.c"`)},
		{"quoted otherwise", "token-quoted", "", explain.Compact(`'a.b.c'`)},
		{"twice", "token-twice-bearer", "", explain.Compact("bearer a.b.c")},
		{"encrypted", "token-encrypted", "", explain.Compact("a..c.d.e")},
		{"opaque", "token-opaque", "0 dots in 3 bytes", explain.Compact("abc")},
		{"a bad JWT", "token-malformed", "", explain.Compact("a.b.c")},
		{"hmac", "token-hmac", `"HS512"`, explain.Algorithm("HS512")},
		{"none", "token-unsigned", "", explain.Algorithm("nOnE")},
		{"no alg", "algorithm", "", explain.Algorithm("")},
		{"another alg", "algorithm", `"ES512"`, explain.Algorithm("ES512")},

		{"slash", "issuer-slash", `configured is "https://a"`, issuer("https://a/", "https://b", "https://a")},
		{"scheme", "issuer-scheme", "", issuer("http://a/x", "https://a/x")},
		{"host", "issuer-host", "", issuer("https://b/x", "https://a/x")},
		{"port", "issuer-host", "", issuer("https://a:8443", "https://a")},
		{"another host without a path is somebody else", "issuer-unknown", "", issuer("https://b", "https://a")},
		{"loopback by its other name", "issuer-host", `configured is "http://localhost:8080"`, issuer("http://127.0.0.1:8080", "http://localhost:8080")},
		{"a container by its other name", "issuer-host", "", issuer("http://hydra:4444/", "http://localhost:4444")},
		{"path", "issuer-path", "", issuer("https://a/y", "https://a/x")},
		{"v1 for v2", "issuer-entra-version", "", issuer("https://sts.windows.net/t/", "https://login.microsoftonline.com/t/v2.0")},
		{"v2 for v1", "issuer-entra-version", "", issuer("https://login.microsoftonline.com/t/v2.0", "https://sts.windows.net/t/")},
		{"another tenant", "issuer-unknown", "", issuer("https://sts.windows.net/u/", "https://login.microsoftonline.com/t/v2.0")},
		{"metadata appended", "issuer-metadata-url", "", issuer("https://a/x", "https://a/x/.well-known/openid-configuration")},
		{"metadata inserted", "issuer-metadata-url", "", issuer("https://a/x", "https://a/.well-known/oauth-authorization-server/x")},
		{"nothing configured", "issuer-unknown", `"https://a"`, issuer("https://a")},
		{"no URL", "issuer-unknown", "", issuer("%zz", "https://a")},

		{"no audience", "audience-missing", resource, audience()},
		{"an empty list", "audience-empty", resource, explain.EmptyAudience(resource)},
		{"the scopes", "audience-scopes", `"openid"`, audience("openid", "mcp:read")},
		{"the scopes as one text", "audience-scopes", "openid mcp:read", audience("openid mcp:read")},
		{"one scope", "audience-scopes", "mcp:read", audience("mcp:read")},
		{"one word may be an API and a scope", "audience-identifier", `"api"`, audience("api")},
		{"a scope and something else", "audience-identifier", "", audience("mcp:read", "mcp:write")},
		{"audience slash", "audience-slash", "", audience(resource + "/")},
		{"audience scheme", "audience-scheme", "", audience("http://mcp.example.com/mcp")},
		{"audience client", "audience-client-id", "", audience("x", "client-1")},
		{"audience graph", "audience-graph", "", audience("https://graph.microsoft.com")},
		{"audience issuer", "audience-issuer", "", audience("https://as.example.com")},
		{"audience path", "audience-path", "", audience("https://mcp.example.com")},
		{"audience host", "audience-host", "", audience("https://10.0.0.7:8080/mcp")},
		{"audience on this machine by its other name", "audience-loopback", "http://localhost:8080/mcp", explain.Audience([]string{"http://localhost:8080/mcp"}, "http://127.0.0.1:8080/mcp", "client-1", "https://as.example.com", nil)},
		{"audience on another port of this machine", "audience-host", "", explain.Audience([]string{"http://localhost:9/mcp"}, "http://127.0.0.1:8080/mcp", "client-1", "https://as.example.com", nil)},
		{"audience of one name and two ports", "audience-host", "", explain.Audience([]string{"http://localhost:9/mcp"}, "http://localhost:8080/mcp", "client-1", "https://as.example.com", nil)},
		{"audience account", "audience-account", "", audience("account")},
		{"audience name", "audience-identifier", "", audience("api://x")},
		{"audience many", "audience-other", "and 2 more", audience("https://a", "https://b", "https://c", "https://d", "https://e", "https://f", "https://g")},

		{"expired", "expired", "expired 1h0m0s ago; it lived for 1h0m0s", explain.Expired(at(-2*time.Hour), at(-time.Hour), now)},
		{"expired, no iat", "expired", "expired 1h0m0s ago", explain.Expired(time.Time{}, at(-time.Hour), now)},
		{"expired young", "expired-clock", "issued 2m0s ago", explain.Expired(at(-2*time.Minute), at(-time.Minute), now)},
		{"future", "clock-behind", "iat is 10m0s from now", explain.Future(at(10*time.Minute), time.Time{}, now)},
		{"nbf", "not-before", "nbf is 1h0m0s from now", explain.Future(at(-time.Minute), at(time.Hour), now)},
		{"nbf alone", "clock-behind", "nbf is", explain.Future(time.Time{}, at(time.Hour), now)},
		{"milliseconds", "milliseconds", "", explain.Future(time.Unix(1_800_000_000_000, 0), time.Time{}, now)},

		{"elsewhere", "scopes-elsewhere", "the claim permissions", scopes([]string{"openid"}, map[string]any{"permissions": []any{"mcp:read"}})},
		{"in a string", "scopes-elsewhere", "the claim rights", scopes(nil, map[string]any{"rights": "a mcp:read"})},
		{"in roles", "scopes-in-roles", "resource_access.api.roles", scopes(nil, map[string]any{"resource_access": map[string]any{"api": map[string]any{"roles": []any{"mcp:read"}}}})},
		{"a namespaced claim", "scopes-in-roles", `"https://example.com/roles"`, scopes(nil, map[string]any{"https://example.com/roles": []any{"mcp:read"}})},
		{"too deep", "scopes-none", "", scopes(nil, deep)},
		{"commas", "scope-separator", "comma", scopes([]string{"a,mcp:read"}, nil)},
		{"case", "scope-case", "MCP:read", scopes([]string{"MCP:read"}, nil)},
		{"a letter too many", "scope-misspelt", `the token has "mcp:reads"`, scopes([]string{"a", "mcp:reads"}, nil)},
		{"two letters have changed places", "scope-misspelt", `the token has "mcp:raed"; missing "mcp:read"`, scopes([]string{"mcp:raed"}, nil)},
		{"another letter, and the right scope elsewhere", "scopes-elsewhere", "", scopes([]string{"mcp:reed"}, map[string]any{"permissions": []any{"mcp:read"}})},
		{"numbers differ on purpose", "scope-not-granted", "", explain.Scopes([]string{"level1"}, []string{"level2"}, nil)},
		{"prefix", "scope-prefix", "api://x/mcp:read", scopes([]string{"api://x/mcp:read"}, nil)},
		{"none", "scopes-none", "the token has the claims roles, groups", scopes(nil, map[string]any{"groups": 1, "roles": 2})},
		{"not granted", "scope-not-granted", `"a"`, scopes([]string{"a"}, nil)},
		{"no rule", "no-rule", `tool "x" has no rule`, explain.Rule("tool", "x", []string{"y"})},
		{"one letter off a rule", "no-rule", `tool "query_usages" has no rule, "query_usage" has`, explain.Rule("tool", "query_usages", []string{"y", "query_usage"})},
		{"nearly a rule", "no-rule", `"Query_Usage" has`, explain.Rule("tool", "query-usage", []string{"y", "Query_Usage"})},

		{"unknown key", "key-unknown", `the set has "k1"; last fetched 40s ago`, explain.Key("k2", "RS256", explain.KeySet{Kids: []string{"k1"}, Age: "40s"})},
		{"no kid", "key-unknown", "names no key", explain.Key("", "RS256", explain.KeySet{Kids: []string{"k1"}})},
		{"outage", "key-unknown-outage", "failed since: timeout", explain.Key("k2", "RS256", explain.KeySet{Kids: []string{"k1"}, Age: "40s", Failed: "timeout"})},
		{"other algorithm", "key-algorithm", `"PS256"`, explain.Key("k1", "PS256", explain.KeySet{Kids: []string{"k1"}})},
		{"other type", "key-algorithm", `the key "k1" is for "ES256", "ES384", the token's alg is "RS256"`, explain.Key("k1", "RS256", explain.KeySet{Kids: []string{"k0", "k1", "k1"}, Algorithms: []string{"RS256", "ES256", "ES384"}})},
		{"skipped", "key-unusable", "use is not sig", explain.Key("k2", "RS256", explain.KeySet{Skipped: []explain.Skipped{{Kid: "k1", Why: "x"}, {Kid: "k2", Why: "use is not sig"}}})},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.cause, row.got.Cause)
			assert.Contains(t, row.got.Detail, row.mention)
			assert.NotEmpty(t, row.got.Fix())
			assert.NotEmpty(t, row.got.Means())
		})
	}
}

// Each cause stands once in the catalogue, and says what is the matter and what to do.
func TestCauses_OBS_01(t *testing.T) {
	ids := map[string]bool{}
	for _, c := range explain.Causes() {
		assert.False(t, ids[c.ID], "%s stands twice", c.ID)
		ids[c.ID] = true
		assert.NotEmpty(t, c.Means, c.ID)
		assert.NotEmpty(t, c.Fix, c.ID)
	}
	assert.Greater(t, len(ids), 50)
	assert.Empty(t, explain.Finding{Cause: "none"}.Fix()+explain.Finding{}.Means())
}

// FuzzFindings: whatever a sender writes, a finding has a known cause, is one
// printable line, and does not grow with it.
func FuzzFindings(f *testing.F) {
	f.Add("https://a/", "client-1", "k2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		now := time.Unix(1_800_000_000, 0)
		for _, finding := range []explain.Finding{
			explain.Authorization(a), explain.Compact(a), explain.Algorithm(a), explain.Issuer(a, []string{b, c}),
			explain.Audience([]string{a, b}, c, b, a, []string{c}), explain.Scopes([]string{a}, []string{b}, map[string]any{c: map[string]any{a: []any{b, a}}}),
			explain.Rule("tool", a, []string{b, c}), explain.Key(a, b, explain.KeySet{Kids: []string{c}, Skipped: []explain.Skipped{{Kid: "x", Why: "y"}}}),
			explain.Future(now.Add(time.Duration(len(a))), time.Time{}, now),
		} {
			if _, known := explain.ByID(finding.Cause); !known {
				t.Errorf("no cause %q", finding.Cause)
			}
			if len(finding.Detail) > 4096 {
				t.Errorf("%d bytes", len(finding.Detail))
			}
			if strings.IndexFunc(finding.Detail, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
				t.Errorf("not one printable line: %q", finding.Detail)
			}
		}
		if secret := explain.Compact(a).Detail + explain.Authorization("x"+a).Detail; len(a) > 12 && strings.Contains(secret, a) {
			t.Error("a credential is repeated")
		}
	})
}
