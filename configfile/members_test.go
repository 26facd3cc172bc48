package configfile

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

// fullFile has every member, and none that is zero.
const fullFile = `{
  "resource": "https://mcp.example.com/mcp",
  "issuers": [{
    "url": "https://login.example.com", "audiences": ["https://mcp.example.com/mcp"], "algorithms": ["RS256"], "token_types": ["at+jwt"],
    "claims": {"scopes": ["scope"], "union": true, "roles": ["roles"], "role_scopes": {"analyst": ["a"]}, "client_id": "azp", "audience": "client_id"},
    "require_claims": {"tid": ["t"]}, "max_lifetime": "1h", "allow_missing_subject": true, "allow_id_token_claims": true, "allow_private": true, "allow_token_exchange": true,
    "dpop": "required", "unlisted": true,
    "introspect": {"endpoint": "https://login.example.com/introspect", "client": {"id": "c", "secret": {"env": "MCPAUTH_TEST_KEY"}}, "prefix": "at_", "jwts": true, "tokeninfo": true},
    "jwks_uri": "https://login.example.com/keys", "keys": {"keys": []}
  }],
  "scopes": ["a"], "implies": {"a": ["b"]}, "allowed_origins": ["https://app.example.com"], "metadata": {"resource_name": "Example", "x": [1, {"y": null}]},
  "leeway": "30s", "max_body": 1048576, "allow_insecure_loopback": true, "legacy_as_metadata": true, "delegate_tasks": true,
  "session_key": {"env": "MCPAUTH_TEST_KEY"}, "old_session_keys": [{"env": "MCPAUTH_TEST_KEY"}],
  "rules": {
    "tools": {"whoami": "authenticated", "edit": {"all": ["a"], "any": [["b", "c"]], "visible": true, "in_band": true}},
    "prompts": {"p": ["a"]}, "resources": {"r://r": ["a"]}, "methods": {"m": ["a"]}
  },
  "holders": {"analysts": ["a"]}
}`

// TestEveryField_OBS_12_RELOAD_09: each field that is data has a name in the file, and docs/cli.md has it.
func TestEveryField_OBS_12_RELOAD_09(t *testing.T) {
	t.Setenv("MCPAUTH_TEST_KEY", strings.Repeat("k3y", 11))
	f, errs := read("full.json", []byte(fullFile))
	require.Empty(t, append(errs, f.readSecrets(every)...))
	require.Len(t, f.Config.Issuers, 1)
	rules := f.Config.Policy.(mcpauth.Rules)
	page, err := os.ReadFile("../docs/cli.md")
	require.NoError(t, err)
	fields := 0
	for _, part := range []any{f.Config, f.Config.Issuers[0], f.Config.Issuers[0].Claims, *f.Config.Issuers[0].Introspect, rules, rules.Tools["edit"]} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Type.Kind() == reflect.Func || isNoData[field.Name] {
				continue
			}
			fields++
			assert.False(t, v.Field(i).IsZero(), "%s.%s has no name in the file: see members.go", v.Type(), field.Name)
			assert.True(t, strings.Contains(string(page), `"`+inFile(field.Name)+`":`), "docs/cli.md has no %s.%s", v.Type(), field.Name)
		}
	}
	assert.Greater(t, fields, 35)
	assert.Equal(t, map[string][]string{"analysts": {"a"}}, f.Holders)
	assert.Equal(t, mcpauth.Authenticated(), rules.Tools["whoami"])
	assert.Equal(t, map[string]any{"resource_name": "Example", "x": []any{float64(1), map[string]any{"y": nil}}}, f.Config.Metadata)
	for _, name := range allNames() {
		assert.True(t, strings.Contains(string(page), `"`+name+`":`), "docs/cli.md has no %s", name)
	}
}

// isNoData are fields that belong to a program, beside its functions.
var isNoData = map[string]bool{"Transport": true, "Logger": true, "Store": true}

// TestKeys_OBS_12: keys are a JWK Set, or PEM as a text.
func TestKeys_OBS_12(t *testing.T) {
	for text, want := range map[string]string{
		`{"keys": []}`:                   `{"keys": []}`,
		`"-----BEGIN PUBLIC KEY-----\n"`: "-----BEGIN PUBLIC KEY-----\n",
	} {
		f, err := Read("keys.json", []byte(`{"issuers": [{"keys": `+text+`}]}`))
		require.NoError(t, err)
		assert.Equal(t, want, string(f.Config.Issuers[0].Keys))
	}
}

