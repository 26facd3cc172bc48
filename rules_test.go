package mcpauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// asked returns what the rules require of a target, as text.
func asked(t *testing.T, rules mcpauth.Policy, kind mcpauth.Kind, name string) string {
	t.Helper()
	r, err := rules.Require(t.Context(), mcpauth.Call{Kind: kind, Name: name})
	require.NoError(t, err)
	return r.String()
}

type requirements = map[string]mcpauth.Requirement

func TestNames_MCP_43_MCP_15(t *testing.T) {
	named := requirements{
		"*":           mcpauth.Scopes("rest"),
		"fs_*":        mcpauth.Scopes("fs"),
		"fs_read_*":   mcpauth.Scopes("fs:read"),
		"fs_delete":   mcpauth.Scopes("fs:delete"),
		"fs_read_all": mcpauth.Authenticated(),
		"db://{t}":    mcpauth.Scopes("literal"), // a tool's name is no template
	}
	for _, row := range []struct{ name, want string }{
		{"fs_delete", "fs:delete"},
		{"fs_delete2", "fs"},
		{"fs_delet", "fs"},
		{"fs_Delete", "fs"},
		{"FS_DELETE", "rest"},
		{"fs_delete ", "fs"},
		{"fs_", "fs"},
		{"fs", "rest"},
		{"fs_*", "fs"},
		{"fs_read_", "fs:read"},
		{"fs_read_x", "fs:read"},
		{"fs_read", "fs"},
		{"fs_read_all", "any valid token"},
		{"fs_read_all2", "fs:read"},
		{"db://{t}", "literal"},
		{"db://x", "rest"},
		{"*", "rest"},
		{"..", "rest"},
		{"a/b", "rest"},
	} {
		t.Run("MCP-43 "+row.name, func(t *testing.T) {
			assert.Equal(t, row.want, asked(t, mcpauth.Rules{Tools: named}, mcpauth.KindTool, row.name))
			assert.Equal(t, row.want, asked(t, mcpauth.Rules{Prompts: named}, mcpauth.KindPrompt, row.name))
			assert.Equal(t, "nobody", asked(t, mcpauth.Rules{Tools: named}, mcpauth.KindPrompt, row.name))
			assert.Equal(t, "nobody", asked(t, mcpauth.Rules{Prompts: named}, mcpauth.KindTool, row.name))
			assert.Equal(t, "nobody", asked(t, mcpauth.Rules{Tools: named, Prompts: named}, mcpauth.KindResource, row.name))
		})
	}
	t.Run("MCP-40 without a rule for the rest", func(t *testing.T) {
		rules := mcpauth.Rules{Tools: requirements{"fs_*": mcpauth.Scopes("fs")}}
		for _, name := range []string{"fs", "fs-x", "xfs_", "", "F", "*", "fs*"} {
			assert.Equal(t, "nobody", asked(t, rules, mcpauth.KindTool, name), name)
		}
	})
}

