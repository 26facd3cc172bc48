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

// With * as the only key of resources, it is for every URI and every template.
func TestNothingButTheRest_MCP_51_MCP_52_MCP_53(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Resources: requirements{"*": mcpauth.Scopes("mcp:read")}}
	})
	token, other := f.token(nil), f.token(mcpauthtest.Claims{"scope": "other"})
	for _, uri := range []string{
		"jira://PROJ", "postgres://user@host/t", "file:///home/u/\u00c4\u00d6.txt", "folder://a/b%2Fc", "x", "file:///a/../b",
		"users://{userId}/profile", "file://{path}", "x{;rev}",
	} {
		t.Run(uri, func(t *testing.T) {
			f.ran = 0
			read := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":%q}}`, uri)
			f.servedIn(t, f.post(token, read))
			f.refusedWhole(t, f.post(other, read), 403, scopeChallenge("mcp:read"), scopeBody("1", "mcp:read"))
			complete := modernBody("completion/complete", fmt.Sprintf(`"ref":{"type":"ref/resource","uri":%q}`, uri))
			f.servedIn(t, f.post(token, complete, modernHeaders("completion/complete", "")...))
			for method, list := range map[string]string{
				"resources/list":           fmt.Sprintf(`{"resources":[{"uri":%q}]}`, uri),
				"resources/templates/list": fmt.Sprintf(`{"resourceTemplates":[{"uriTemplate":%q}]}`, uri),
			} {
				list = `{"jsonrpc":"2.0","id":1,"result":` + list + `}`
				f.inner = listsAnswer(listsJSON, list)
				assert.Equal(t, list, f.serve(listsRequest(f, method, token, false)).Body.String())
				assert.NotContains(t, f.serve(listsRequest(f, method, other, false)).Body.String(), "{\"uri")
			}
			f.inner = nil
		})
	}
}