// TestNull_RELOAD_09: null is as good as nothing, and an empty list is not.
func TestNull_RELOAD_09(t *testing.T) {
	members := func(value string) *File {
		f, err := Read("null.json", []byte(strings.ReplaceAll(`{"resource": ~, "issuers": ~, "scopes": ~, "leeway": ~, "max_body": ~, "rules": ~, "session_key": ~}`, "~", value)))
		require.NoError(t, err)
		return f
	}
	assert.Equal(t, mcpauth.Config{}, members("null").Config)
	f, err := Read("null.json", []byte(`{"issuers": [], "scopes": [], "rules": {}}`))
	require.NoError(t, err)
	assert.NotNil(t, f.Config.Issuers)
	assert.NotNil(t, f.Config.Scopes)
	assert.Equal(t, mcpauth.Rules{}, f.Config.Policy)
	f, err = Read("broken.json", []byte(`{"scopes": "a", "implies": "a", "metadata": "a", "issuers": "a", "max_body": "1", "leeway": 30}`))
	require.Error(t, err)
	assert.Equal(t, mcpauth.Config{}, f.Config, "what is of another kind counts for nothing")
}

// TestSecrets_RELOAD_09: a secret is read from its place, beside the file if its name is relative, and nobody else has rights there.
func TestSecrets_RELOAD_09(t *testing.T) {
	dir := t.TempDir()
	key := strings.Repeat("0123456789abcdef", 2)
	ofOthers := ""
	if runtime.GOOS == "windows" { // where no mode says who may read a file
		ofOthers = key
	}
	for i, tt := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"plain", key, 0o600, key},
		{"read-only", key, 0o400, key},
		{"a line", key + "\n", 0o600, key},
		{"a line of Windows", key + "\r\n", 0o600, key},
		{"two lines", key + "\n\n", 0o600, key + "\n"},
		{"group", key, 0o640, ofOthers},
		{"everybody", key, 0o644, ofOthers},
		{"empty", "\n", 0o600, ""},
		{"as large as may be", strings.Repeat(key, 2048) + "\n", 0o600, strings.Repeat(key, 2048)},
		{"too large", strings.Repeat(key, 2048) + "0", 0o600, ""},
		{"large", strings.Repeat(key, 4096), 0o600, ""},
	} {
		name := fmt.Sprint("key", i) // each its own: one that is read-only cannot be written again everywhere
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(tt.content), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), tt.mode))
		config, err := Parse(filepath.Join(dir, "mcpauth.json"), []byte(`{"session_key": {"file": "`+name+`"}}`))
		if tt.want == "" {
			require.Error(t, err, tt.name)
			assert.NotContains(t, err.Error(), "0123", tt.name)
		} else {
			require.NoError(t, err, tt.name)
			assert.Equal(t, tt.want, string(config.SessionKey), tt.name)
		}
	}
	f, err := Read("no/mcpauth.json", []byte(`{"session_key": {"file": "no-such-key"}}`))
	require.NoError(t, err, "the command needs none")
	assert.Nil(t, f.Config.SessionKey)
}

// TestIntrospection_INTRO_01_RELOAD_09: how an issuer is asked, with a secret that stands elsewhere, in whatever order.
func TestIntrospection_INTRO_01_RELOAD_09(t *testing.T) {
	t.Setenv("MCPAUTH_TEST_KEY", "s3cret")
	const file = `{"issuers": [{"introspect": ~}], "session_key": {"env": "MCPAUTH_NO_SUCH_KEY"}}`
	for text, want := range map[string]string{
		`null`: "", `{"tokeninfo": true}`: "",
		`{"client": {"id": "a", "secret": {"env": "MCPAUTH_TEST_KEY"}}}`: "Basic YTpzM2NyZXQ=",
		`{"client": {"secret": {"env": "MCPAUTH_TEST_KEY"}, "id": "a"}}`: "Basic YTpzM2NyZXQ=",
	} {
		f, err := Read("asks.json", []byte(strings.ReplaceAll(file, "~", text)))
		require.NoError(t, err)
		how := f.Config.Issuers[0].Introspect
		if text == "null" {
			assert.Nil(t, how)
			continue
		}
		require.Error(t, how.Client.Validate(), "no secret was read: it fails closed")
		require.NoError(t, f.ReadClientSecrets(), "the other secrets are not looked at")
		header := http.Header{}
		assert.Equal(t, want == "", how.Client.Apply(t.Context(), clientauth.Endpoint{}, header, nil) != nil)
		assert.Equal(t, want, header.Get("Authorization"))
	}
	_, err := Parse("asks.json", []byte(`{"resource": "https://a.example/mcp", "issuers": [{"url": "https://i.example",
"introspect": {"client": {"id": "a", "secret": {"env": "MCPAUTH_NO_SUCH_KEY"}}}}]}`))
	assert.EqualError(t, err, `asks.json:2:48: issuers[0].introspect.client.secret: the environment has no "MCPAUTH_NO_SUCH_KEY": set it, or correct its name`)
	_, err = Read("asks.json", []byte(`{"scope": [], "issuers": [{"url": "https://i.example", "introspect": {"client": {"id": "a", "secret": {"env": "MCPAUTH_NO_SUCH_KEY"}}}}]}`))
	assert.EqualError(t, err, `asks.json:1:2: scope: no such member: write "scopes"`, "nobody has looked whether there is a secret")
}