func TestNamingConvention_MCP_43_MCP_15(t *testing.T) {
	rules := mcpauth.Rules{Tools: requirements{
		"*":       mcpauth.Scopes("tool:{name}:execute"),
		"debug_*": {AllOf: []string{"{name}", "debug"}, AnyOf: [][]string{{"a:{name}:{name}", "ops"}}},
		"free":    mcpauth.Authenticated(),
		"exact":   mcpauth.Scopes("{name}:x"),
	}}
	long := strings.Repeat("n", 256-len("tool::execute"))
	for _, row := range []struct{ name, want string }{
		{"codegen", "tool:codegen:execute"},
		{"a:execute", "tool:a:execute:execute"},
		{"debug_x", "debug_x and debug and (a:debug_x:debug_x or ops)"},
		{"free", "any valid token"},
		{"exact", "exact:x"},
		{"{name}", "tool:{name}:execute"}, // replaced once, and by itself
		{"{name}{name}", "tool:{name}{name}:execute"},
		{"*", "tool:*:execute"},
		{long, "tool:" + long + ":execute"},
		// A name that can stand in no scope is no way to another scope.
		{"x:execute admin tool:x", "nobody"},
		{"x admin", "nobody"},
		{" ", "nobody"},
		{`x"`, "nobody"},
		{`x", scope="admin`, "nobody"},
		{`x\`, "nobody"},
		{"naïve", "nobody"},
		{"x\u00a0y", "nobody"},
		{"x\r\nSet-Cookie: a=b", "nobody"},
		{"x\x00", "nobody"},
		{long + "n", "nobody"},
		{strings.Repeat("n", 512), "nobody"},
		{"debug_x y", "nobody"},
	} {
		t.Run(fmt.Sprintf("MCP-43 %.40q", row.name), func(t *testing.T) {
			assert.Equal(t, row.want, asked(t, rules, mcpauth.KindTool, row.name))
		})
	}
	bare := mcpauth.Rules{Tools: requirements{"*": mcpauth.Scopes("{name}")}}
	assert.Equal(t, "nobody", asked(t, bare, mcpauth.KindTool, "offline_access"))
	assert.Equal(t, "mcp:read", asked(t, bare, mcpauth.KindTool, "mcp:read"))

	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = rules })
	token := f.token(mcpauthtest.Claims{"scope": "tool:echo:execute tool:other:execute"})
	f.servedIn(t, f.call(token, "echo"))
	w := f.call(token, "codegen")
	f.refusedWhole(t, w, 403, scopeChallenge("tool:codegen:execute"), scopeBody("1", "tool:codegen:execute"))
	f.refusedWhole(t, f.post(token, legacyCall(`echo" x`)), 403, "", forbiddenBody)
	f.refusedWhole(t, f.post(token, legacyCall(`x:execute tool:echo`)), 403, "", forbiddenBody)
}

// Compile tells of every mistake, as New does, or makes a policy.
func TestCompile_MCP_43(t *testing.T) {
	policy, err := mcpauth.Rules{Tools: requirements{"a": {}}, Methods: requirements{"*": mcpauth.Authenticated()}}.Compile()
	assert.Nil(t, policy)
	require.Error(t, err)
	var fields []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var mistake *mcpauth.ConfigError
		require.ErrorAs(t, one, &mistake)
		fields = append(fields, mistake.Field)
	}
	assert.Equal(t, []string{`Policy.Tools["a"]`, `Policy.Methods["*"]`}, fields)

	groups, methods := [][]string{{"b", "c"}}, requirements{"tools/list": mcpauth.Authenticated()}
	policy, err = mcpauth.Rules{Tools: requirements{"a": {AllOf: []string{"a"}, AnyOf: groups}}, Methods: methods}.Compile()
	require.NoError(t, err)
	groups[0][0] = "z"
	groups[0] = []string{"z"} // who keeps what it was made of changes nothing
	assert.Equal(t, "a and (b or c)", asked(t, policy, mcpauth.KindTool, "a"))
	assert.Equal(t, "nobody", asked(t, policy, mcpauth.KindTool, "b"))
	for kind, want := range map[mcpauth.Kind]string{mcpauth.KindMethod: "any valid token", "other": "nobody", "": "nobody"} {
		need, err := policy.Require(t.Context(), mcpauth.Call{Kind: kind, Method: "tools/list"})
		require.NoError(t, err)
		assert.Equal(t, want, need.String(), "a kind that there is not: %q", kind)
	}
}

// fileRules guard a directory, one file in it and a directory in it.
func fileRules() mcpauth.Rules {
	return mcpauth.Rules{Resources: requirements{
		"file:///data/*":        mcpauth.Scopes("data"),
		"file:///data/secret":   mcpauth.Scopes("secret"),
		"file:///data/vault/*":  mcpauth.Scopes("vault"),
		"file:///data/odd/../x": mcpauth.Scopes("odd"), // written down, a second spelling is a name like any other
	}}
}

func TestSecondSpellings_MCP_51(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = fileRules() })
	token := f.token(mcpauthtest.Claims{"scope": "data"})
	read := func(uri string) (string, []string) {
		return modernBody("resources/read", fmt.Sprintf(`"uri":%q`, uri)), []string{"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: resources/read",
			"Mcp-Name: " + uri}
	}
	for _, uri := range []string{
		"file:///data/a", "file:///data/", "file:///data/a/b/c.txt", "file:///data/a/", "file:///data/.hidden", "file:///data/a..b",
		"file:///data/my%20file.txt", "file:///data/%C3%A9t%C3%A9", "file:///data/a?x=1", "file:///data/a#part", "file:///data/a?u=https://x.example/",
		"file:///data/a:b@c", "file:///data/secrets", "file:///data/secret/deeper", "file:///data/vault", "file:///data/a%3Fb",
	} {
		t.Run("MCP-51 served "+uri, func(t *testing.T) {
			body, headers := read(uri)
			f.servedIn(t, f.post(token, body, headers...))
		})
	}
	for uri, scope := range map[string]string{
		"file:///data/secret": "secret", "file:///data/vault/x": "vault", "file:///data/vault/": "vault", "file:///data/odd/../x": "odd",
	} {
		t.Run("MCP-51 another rule for "+uri, func(t *testing.T) {
			body, headers := read(uri)
			f.refusedWhole(t, f.post(token, body, headers...), 403, scopeChallenge(scope), scopeBody("1", scope))
		})
	}
	for scope, uris := range map[string][]string{
		"secret": {"file:///data/secret?", "file:///data/secret?x=1", "file:///data/secret#", "file:///data/secret#top", "file:///data/secret/", "file:///data/SECRET", "file:///data/Secret", "file:///data/secret%3Fx", "file:///data/secret%23x", "file:///data/SECRET/?x#y"},
		"vault":  {"file:///data/VAULT/x", "file:///data/Vault/x?y"},
	} {
		for _, uri := range uris { // by another name: who may read either may read it
			t.Run("MCP-51 either "+uri, func(t *testing.T) {
				body, headers := read(uri)
				f.refusedWhole(t, f.post(token, body, headers...), 403, scopeChallenge("data "+scope), scopeBody("1", "data "+scope))
				f.ran = 0
				f.servedIn(t, f.post(f.token(mcpauthtest.Claims{"scope": "data " + scope}), body, headers...))
				f.ran = 0
				f.refusedWhole(t, f.post(f.token(mcpauthtest.Claims{"scope": scope}), body, headers...), 403, scopeChallenge("data "+scope), scopeBody("1", "data "+scope))
			})
		}
	}
	for _, uri := range []string{
		// Out of the directory.
		"file:///data/../etc/passwd", "file:///data/..", "file:///data/.", "file:///data/./a", "file:///data/a/../../etc/passwd",
		"file:///data/%2e%2e/x", "file:///data/%2E%2E/x", "file:///data/.%2e/x", "file:///data/..%2Fx", "file:///data/..%2fx", "file:///data/%2Fetc",
		`file:///data/..\x`, `file:///data/a\b`, "file:///data/..%5Cx", "file:///data/..%5cx", "file:///data/..%00/x", "file:///data/%252e%252e/x",
		"file:///data/...", "file:///data/..;/x", "file:///data/..;a=b/x", "file:///data/.;/x", "file:///data/..%20/x", "file:///data/a.", "file:///data/a./b", "file:///data/a%20",
		// Out of it for a server that knows no queries, or knows them.
		"file:///data/a?/../../etc/passwd", "file:///data/a#/../../etc/passwd", "file:///data/a?../../etc/passwd", "file:///data/a#..", "file:///data/a?x/./y", "file:///data/a?;..",
		// The same file, written differently.
		"FILE:///data/x", "File:///data/x", "file:///data//x", "file:////data/x", "file://localhost/data/x", "file://user@/data/x", "file:/data/x", "file:data/x", "file://./data/x",
		"file:///data/%61", "file:///data/a%2Db", "file:///data/%7Ea", "file:///data/é", "file:///data/a b", "file:///data/a\u00a0", "file:///data/a%", "file:///data/a%4", "file:///data/a%zz", "file:///data/%e9",
		"file:///DATA/x", "file:///Data/x", "file:///dat%61/x",
		// The secret by another name.

		"file:///data/secret;v=1", "file:///data/;/secret", "file:///data/secret.", "file:///data/secret%20", "file:///data/./secret",
		"file:///data/vault;v=1/x", "file:///data/vault%3B/../x",
		// No URI.
		"/data/x", "data/x", "x", "../file:///data/x", ":///data/x", "file", "//data/x", "fi le:///data/x", "1file:///data/x",
	} {
		t.Run("MCP-51 refused "+uri, func(t *testing.T) {
			all := f.token(mcpauthtest.Claims{"scope": "data secret vault odd"})
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"%s"}}`, strings.ReplaceAll(uri, `\`, `\\`))
			f.refusedWhole(t, f.post(all, body), 403, "", forbiddenBody)
			assert.Equal(t, "nobody", asked(t, mcpauth.Rules{Resources: requirements{"file:///data/*": mcpauth.Scopes("x"), "file:///data/vault/*": mcpauth.Scopes("y"),
				"file:///data/secret": mcpauth.Scopes("z")}}, mcpauth.KindResource, uri))
		})
	}
}

// With a rule for the rest, what a server could take for something else is not the rest.
func TestTheRest_MCP_51(t *testing.T) {
	rules := mcpauth.Rules{Resources: requirements{
		"*":                         mcpauth.Scopes("rest"),
		"https://x.example/admin":   mcpauth.Scopes("admin"),
		"https://x.example/admin/*": mcpauth.Scopes("below"),
		"https://{host}.example/q":  mcpauth.Scopes("q"),
		"search://a?kind=secret":    mcpauth.Scopes("search"),
		"search://a?*":              mcpauth.Scopes("any"),
		"file:///etc/passwd":        mcpauth.Scopes("passwd"),
		"db://{table}/rows":         mcpauth.Scopes("rows"),
	}}
	for _, row := range []struct{ uri, want string }{
		{"https://x.example/public", "rest"},
		{"https://x.example:8443/admin", "rest"}, // another origin
		{"https://y.example/admin", "rest"},
		{"urn:isbn:0451450523", "rest"},
		{"mailto:a@b.example", "rest"},
		{"note:1", "rest"},
		{"https://[::1]/x", "rest"},
		{"https://[::1]:8443/x", "rest"},
		{"https://x.example/admin", "admin"},
		{"https://x.example/admin/x", "below"},
		{"https://y.example/q", "q"},
		{"search://a?kind=secret", "search"},
		{"search://a?kind=open", "any"},
		{"search://b?kind=secret", "rest"},
		{"search://a", "rest"},
		{"db://users/rows", "rows"},
		{"db://users/rows2", "rest"},
		{"db://users", "rest"},
		{"db://a/b/rows", "rest"},

		{"https://x.example/admin/", "below and admin"}, // the page or what is below it: nobody can tell
		{"https://x.example/ADMIN", "rest and admin"},
		{"https://x.example/Admin/x", "rest and below"},
		{"https://x.example/admin?x", "rest and admin"},
		{"https://x.example/admin#x", "rest and admin"},
		{"https://x.example/admin#", "rest and admin"},
		{"https://x.example/admin%3Fx", "rest and admin"},
		{"https://X.example/admin", "nobody"},
		{"HTTPS://x.example/admin", "nobody"},
		{"https://x.example./admin", "nobody"},
		{"https://x.example.:443/admin", "nobody"},
		{"https://x.example:443/admin", "nobody"},
		{"https://x.example:0443/admin", "nobody"},
		{"https://x.example:/admin", "nobody"},
		{"http://x.example:80/x", "nobody"},
		{"wss://x.example:443/x", "nobody"},
		{"ws://x.example:80/x", "nobody"},
		{"ftp://x.example:21/x", "nobody"},
		{"https://u:p@x.example/admin", "nobody"},
		{"https://@x.example/admin", "nobody"},
		{"https:x.example/admin", "nobody"},
		{"https:/x.example/admin", "nobody"},
		{"https:///x.example/admin", "nobody"},
		{"https://x.example//admin", "nobody"},
		{"https://ex\u0430mple/admin", "nobody"},
		{"https://x.example/q?y", "rest and q"},
		{"https://x.example/q/", "rest and q"},
		{"https://x.example/Q", "rest and q"},
		{"search://a?kind=SECRET", "any and search"},
		{"search://a?kind=%73ecret", "nobody"},
		{"search://a?kind=secret#x", "any and search"},
		{"file:/etc/passwd", "nobody"},
		{"file:etc/passwd", "nobody"},
		{"file://localhost/etc/passwd", "nobody"},
		{"file://127.0.0.1/etc/passwd", "nobody"},
		{"file:///etc/../etc/passwd", "nobody"},
		{"note:/x", "nobody"},
		{"note:../x", "nobody"},
		{"note:a//b", "nobody"},
		{"db://users/rows/", "rest and rows"},
		{"db://users/rows?limit=1", "rest and rows"},
		{"db://users/ROWS", "rest and rows"},
		{"db://us%3Fers/rows2", "rest"},
		{"db://users/rows{?limit}", "rest"}, // no template: only in a list or a completion it is one
		{"db://us%C3%A9rs/rows", "rows"},
		{"db://us%c3%a9rs/rows", "rows"},
		{"jira://PROJ-1", "rest"},
		{"postgres://user@host/db", "rest"},
		{"postgres://user@host/db?sslmode=on", "rest"},
		{"search://A?kind=secret", "rest and search and any"},
		{"search://u@a?kind=secret", "rest and search and any"},
		{"https://U@x.example/admin", "nobody"},
		{"mailto:a%40b.example", "rest"},
		{"search://b?q=100%25", "rest"},
		{"search://b?u=https%3A%2F%2Fx.example%2Fa", "rest"},
		{"search://b?u=https%3a%2f%2fx.example", "rest"},
		{"search://b?u=a%2F..%2Fb", "nobody"},
		{"search://b?u=a%2F%252E%252E%2Fb", "nobody"},
		{"search://b?u=%2500", "nobody"},
		{"search://b?u=%255C", "nobody"},
		{"search://b?u=%41", "nobody"},
		{"search://b%2Fc?u=1", "nobody"},
		{"search://b%25c?u=1", "nobody"},
		{"search://a?k%2569nd=secret", "any and search"},
		{"search://b?u=1%26kind%3Dsecret", "rest"},
		{"search://a?u=1%2526kind%253Dsecret", "any and search"},
		{"not a uri", "nobody"},
		{":x", "nobody"},
		{"1x:y", "nobody"},
		{"../x:y", "nobody"},
		{"x_y:z", "nobody"},
		{"Note:1", "nobody"},
		{"", "nobody"},
	} {
		t.Run("MCP-51 "+row.uri, func(t *testing.T) {
			assert.Equal(t, row.want, asked(t, rules, mcpauth.KindResource, row.uri))
		})
	}
}

func TestTemplates_MCP_52(t *testing.T) {
	rules := mcpauth.Rules{Resources: requirements{
		"db://{t}":                     mcpauth.Scopes("table"),
		"db://{t}/{row}":               mcpauth.Scopes("row"),
		"db://{t}/public":              mcpauth.Scopes("public"),
		"log://{y}-{m}/x{n}.txt":       mcpauth.Scopes("log"),
		"dav://{a}{b}":                 mcpauth.Scopes("two"),
		"doc://{t}?v={v}":              mcpauth.Scopes("version"),
		"img://big/{n}":                mcpauth.Scopes("big"),
		"img://*":                      mcpauth.Scopes("img"),
		"img://{size}/logo":            mcpauth.AnyScope("logo", "brand"),
		"notes://{user}/{note_id}.txt": mcpauth.Scopes("note"),
	}}
	for _, row := range []struct{ uri, want string }{
		{"db://users", "table"},
		{"db://{t}", "table"}, // the template itself, as completion/complete names it
		{"db://{other}", "table"},
		{"db://a/b", "row"},
		{"db://a/b/c", "nobody"},
		{"db://a/", "nobody"},
		{"db://", "nobody"}, // a variable is not nothing
		{"db:///", "nobody"},
		{"db:///x", "nobody"},
		{"db://a/public", "public and row"}, // equally close: both
		{"db://secret?x=/public", "nobody"},
		{"db://secret?", "nobody"},
		{"db://secret#/public", "nobody"},
		{"db://secret?x", "nobody"},
		{"db://a/b?/../public", "nobody"},
		{"db://a%2Fb", "nobody"},
		{"db://a\nb", "nobody"},
		{"log://2026-07/x1.txt", "log"},
		{"log://2026-07-28/x1.txt", "log"},
		{"log://2026-07/xx.txt.txt", "log"},
		{"log://2026-07/x.txt", "nobody"},
		{"log://2026-/x1.txt", "nobody"},
		{"log://-07/x1.txt", "nobody"},
		{"log://2026/07/x1.txt", "nobody"},
		{"log://2026-07/x1.txt?", "nobody"},
		{"log://2026-07/x1?.txt", "nobody"},
		{"log://2026-07/x1.txt/", "nobody"},
		{"log://2026-07/a/x1.txt", "nobody"},
		{"dav://ab", "two"},
		{"dav://a", "nobody"},
		{"dav://abc", "two"},
		{"doc://a?v=1", "version"},
		{"doc://a?v=1&w=2", "nobody"}, // a variable is one parameter
		{"doc://a?v=1;w=2", "nobody"},
		{"doc://a?v=1+2", "nobody"},
		{"doc://a&b?v=1", "version"},
		{"doc://a?v=", "nobody"},
		{"doc://a?v=1?v=2", "nobody"},
		{"doc://a?v=1#x", "nobody"},
		{"img://big/x", "big"},
		{"img://small/x", "img"},
		{"img://small/logo", "img and (logo or brand)"},
		{"img://big/logo", "big"}, // the longest literal prefix
		{"img://a/b/logo", "img"},
		{"notes://u/1.txt", "note"},
		{"notes://u/.txt", "nobody"},
		{"notes://u/1?.txt", "nobody"},
		{"notes://u/1;.txt", "nobody"},
		{"notes://u/1#.txt", "nobody"},
	} {
		t.Run("MCP-52 "+row.uri, func(t *testing.T) {
			assert.Equal(t, row.want, asked(t, rules, mcpauth.KindResource, row.uri))
		})
	}
}

// Every mistake in the rules is found at the start, and all of them at once.
func TestRuleMistakes_MCP_43_MCP_44_MCP_52(t *testing.T) {
	ok := mcpauth.Scopes("x")
	tools := func(key string, r mcpauth.Requirement) mcpauth.Rules {
		return mcpauth.Rules{Tools: requirements{key: r}}
	}
	resources := func(keys ...string) mcpauth.Rules {
		rules := mcpauth.Rules{Resources: requirements{}}
		for _, key := range keys {
			rules.Resources[key] = ok
		}
		return rules
	}
	method := func(name string) mcpauth.Rules { return mcpauth.Rules{Methods: requirements{name: ok}} }
	for _, row := range []struct {
		id            string
		rules         mcpauth.Rules
		field, reason string
	}{
		{"MCP-44 an empty rule", tools("x", mcpauth.Requirement{}), `Policy.Tools["x"]`, "write Authenticated() if any valid token will do"},
		{"MCP-44 no scopes", tools("x", mcpauth.Scopes()), `Policy.Tools["x"]`, "an empty requirement refuses everybody"},
		{"MCP-44 an empty group", tools("x", mcpauth.AnyScope()), `Policy.Tools["x"]`, "an any-of group is empty"},
		{"MCP-44 a space", tools("x", mcpauth.Scopes("a b")), `Policy.Tools["x"]`, `"a b" is not a scope`},
		{"MCP-44 a quote in a group", tools("x", mcpauth.AnyScope("a", `b"`)), `Policy.Tools["x"]`, "is not a scope"},
		{"MCP-44 an empty method rule", mcpauth.Rules{Methods: requirements{"tools/list": {}}}, `Policy.Methods["tools/list"]`, "an empty requirement refuses everybody"},
		{"MCP-43 an empty name", tools("", ok), `Policy.Tools[""]`, "the name is empty"},
		{"MCP-43 a star inside", tools("a*b", ok), `Policy.Tools["a*b"]`, "* may only stand at the end"},
		{"MCP-43 two stars", tools("a**", ok), `Policy.Tools["a**"]`, "* may only stand at the end"},
		{"MCP-43 a star first", mcpauth.Rules{Prompts: requirements{"*x": ok}}, `Policy.Prompts["*x"]`, "* may only stand at the end"},
		{"MCP-52 a template with a star", resources("db://{t}/*"), `Policy.Resources["db://{t}/*"]`, "not a URI template of this kind"},
		{"MCP-52 a variable that is open", resources("db://{t"), `Policy.Resources["db://{t"]`, "not a URI template of this kind"},
		{"MCP-52 a brace too many", resources("db://{t}}"), `Policy.Resources["db://{t}}"]`, "not a URI template of this kind"},
		{"MCP-52 a brace before", resources("db://}{t}"), `Policy.Resources["db://}{t}"]`, "not a URI template of this kind"},
		{"MCP-52 only a closing brace", resources("db://t}"), `Policy.Resources["db://t}"]`, "not a URI template of this kind"},
		{"MCP-52 no variable name", resources("db://{}"), `Policy.Resources["db://{}"]`, "not a URI template of this kind"},
		{"MCP-52 braces in braces", resources("db://{a{b}}"), `Policy.Resources["db://{a{b}}"]`, "not a URI template of this kind"},
		{"MCP-52 an operator of nobody", resources("file:///{!path}"), `Policy.Resources["file:///{!path}"]`, "not a URI template of this kind"},
		{"MCP-52 an operator alone", resources("db://x{?}"), `Policy.Resources["db://x{?}"]`, "not a URI template of this kind"},
		{"MCP-52 a length of nothing", resources("db://{a:0}"), `Policy.Resources["db://{a:0}"]`, "not a URI template of this kind"},
		{"MCP-43 the same template twice", resources("db://{a}/x", "db://{b}/x"), `Policy.Resources["db://{b}/x"]`, `stands for the same URIs as "db://{a}/x"`},
		{"MCP-51 dots", resources("file:///data/../x/*"), `Policy.Resources["file:///data/../x/*"]`, "it can cover no URI"},
		{"MCP-51 dots behind a variable", resources("db://{t}/../x"), `Policy.Resources["db://{t}/../x"]`, "it can cover no URI"},
		{"MCP-51 an empty segment", resources("file:///data//x*"), `Policy.Resources["file:///data//x*"]`, "it can cover no URI"},
		{"MCP-51 not ASCII", resources("file:///\u00e9/*"), `Policy.Resources["file:///é/*"]`, "it can cover no URI"},
		{"MCP-51 a host of files", resources("file://{path}"), `Policy.Resources["file://{path}"]`, "(file:///{path})"},
		{"MCP-51 a host of files that is named", resources("file://localhost/*"), `Policy.Resources["file://localhost/*"]`, "it can cover no URI"},
		{"MCP-51 a space", resources("file:///a b*"), `Policy.Resources["file:///a b*"]`, "it can cover no URI"},
		{"MCP-51 an escape that is not needed", resources("file:///%61/*"), `Policy.Resources["file:///%61/*"]`, "it can cover no URI"},
		{"MCP-43 a name where there is none", mcpauth.Rules{Resources: requirements{"a://b": mcpauth.Scopes("r:{name}")}}, `Policy.Resources["a://b"]`, "{name} stands for the name of a tool or a prompt"},
		{"MCP-43 a name in a method rule", mcpauth.Rules{Methods: requirements{"tools/list": mcpauth.AnyScope("a", "{name}")}}, `Policy.Methods["tools/list"]`, "{name} stands for the name of a tool or a prompt"},
		{"MCP-48 a handshake", method("initialize"), `Policy.Methods["initialize"]`, "every valid token may make it"},
		{"MCP-48 another handshake", method("ping"), `Policy.Methods["ping"]`, "every valid token may make it"},
		{"MCP-30 a response", method("$response"), `Policy.Methods["$response"]`, "every valid token may make it"},
		{"MCP-42 a method with a target", method("tools/call"), `Policy.Methods["tools/call"]`, "it is decided by its target"},
		{"MCP-42 another", method("resources/subscribe"), `Policy.Methods["resources/subscribe"]`, "it is decided by its target"},
		{"MCP-53 completion", method("completion/complete"), `Policy.Methods["completion/complete"]`, "it is decided by its target"},
		{"MCP-54 listen", method("subscriptions/listen"), `Policy.Methods["subscriptions/listen"]`, "it is decided by its target"},
		{"MCP-60 a method that is visible", mcpauth.Rules{Methods: requirements{"tools/list": {AllOf: []string{"a"}, Visible: true}}}, `Policy.Methods["tools/list"]`, "Visible and InBand are for what is listed"},
		{"a method in band", mcpauth.Rules{Methods: requirements{"tools/list": {AllOf: []string{"a"}, InBand: true}}}, `Policy.Methods["tools/list"]`, "Visible and InBand are for what is listed"},
		{"a prompt in band", mcpauth.Rules{Prompts: requirements{"p": {AllOf: []string{"a"}, InBand: true}}}, `Policy.Prompts["p"]`, "InBand is for tools"},
		{"a resource in band", mcpauth.Rules{Resources: requirements{"r://*": {AllOf: []string{"a"}, InBand: true}}}, `Policy.Resources["r://*"]`, "InBand is for tools"},
		{"MCP-30 GET", method("$sse"), `Policy.Methods["$sse"]`, "every valid token may make it"},
		{"MCP-30 DELETE", method("$session.delete"), `Policy.Methods["$session.delete"]`, "every valid token may make it"},
		{"MCP-43 a pattern of methods", method("tasks/*"), `Policy.Methods["tasks/*"]`, "list methods by their exact names"},
		{"MCP-43 all methods", method("*"), `Policy.Methods["*"]`, "list methods by their exact names"},
		{"MCP-43 no method", method(""), `Policy.Methods[""]`, "list methods by their exact names"},
	} {
		t.Run(row.id, func(t *testing.T) {
			for name, policy := range map[string]mcpauth.Policy{"value": row.rules, "pointer": &row.rules} {
				config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
				config.Policy = policy
				_, err := mcpauth.New(config)
				var wrong *mcpauth.ConfigError
				require.ErrorAs(t, err, &wrong, name)
				assert.Equal(t, row.field, wrong.Field)
				assert.Contains(t, wrong.Reason, row.reason)
			}
			_, err := row.rules.Require(t.Context(), tool("x"))
			assert.Error(t, err)
		})
	}
	t.Run("MCP-44 all at once", func(t *testing.T) {
		config := testConfig(mcpauthtest.NewIssuerAt(t, testIssuerURL))
		config.Policy = mcpauth.Rules{
			Tools:     requirements{"a": {}, "b": mcpauth.Scopes(" "), "c*d": ok},
			Prompts:   requirements{"": ok},
			Resources: requirements{"x://{": ok},
			Methods:   requirements{"ping": {}},
		}
		_, err := mcpauth.New(config)
		joined, several := err.(interface{ Unwrap() []error })
		require.True(t, several)
		assert.Len(t, joined.Unwrap(), 7)
	})
}