// A template is listed and completed for whoever may read all that it expands
// to, and what stands between its braces is no part of a URI.
func TestServersTemplates_MCP_52_MCP_53(t *testing.T) {
	rules := mcpauth.Rules{Resources: requirements{
		"users://*":                mcpauth.Scopes("users"),
		"db://{id}":                mcpauth.Scopes("table"),
		"db://{id}/rows":           mcpauth.Scopes("rows"),
		"db://{id}/rows{?limit}":   mcpauth.Scopes("limited"),
		"notes://*":                mcpauth.Scopes("notes"),
		"notes://ann/diary":        mcpauth.Scopes("ann"),
		"notes://admin*":           mcpauth.Scopes("admin"),
		"q://s*":                   mcpauth.Scopes("search"),
		"q://s?kind=secret":        mcpauth.Scopes("secret"),
		"files://*":                mcpauth.Scopes("files"),
		"files://{+path}/meta":     mcpauth.Scopes("meta"),
		"file:///srv/*":            mcpauth.Scopes("srv"),
		"tree://{root}{/folders*}": mcpauth.Scopes("tree"),
		"dirs://*":                 mcpauth.Scopes("dirs"),
		"dirs://b/":                mcpauth.Scopes("b"),
	}}
	f := newFixture(t, func(c *mcpauth.Config) { c.Policy = rules })
	for _, row := range []struct{ template, want string }{
		{"users://{userId}/profile", "users"},
		{"users://{user_id}/profile{?fields*}", "users"},
		{"users://{+path}", "users"},
		{"user{s}://x", "nobody"}, // no rule covers all of it
		{"{+all}", "nobody"},
		{"db://{userId}", "table"},
		{"db://{user_id}", "table"},
		{"db://{ID}/rows", "rows"},
		{"db://{id}/rows{?limit}", "limited"},
		{"db://{t}/rows{?limit}", "limited"},
		{"db://{t}/rows{?limit,admin}", "nobody"}, // further parameters than the key has
		{"db://{id}{?x}", "nobody"},
		{"db://{+id}", "nobody"},
		{"db://{a}/{b}", "nobody"},
		{"notes://{user}/list", "notes and admin"}, // of notes://admin.../list
		{"notes://{user}/diary", "notes and admin and ann"},
		{"notes://{user}/diary/{day}", "notes and admin"},
		{"notes://ann/{note}", "notes and ann"},
		{"notes://ann/{note}/x", "notes"},
		{"notes://u/{note}", "notes"},
		{"q://s?kind={kind}", "search and secret"},
		{"q://s{?kind}", "search and secret"},
		{"q://s?page={p}", "search"},
		{"q://s/{x}", "search"},
		{"dirs://{v}/{#part}", "dirs and b"}, // of dirs://b/
		{"dirs://{v}", "dirs and b"},
		{"dirs://c{v}/", "dirs"},
		{"files://{path}", "files"},
		{"files://{+path}", "files and meta"},
		{"files://{dir}/meta", "files and meta"},
		{"files://{dir}/data", "files"},
		{"file:///srv/{name}", "srv"},
		{"file:///srv/../{name}", "nobody"},
		{"file:///{+path}", "nobody"},
		{"tree://{r}{/f*}", "tree"},
	} {
		t.Run("MCP-52 "+row.template, func(t *testing.T) {
			got, err := rules.Require(t.Context(), mcpauth.Call{Method: "completion/complete", Kind: mcpauth.KindResource, Name: row.template})
			require.NoError(t, err)
			want := strings.Fields(strings.ReplaceAll(row.want, " and ", " "))
			assert.ElementsMatch(t, want, strings.Fields(strings.ReplaceAll(got.String(), " and ", " ")))
			if row.want == "nobody" {
				return
			}
			list := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"resourceTemplates":[{"uriTemplate":%q}]}}`, row.template)
			f.inner = listsAnswer(listsJSON, list)
			may := f.token(mcpauthtest.Claims{"scope": strings.Join(want, " ")})
			assert.Equal(t, list, f.serve(listsRequest(f, "resources/templates/list", may, false)).Body.String())
			for _, missing := range want {
				held := strings.ReplaceAll(strings.Join(want, " "), missing, "other")
				less := f.token(mcpauthtest.Claims{"scope": held})
				assert.NotContains(t, f.serve(listsRequest(f, "resources/templates/list", less, false)).Body.String(), "uriTemplate", held)
			}
		})
	}
	for _, row := range []struct{ uri, want string }{
		{"db://users/rows", "rows and limited"}, // equally close: both
		{"db://users/rows?limit=1", "limited"},
		{"db://users/rows?admin=1", "nobody"},
		{"db://users/rows?limit=1&admin=1", "nobody"},
		{"db://users/rows2", "nobody"},
		{"files://a/b/meta", "files and meta"},
		{"files://a/b/Meta", "files and meta"},
		{"files://a/b", "files"},
		{"tree://a", "tree"},
		{"tree://a/b/c", "tree"},
		{"tree://a/b?x", "nobody"},
		{"users://{userId}/profile", "users"}, // a reader that expands nothing
		{"users://{+path}", "users"},
		{"users://\ue000/{x}", "nobody"},
		{"users://{a/../../b}", "nobody"},
	} {
		t.Run("MCP-52 read "+row.uri, func(t *testing.T) {
			assert.Equal(t, row.want, asked(t, rules, mcpauth.KindResource, row.uri))
		})
	}
}

// What a key with operators of RFC 6570 expands to.
func TestOperators_MCP_52(t *testing.T) {
	for key, row := range map[string]struct{ covered, not []string }{
		"a://x{+path}":    {[]string{"a://xy", "a://x/y/z"}, []string{"a://x", "a://y"}},
		"a://x{#part}":    {[]string{"a://x", "a://x#y"}, []string{"a://xy", "a://x?y#z"}},
		"a://x{.type}":    {[]string{"a://x", "a://x.json"}, []string{"a://xjson", "a://x.y/z"}},
		"a://x{/a,b}":     {[]string{"a://x", "a://x/y", "a://x/y/z"}, []string{"a://x/y/z/u", "a://xy"}},
		"a://x{/all*}":    {[]string{"a://x/y/z/u"}, []string{"a://x?y"}},
		"a://x{;rev}":     {[]string{"a://x", "a://x;rev=1"}, []string{"a://x;version=1", "a://x;revision=1"}},
		"a://x{?a,b}":     {[]string{"a://x", "a://x?a=1", "a://x?b=1&a=2", "a://x?a"}, []string{"a://x?c=1", "a://x?a=1&c=2", "a://x?aa=1", "a://x?a=1;c=2"}},
		"a://x?y=1{&a}":   {[]string{"a://x?y=1", "a://x?y=1&a=2"}, []string{"a://x?y=1&b=2", "a://x?a=2"}},
		"a://x{?all*}":    {[]string{"a://x?c=1", "a://x?a=1&c=2"}, []string{"a://x?c=1#d", "a://xc"}},
		"a://{v:3}":       {[]string{"a://x"}, []string{"a://", "a://x/y"}},
		"a://{list*}/x":   {[]string{"a://a,b/x"}, []string{"a://a/b/x"}},
		"a://{user,name}": {[]string{"a://a,b"}, []string{"a://a/b"}},
	} {
		t.Run("MCP-52 "+key, func(t *testing.T) {
			rules := mcpauth.Rules{Resources: requirements{key: mcpauth.Scopes("it")}}
			f := newFixture(t, func(c *mcpauth.Config) { c.Policy = rules }) // New takes it
			f.servedIn(t, f.post(f.token(mcpauthtest.Claims{"scope": "it"}), modernBody("completion/complete", fmt.Sprintf(`"ref":{"type":"ref/resource","uri":%q}`, key)),
				modernHeaders("completion/complete", "")...))
			for _, uri := range row.covered {
				assert.Equal(t, "it", asked(t, rules, mcpauth.KindResource, uri), uri)
			}
			for _, uri := range row.not {
				assert.Equal(t, "nobody", asked(t, rules, mcpauth.KindResource, uri), uri)
			}
		})
	}
}