// TestModes_DPOP_01_RELOAD_09: the modes of DPoP by name.
func TestModes_DPOP_01_RELOAD_09(t *testing.T) {
	for text, want := range map[string]mcpauth.DPoP{`null`: mcpauth.DPoPOff, `"off"`: mcpauth.DPoPOff, `"accepted"`: mcpauth.DPoPAccepted, `"required"`: mcpauth.DPoPRequired} {
		f, err := Read("dpop.json", []byte(`{"issuers": [{"dpop": `+text+`}]}`))
		require.NoError(t, err)
		assert.Equal(t, want, f.Config.Issuers[0].DPoP)
	}
	for text, what := range map[string]string{`"on"`: `"on"`, `true`: "true"} {
		_, err := Read("dpop.json", []byte(`{"issuers": [{"dpop": `+text+`}]}`))
		assert.EqualError(t, err, `dpop.json:1:23: issuers[0].dpop: `+what+`: write "off", "accepted" or "required"`)
	}
}

// TestPlain: a member of the file and a field of a Config have one plain path.
func TestPlain(t *testing.T) {
	for field, member := range map[string]string{
		"Issuers[0].JWKSURI":                      "issuers[0].jwks_uri",
		`Issuers[12].Claims.RoleScopes["A_B.\""]`: `issuers[12].claims.role_scopes["A_B.\""]`,
		`Policy.Tools["Policy"]`:                  `rules.tools["Policy"]`,
		"AllowIDTokenClaims":                      "allow_id_token_claims",
		`Policy.Tools["a"].InBand`:                `rules.tools["a"].in_band`,
	} {
		assert.Equal(t, plain(member), plain(field))
		assert.Equal(t, member, inFile(field))
	}
	assert.Equal(t, `xyz"Y_Z\`, plain(`X_YZ"Y_Z\`), "what ends in the middle")
	for path, first := range map[string]string{`rules.tools["a.b[0]\"."].x`: "rules", `.tools["a"]`: ".tools", `["a.b[0]\"."].x`: `["a.b[0]\"."]`, "[0][1]": "[0]", "issuers": "issuers"} {
		got, rest := cutStep(path)
		assert.Equal(t, first, got)
		assert.Equal(t, path, got+rest)
	}
}

// TestCost_RELOAD_09: what reading a file takes grows as the file does, whatever stands in it.
func TestCost_RELOAD_09(t *testing.T) {
	many := func(n int, between string, one func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteString(between)
			}
			b.WriteString(one(i))
		}
		return b.String()
	}
	tool := func(i int) string { return fmt.Sprintf(`"tool_number_%06d":["scope:number:%06d"]`, i, i) }
	const head = `{"resource":"https://a.example/mcp","issuers":[{"url":"https://i.example"}],`
	for name, file := range map[string]func(n int) string{
		"tools, a line each": func(n int) string { return head + `"rules":{"tools":{` + many(n, ",\n", tool) + `}}}` },
		"tools in one line":  func(n int) string { return head + `"rules":{"tools":{` + many(n, ",", tool) + `}}}` },
		"a long name": func(n int) string {
			return `{"metadata":{"` + strings.Repeat("n", 10*n) + `":{` + many(n, ",", func(i int) string { return fmt.Sprintf(`"%d":1`, i) }) + `}}}`
		},
		"a long name of a tool": func(n int) string {
			return head + `"rules":{"tools":{"` + strings.Repeat("n", 10*n) + `":[` + many(n, ",", func(i int) string { return fmt.Sprintf(`"s%d"`, i) }) + `]}}}`
		},
		"mistakes": func(n int) string {
			return head + many(n, ",", func(i int) string { return fmt.Sprintf(`"%s%d":1`, strings.Repeat("x", 100), i) }) + `}`
		},
		"the same": func(n int) string { return head + many(n, ",\n", func(int) string { return `"scopes":[]` }) + `}` },
		"mistakes of the server": func(n int) string {
			return head + `"scopes":[` + many(n, ",", func(int) string { return `"a b"` }) + `]}`
		},
	} {
		bytes := func(n int) uint64 {
			text := []byte(file(n))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = Parse("mcpauth.json", text)
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		bytes(10)
		few, many := bytes(1000), bytes(4000)
		assert.Less(t, many, 7*few, name)
		t.Logf("%s: %d KB, and %d KB for four times as much", name, few>>10, many>>10)
	}
}