// Rules are a value: what is done to it afterwards changes no decision.
func TestRulesAreCopied_MCP_43(t *testing.T) {
	scopes, group := []string{"mcp:admin"}, []string{"mcp:admin", "mcp:root"}
	rules := &mcpauth.Rules{
		Tools:   requirements{"echo": mcpauth.Scopes(scopes...), "any": {AnyOf: [][]string{group}}},
		Methods: requirements{"tools/list": mcpauth.Scopes(scopes...)},
	}
	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = rules })
	scopes[0], group[1] = "mcp:read", "mcp:read"
	rules.Tools["echo"] = mcpauth.Authenticated()
	rules.Tools["admin_delete"] = mcpauth.Authenticated()
	rules.Methods["tools/list"] = mcpauth.Authenticated()
	token := f.token(nil)
	f.refusedWhole(t, f.call(token, "echo"), 403, adminChallenge, scopeBody("1", "mcp:admin"))
	f.refusedWhole(t, f.call(token, "any"), 403, adminChallenge, scopeBody("1", "mcp:admin"))
	f.refusedWhole(t, f.call(token, "admin_delete"), 403, "", forbiddenBody)
	w := f.post(token, modernBody("tools/list", ""), modernHeaders("tools/list", "")...)
	f.refusedWhole(t, w, 403, adminChallenge, scopeBody("1", "mcp:admin"))
}

// Rules given by pointer are rules, and not a policy that is compiled at each call.
func TestRulesByPointer_MCP_43(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = &mcpauth.Rules{Tools: requirements{"*": mcpauth.Scopes("tool:{name}")}}
	})
	f.servedIn(t, f.call(f.token(mcpauthtest.Claims{"scope": "tool:x"}), "x"))
	w := f.legacyCall(f.token(mcpauthtest.Claims{"scope": "tool:x other"}), "y")
	f.refusedWhole(t, w, 403, scopeChallenge("tool:x tool:y"), scopeBody("1", "tool:x tool:y"))
	assert.Equal(t, "tool:y", asked(t, &mcpauth.Rules{Tools: requirements{"*": mcpauth.Scopes("tool:{name}")}}, mcpauth.KindTool, "y"))
}