// TestManyMistakes_RELOAD_09: of many mistakes the first are told, and how many there are.
func TestManyMistakes_RELOAD_09(t *testing.T) {
	unknown, server := `{"resource":"https://a.example/mcp"`, `{"resource":"https://a.example/mcp","issuers":[{"url":"https://i.example"}],"scopes":["a b"`
	for i := range 2000 {
		unknown += fmt.Sprintf(",\n\"x%d\":1", i)
		server += ",\n\"a b\""
	}
	for text, total := range map[string]int{unknown + "}": 2000, server + "]}": 2001} {
		_, err := Parse("mcpauth.json", []byte(text))
		all := each(err)
		require.Len(t, all, maxMistakes+1)
		var first, last *Error
		require.ErrorAs(t, all[0], &first)
		require.ErrorAs(t, all[maxMistakes], &last)
		assert.LessOrEqual(t, first.Line, 2)
		assert.Equal(t, fmt.Sprintf("and %d mistakes more", total-maxMistakes), last.What)
		assert.Contains(t, last.Error(), ": the file: and ")
	}

	unknown = `{"resource":"http://a.example/mcp"`
	for i := range 60 {
		unknown += fmt.Sprintf(`,"x%d":1`, i)
	}
	_, err := Parse("mcpauth.json", []byte(unknown+"}"))
	assert.Len(t, each(err), maxMistakes+1)
	assert.Contains(t, err.Error(), "and 10 mistakes more", "what may be wrong beside them is not told")
	assert.NotContains(t, err.Error(), "must be https")

	unknown = `{"resource":"https://a.example/mcp"`
	for i := range maxMistakes - 1 {
		unknown += fmt.Sprintf(`,"x%d":1`, i)
	}
	_, err = Parse("mcpauth.json", []byte(unknown+`,"issuers":[{"url":"https://i.example","algorithm":"RS256","algorithms":[]}]}`))
	assert.Len(t, each(err), maxMistakes, "the last of them hides what may come of it, too")
}

// TestNamelessMembers_RELOAD_09: a name of underscores alone, or an empty one, is a mistake of its own: nothing that is said of others comes of it.
func TestNamelessMembers_RELOAD_09(t *testing.T) {
	for name, shown := range map[string]string{"_": "_", "__": "__", "": `""`, "x": "x"} {
		at := func(column int) string { return fmt.Sprintf("m.json:1:%d: ", column) }
		n := len(name)
		all := fileMembers.names()
		_, err := Parse("m.json", []byte(`{"`+name+`": 1, "resource": "mcp.example.com/mcp"}`))
		assert.EqualError(t, err, at(2)+shown+": no such member: there are "+strings.Join(all, ", ")+"\n"+
			at(21+n)+`resource: "mcp.example.com/mcp": not an absolute URL: write https://host/path`, name)

		_, err = Parse("m.json", []byte(`{"`+name+`": 1, "`+name+`": 1, "resource": "mcp.example.com/mcp"}`))
		assert.ErrorContains(t, err, at(9+n)+shown+": stands twice", name)
		assert.ErrorContains(t, err, ": not an absolute URL", name)

		_, err = Parse("m.json", []byte(`{"issuers": [{"`+name+`": 1, "url": "http://login.example.com"}], "resource": "mcp.example.com/mcp"}`))
		assert.ErrorContains(t, err, at(15)+"issuers[0]."+shown+": no such member: there are ", name)
		assert.ErrorContains(t, err, ": not an absolute URL", name)
		assert.ErrorContains(t, err, ": must be https", "it stands by itself, whatever the other member was meant to be")

		_, err = Parse("m.json", []byte(`{"metadata": {"`+name+`": []}, "resource": "mcp.example.com/mcp"}`))
		assert.ErrorContains(t, err, "metadata["+fmt.Sprintf("%q", name)+"]: ", name)
		assert.ErrorContains(t, err, ": not an absolute URL", name)
	}
	for _, text := range []string{`[]`, `5`, `null`} { // of what is no object nothing can be said
		_, err := Parse("m.json", []byte(text))
		assert.Len(t, each(err), 1)
	}
}

// TestLongPath_RELOAD_09: of a long name is shown how it begins.
func TestLongPath_RELOAD_09(t *testing.T) {
	_, err := Parse("mcpauth.json", []byte(`{"holders": {"`+strings.Repeat("n", 1000)+`": 5}}`))
	assert.EqualError(t, err, `mcpauth.json:1:1018: holders["`+strings.Repeat("n", 291)+`...: a number: write a list, ["a", "b"]`)
}
