package mcpauth_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var (
	// RFC 9110: token and quoted-string of visible ASCII, nothing else escaped
	// than quote and backslash, one space after each comma.
	challengeLine  = regexp.MustCompile(`^([!#$%&'*+.^_` + "`" + `|~0-9A-Za-z-]+)((?:(?:^|, | )[!#$%&'*+.^_` + "`" + `|~0-9A-Za-z-]+="(?:[ !#-\[\]-~]|\\["\\])*")*)$`)
	challengeParam = regexp.MustCompile(`(, | )([!#$%&'*+.^_` + "`" + `|~0-9A-Za-z-]+)="((?:[ !#-\[\]-~]|\\["\\])*)"`)
)

// parseChallenge reads a challenge as a strict client does; it fails the test
// at anything that is not the grammar, and at a parameter that stands twice.
func parseChallenge(t *testing.T, line string) (scheme string, params map[string]string, order []string) {
	t.Helper()
	whole := challengeLine.FindStringSubmatch(line)
	require.NotNil(t, whole, "not a challenge: %q", line)
	params = map[string]string{}
	for i, p := range challengeParam.FindAllStringSubmatch(whole[2], -1) {
		require.Equal(t, i == 0, p[1] == " ", "separator in %q", line)
		require.NotContains(t, params, p[2], "%q stands twice in %q", p[2], line)
		params[p[2]] = regexp.MustCompile(`\\(.)`).ReplaceAllString(p[3], "$1")
		order = append(order, p[2])
	}
	return whole[1], params, order
}

// refusedToken is one way to earn a 401.
type refusedToken struct {
	name    string
	headers []string // whole headers, or
	token   func(*fixture) string
	words   string // of the error_description; "" for the bare challenge
	change  func(*mcpauth.Config)
}

// raw signs a header and the claims of a good token with the issuer's key.
func rawHeader(header string) func(*fixture) string {
	return func(f *fixture) string { return f.issuer.Sign(header, wireClaims()) }
}

// rawClaims signs any text as claims.
func rawClaims(claims string) func(*fixture) string {
	return func(f *fixture) string { return f.issuer.Sign(wireHeader, claims) }
}

func goodBut(name string, value any) func(*fixture) string {
	return func(f *fixture) string { return f.token(mcpauthtest.Claims{name: value}) }
}

func mangle(change func(string) string) func(*fixture) string {
	return func(f *fixture) string { return change(f.token(nil)) }
}

func refusedTokens() []refusedToken {
	hour := time.Now().Add(time.Hour).Unix()
	rows := []refusedToken{
		{name: "no header"},
		{name: "Basic", headers: []string{"Authorization: Basic eDp5"}},
		{name: "DPoP scheme", headers: []string{"Authorization: DPoP abc"}},
		{name: "Bearer alone", headers: []string{"Authorization: Bearer"}},
		{name: "Bearer and spaces", headers: []string{"Authorization: Bearer   "}},
		{name: "empty field", headers: []string{"Authorization: "}},
		{name: "token without scheme", headers: []string{"Authorization: eyJh.eyJh.abc"}},
		{name: "scheme glued to token", headers: []string{"Authorization: BearereyJh.eyJh.abc"}},
		{name: "Proxy-Authorization", headers: []string{"Proxy-Authorization: Bearer abc"}},
		{name: "cookie", headers: []string{"Cookie: access_token=abc"}},
	}
	for name, text := range map[string]string{"one segment": "abc", "two segments": "a.b", "four segments": "a.b.c.d", "five segments, a JWE": "a.b.c.d.e",
		"only dots": "..", "not base64": "!!.!!.!!", "padding": "e30=.e30=.e30=", "empty objects": "e30.e30.", "null": "bnVsbA.bnVsbA.AAAA", "inner space": "a b.c.d", "control": "a\x01.b.c"} {
		rows = append(rows, refusedToken{name: name, headers: []string{"Authorization: Bearer " + text}, words: "*"})
	}
	for _, alg := range []string{"none", "None", "HS256", "HS512", "ES256K", "RS1", "", "rs256", "RSA-OAEP", "dir"} {
		rows = append(rows, refusedToken{name: "alg " + alg, token: rawHeader(`{"alg":"` + alg + `","kid":"k1","typ":"at+jwt"}`), words: "signature algorithm not accepted"})
	}
	for _, typ := range []string{"dpop+jwt", "secevent+jwt", "logout+jwt", "application/dpop+jwt", "JWE", "id_token+jwt", "kb+jwt"} {
		rows = append(rows, refusedToken{name: "typ " + typ, token: rawHeader(`{"alg":"RS256","kid":"k1","typ":"` + typ + `"}`), words: "token type not accepted"})
	}
	rows = append(rows,
		refusedToken{name: "crit", token: rawHeader(`{"alg":"RS256","kid":"k1","crit":["exp"],"exp":1}`), words: "malformed token"},
		refusedToken{name: "b64", token: rawHeader(`{"alg":"RS256","kid":"k1","b64":false,"crit":["b64"]}`), words: "malformed token"},
		refusedToken{name: "alg twice", token: rawHeader(`{"alg":"RS256","alg":"none","kid":"k1"}`), words: "malformed token"},
		refusedToken{name: "alg missing", token: rawHeader(`{"kid":"k1"}`), words: "signature algorithm not accepted"},
		refusedToken{name: "alg is a number", token: rawHeader(`{"alg":1}`), words: "signature algorithm not accepted"},
		refusedToken{name: "typ is a number", token: rawHeader(`{"alg":"RS256","kid":"k1","typ":1}`), words: "token type not accepted"},
		refusedToken{name: "unknown kid", token: rawHeader(`{"alg":"RS256","kid":"zz","typ":"at+jwt"}`), words: "signing key unknown"},
		refusedToken{name: "kid that injects", token: rawHeader(`{"alg":"RS256","kid":"x\", error=\"y\r\nSet-Cookie: a=b","typ":"at+jwt"}`), words: "*"},
		refusedToken{name: "alg of another key type", token: rawHeader(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`), words: "signing key unknown"},
		refusedToken{name: "PS256 with the RS256 key", token: rawHeader(`{"alg":"PS256","kid":"k1","typ":"at+jwt"}`), words: "*"},
		refusedToken{name: "alg outside the configured ones", token: func(f *fixture) string { return f.token(nil) }, words: "signature algorithm not accepted",
			change: func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{"ES256"} }},
		refusedToken{name: "signature cut", token: mangle(func(s string) string { return s[:len(s)-4] }), words: "*"},
		refusedToken{name: "signature empty", token: mangle(func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }), words: "*"},
		refusedToken{name: "signature of other claims", token: mangle(func(s string) string {
			parts := strings.Split(s, ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(wireClaims(), "mcp:read", "mcp:admin", 1)))
			return strings.Join(parts, ".")
		}), words: "signature invalid"},
		refusedToken{name: "signature by a stranger", token: func(*fixture) string { return mcpauthtest.NewKey("k1", "PS512").Sign(wireHeader, wireClaims()) }, words: "signature invalid"},
		refusedToken{name: "longer than 16 KiB", token: mangle(func(s string) string { return s + strings.Repeat("A", 16<<10) }), words: "token too complex"},
		refusedToken{name: "too many scopes", token: goodBut("scope", manyScopes(300)), words: "token too complex"},
		refusedToken{name: "scope too long", token: goodBut("scope", strings.Repeat("s", 300)), words: "token too complex"},
		refusedToken{name: "revoked", token: func(f *fixture) string { return f.token(nil) }, words: "token revoked",
			change: wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil })},
		refusedToken{name: "cnf", token: goodBut("cnf", map[string]any{"x5t#S256": "abc"}), words: "sender-constrained token without proof of possession"},
		refusedToken{name: "exp twice", token: rawClaims(`{"iss":"` + testIssuerURL + `","exp":1,"exp":99999999999}`), words: "malformed token"},
		refusedToken{name: "claims are no object", token: rawClaims(`[]`), words: "malformed token"},
		refusedToken{name: "claims with a tail", token: rawClaims(`{} {}`), words: "malformed token"},
		refusedToken{name: "claims not UTF-8", token: rawClaims("{\"iss\":\"\xff\"}"), words: "malformed token"},
		refusedToken{name: "ID token", words: "token type not accepted", token: func(f *fixture) string {
			return f.issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"u","nonce":"n","exp":%d}`, testIssuerURL, testResource, hour))
		}},
		refusedToken{name: "lives too long", token: goodBut("exp", hour), words: "claim missing or malformed",
			change: func(c *mcpauth.Config) { c.Issuers[0].MaxLifetime = time.Minute }},
	)
	for _, row := range []struct {
		claim string
		value any
		words string
	}{
		{"iss", nil, "claim missing or malformed"}, {"iss", 1, "claim missing or malformed"}, {"iss", "https://evil.example\r\nX: y", "issuer not accepted"},
		{"iss", testIssuerURL + "/", "issuer not accepted"}, {"iss", strings.ToUpper(testIssuerURL), "issuer not accepted"}, {"iss", []string{testIssuerURL}, "claim missing or malformed"},
		{"aud", nil, "audience mismatch"}, {"aud", "", "audience mismatch"}, {"aud", testResource + "/", "audience mismatch"}, {"aud", testResource + "x", "audience mismatch"},
		{"aud", []any{}, "audience mismatch"}, {"aud", []any{testResource, 1}, "audience mismatch"}, {"aud", map[string]any{"a": testResource}, "audience mismatch"}, {"aud", "https://mcp.example.com", "audience mismatch"},
		{"exp", nil, "claim missing or malformed"}, {"exp", "tomorrow", "claim missing or malformed"}, {"exp", 0, "claim missing or malformed"}, {"exp", -1, "claim missing or malformed"},
		{"exp", 1e300, "claim missing or malformed"}, {"exp", 1000, "token expired"}, {"nbf", hour, "token not yet valid"}, {"iat", hour, "token not yet valid"}, {"nbf", "now", "claim missing or malformed"},
		{"sub", nil, "claim missing or malformed"}, {"sub", "", "claim missing or malformed"}, {"sub", 7, "claim missing or malformed"}, {"sub", "a\nb", "claim missing or malformed"}, {"sub", strings.Repeat("s", 2049), "token too complex"},
	} {
		rows = append(rows, refusedToken{name: fmt.Sprintf("%s %.30v", row.claim, row.value), token: goodBut(row.claim, row.value), words: row.words})
	}
	return rows
}

func manyScopes(n int) string {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("s%d", i)
	}
	return strings.Join(scopes, " ")
}

// TestEvery401 asserts the whole answer of each, and that it carries nothing of the token.
func TestEvery401_CHAL_01_CHAL_02_CHAL_03_CHAL_05_CHAL_06_CHAL_12_CHAL_17_CHAL_23_CHAL_26(t *testing.T) {
	rows := refusedTokens()
	require.GreaterOrEqual(t, len(rows), 60, "CHAL-01")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, row.change)
			token := ""
			if row.token != nil {
				token = row.token(f)
			}
			headers := append([]string{}, row.headers...)
			headers = append(headers, modernHeaders("tools/call", "admin_delete")...)
			w := f.post(token, modernCall("admin_delete"), headers...)
			assert.Equal(t, http.StatusUnauthorized, w.Code)
			assert.Zero(t, f.ran)
			lines := w.Header().Values("WWW-Authenticate")
			require.Len(t, lines, 1)
			scheme, params, order := parseChallenge(t, lines[0])
			assert.Equal(t, "Bearer", scheme)
			assert.Equal(t, testMetadataURL, params["resource_metadata"], "CHAL-05")
			assert.Equal(t, "mcp:read", params["scope"], "CHAL-06: the same for everybody, whatever is called")
			assert.NotContains(t, params, "realm", "CHAL-26")
			body := documentOf(t, w.Body.Bytes())
			if row.words == "" {
				assert.Equal(t, bareChallenge, lines[0], "CHAL-02")
				assert.Equal(t, map[string]any{"error_description": "authorization required"}, body)
			} else {
				assert.Equal(t, "invalid_token", params["error"], "CHAL-03")
				assert.Equal(t, []string{"error", "error_description", "scope", "resource_metadata"}, order, "CHAL-27")
				assert.Equal(t, map[string]any{"error": "invalid_token", "error_description": params["error_description"]}, body)
				assert.Contains(t, wireReasonWords(t), params["error_description"], "CHAL-23: a text of the catalogue")
				if row.words != "*" {
					assert.Equal(t, row.words, params["error_description"])
				}
			}
			assert.Equal(t, http.Header{
				"Cache-Control":          {"no-store"},
				"Content-Type":           {"application/json"},
				"Content-Length":         {fmt.Sprint(w.Body.Len())},
				"Www-Authenticate":       lines,
				"X-Content-Type-Options": {"nosniff"},
			}, w.Header(), "CHAL-17 CHAL-31")
		})
	}
}

func wireReasonWords(*testing.T) []string {
	var words []string
	for _, e := range refusal.Catalogue() {
		text := string(e.Reason)
		words = append(words, text)
	}
	return words
}

// CHAL-06: who asks learns nothing about which tools there are.
func TestNoOracleForTools_CHAL_06(t *testing.T) {
	f := newFixture(t, nil)
	var first *httptest.ResponseRecorder
	for _, tool := range []string{"admin_delete", "echo", "no_such_tool"} {
		w := f.call("", tool)
		if first == nil {
			first = w
		}
		assert.Equal(t, first.Header(), w.Header())
		assert.Equal(t, first.Body.String(), w.Body.String())
	}
}

// Whatever a tool is called, the challenge for it is one line of valid grammar
// with each parameter once, and a name that cannot stand in a scope asks for none.
func TestChallengeGrammar_CHAL_09_CHAL_10_CHAL_11(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"*": mcpauth.Scopes("tool:{name}:execute")}}
	})
	token := f.token(mcpauthtest.Claims{"scope": "x"})
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("ab:/{}\"\\,= \r\n\t\x00\x7f\u00e9\u2028\u202e\U0001F600'%<")
	names := []string{`a", resource_metadata="https://evil.example`, "a b", "x\r\nSet-Cookie: a=b", "{name}", `\`, `"`, "plain"}
	for range 800 {
		name := make([]rune, 1+random.IntN(12))
		for i := range name {
			name[i] = alphabet[random.IntN(len(alphabet))]
		}
		names = append(names, string(name))
	}
	asked := 0
	for _, name := range names {
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(quoted) + `}}`
		w := f.post(token, body)
		require.Zero(t, f.ran)
		require.Contains(t, []int{400, 403}, w.Code, "%q", name)
		lines := w.Header().Values("WWW-Authenticate")
		if len(lines) == 0 {
			continue
		}
		require.Len(t, lines, 1)
		_, params, _ := parseChallenge(t, lines[0])
		require.Equal(t, map[string]string{"error": "insufficient_scope", "scope": "tool:" + name + ":execute", "resource_metadata": testMetadataURL}, params)
		require.Regexp(t, `^[\x21\x23-\x5b\x5d-\x7e]+$`, params["scope"])
		asked++
	}
	require.Greater(t, asked, 20)

	t.Run("CHAL-11 descriptions", func(t *testing.T) {
		for range 1000 {
			garbage := make([]byte, random.IntN(40))
			for i := range garbage {
				garbage[i] = byte(random.IntN(256))
			}
			r := f.request(http.MethodPost, "/mcp", "", "{}")
			r.Header["Authorization"] = []string{"Bearer " + string(garbage)}
			w := f.serve(r)
			lines := w.Header().Values("WWW-Authenticate")
			require.Len(t, lines, 1)
			_, params, _ := parseChallenge(t, lines[0])
			require.Regexp(t, `^[\x20\x21\x23-\x5b\x5d-\x7e]{0,200}$`, params["error_description"])
		}
	})
}

func TestScopesOfTheChallenge(t *testing.T) {
	three := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
		"two": mcpauth.Scopes("a", "b"), "dup": mcpauth.Scopes("b", "a", "b"),
		"any": {AllOf: []string{"a"}, AnyOf: [][]string{{"x", "y"}}}, "write": mcpauth.Scopes("mcp:write"),
	}}
	implied := map[string][]string{"mcp:admin": {"mcp:write"}, "mcp:write": {"mcp:read", "mcp:list"}}
	for _, row := range []struct {
		name, scope, tool string
		modern            string // scope of the modern challenge, "" for allowed
		legacy            string
	}{
		{"CHAL-07 all scopes of the operation", "a", "two", "a b", "a b"},
		{"CHAL-07 none of them there", "c", "two", "a b", "a b"},
		{"CHAL-09 each once, in the order of the rule", "mcp:read", "dup", "b a", "mcp:read b a"},
		{"CHAL-07 an any-of group is one scope", "a", "any", "a x", "a x"},
		{"CHAL-07 and the one that is held", "y", "any", "a y", "y a"},
		{"CHAL-08 legacy clients forget what they had", "mcp:read", "write", "mcp:write", "mcp:read mcp:write"},
		{"CHAL-08 a scope that nothing names but another one that includes it", "mcp:list", "write", "mcp:write", "mcp:list mcp:write"},
		{"CHAL-08 but scopes that are not ours stay out", "openid mcp:read email", "write", "mcp:write", "mcp:read mcp:write"},
		{"CLAIM-10 the broader scope opens", "mcp:admin", "write", "", ""},
		{"CLAIM-10 and is never asked for", "mcp:read", "write", "mcp:write", "mcp:read mcp:write"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) { c.Policy, c.Implies = three, implied })
			token := f.token(mcpauthtest.Claims{"scope": row.scope})
			for _, era := range []struct {
				call func() *httptest.ResponseRecorder
				want string
			}{
				{func() *httptest.ResponseRecorder { return f.call(token, row.tool) }, row.modern},
				{func() *httptest.ResponseRecorder { return f.legacyCall(token, row.tool) }, row.legacy},
				{func() *httptest.ResponseRecorder { return f.post(token, legacyCall(row.tool)) }, row.legacy},
			} {
				w := era.call()
				if era.want == "" {
					f.served(w)
					continue
				}
				f.refused(w, http.StatusForbidden, `Bearer error="insufficient_scope", scope="`+era.want+`", resource_metadata="`+testMetadataURL+`"`)
				data := documentOf(t, w.Body.Bytes())["error"].(map[string]any)["data"]
				assert.Equal(t, map[string]any{"error": "insufficient_scope", "scope": era.want, "resource_metadata": testMetadataURL}, data, "CHAL-22")
			}
		})
	}
}

// CHAL-15: a client that is asked for scopes it cannot get goes through consent for ever.
func TestHopelessCallsAskForNothing_CHAL_15(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
	for _, w := range []*httptest.ResponseRecorder{
		f.call(token, "unlisted"), f.legacyCall(token, "unlisted"),
		f.post(token, modernBody("prompts/get", `"name":"p"`), modernHeaders("prompts/get", "p")...),
		f.post(token, modernBody("resources/read", `"uri":"file:///x"`), modernHeaders("resources/read", "file:///x")...),
	} {
		f.refused(w, http.StatusForbidden, "")
		assert.NotContains(t, w.Body.String(), "scope")
		assert.NotContains(t, w.Body.String(), "data")
	}
}

// Each 400 is a JSON-RPC error, which tells a client of two eras that this is
// no server of the older one; the id is repeated when there is exactly one.
func TestErrorBodies_CHAL_14_CHAL_20(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	for _, row := range []struct {
		name    string
		body    string
		headers []string
		status  int
		code    float64
		id      any
	}{
		{"id repeated", `{"jsonrpc":"2.0","id":"x-1","method":"tools/call","params":{"name":"unlisted"}}`, nil, 403, -31403, "x-1"},
		{"number id repeated as written", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}`, nil, 400, -32602, 7.0},
		{"id with markup and line break", `{"jsonrpc":"2.0","id":"<b>\u000a\"","method":"tools/call","params":{}}`, nil, 400, -32602, "<b>\n\""},
		{"notification has none", `{"jsonrpc":"2.0","method":"tools/call","params":{}}`, nil, 400, -32602, nil},
		{"two ids", `{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}`, nil, 400, -32600, nil},
		{"id and Id", `{"jsonrpc":"2.0","id":1,"Id":2,"method":"ping"}`, nil, 400, -32600, nil},
		{"id is an object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, nil, 400, -32600, nil},
		{"id is null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, 400, -32600, nil},
		{"id is a fraction", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, nil, 400, -32600, nil},
		{"id too long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("i", 70000) + `","method":"ping"}`, nil, 400, -32600, nil},
		{"version missing, id clear", `{"id":3,"method":"ping"}`, nil, 400, -32600, 3.0},
		{"an answer has an id of ours, not of the client's", `{"jsonrpc":"2.0","id":4,"result":{}}`, []string{"MCP-Protocol-Version: 2026-07-28"}, 400, -32600, nil},
		{"a batch where there are none", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, []string{"MCP-Protocol-Version: 2025-11-25"}, 400, -32600, nil},
		{"a batch has no id of its own", `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"unlisted"}}]`, nil, 403, -31403, nil},
		{"a batch with bad params", `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}]`, nil, 400, -32602, nil},
		{"a batch cut short", `[{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil, 400, -32700, nil},
		{"no JSON", `{"jsonrpc":"2.0","id":1,`, nil, 400, -32700, nil},
		{"two texts", `{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, nil, 400, -32700, nil},
		{"headers disagree", modernCall("echo"), modernHeaders("tools/call", "other"), 400, -32020, 1.0},
		{"two credentials", modernCall("echo"), append(modernHeaders("tools/call", "echo"), "Authorization: Bearer a", "Authorization: Bearer b"), 400, -32600, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := f.post(token, row.body, row.headers...)
			assert.Equal(t, row.status, w.Code, "%s", w.Body)
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), "CHAL-17")
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), "PRM-30")
			body := documentOf(t, w.Body.Bytes())
			assert.Equal(t, "2.0", body["jsonrpc"])
			assert.Equal(t, row.code, body["error"].(map[string]any)["code"])
			if strings.Contains(row.name, "markup") {
				assert.Contains(t, w.Body.String(), `"id":"<b>\u000a\""`, "as written")
			}
			id, given := body["id"]
			assert.Equal(t, row.id, id)
			assert.Equal(t, row.id != nil, given)
			assert.Equal(t, strings.HasPrefix(row.name, "two credentials"), w.Header().Get("WWW-Authenticate") != "", "CHAL-14")
			assert.Less(t, w.Body.Len(), 1024)
			assert.Zero(t, f.ran)
		})
	}
}

// CHAL-23: what goes wrong inside is told to the log and to nobody else.
func TestBodiesShowNoInternals_CHAL_23(t *testing.T) {
	secret := errors.New("dial tcp 10.9.8.7:5432: password=hunter2")
	for name, change := range map[string]func(*mcpauth.Config){
		"policy error": wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, secret
		}),
		"policy panic":  wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic(secret) }),
		"revoked error": wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) { return false, secret }),
		"revoked panic": wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) { panic(secret) }),
		"keys": func(c *mcpauth.Config) {
			c.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, secret })
		},
		"bad policy answer": wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Scopes("dial tcp"), nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			w := f.call(f.token(nil), "echo")
			assert.Contains(t, []int{500, 503}, w.Code)
			assert.Zero(t, f.ran)
			whole := fmt.Sprint(w.Header(), w.Body)
			for _, inside := range []string{"hunter2", "10.9.8.7", "dial", "panic", "goroutine", ".go", "k1", testIssuerURL, "user-1"} {
				assert.NotContains(t, whole, inside)
			}
			assert.Contains(t, f.log.String(), "request refused")
		})
	}
}

// CHAL-24: for 200 refusals in a row the wait is a whole number of seconds from 1 to 30,
// not always the same, and nothing makes the client throw its token away.
func TestRetryAfter_CHAL_24(t *testing.T) {
	f := newFixture(t, nil)
	f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	token := f.token(nil)
	seen := map[string]int{}
	for range 200 {
		w := f.call(token, "echo")
		f.refused(w, http.StatusServiceUnavailable, "")
		require.Regexp(t, `^([1-9]|[12][0-9]|30)$`, w.Header().Get("Retry-After"))
		assert.NotContains(t, w.Body.String(), "invalid_token")
		seen[w.Header().Get("Retry-After")]++
	}
	assert.Greater(t, len(seen), 1, "jitter: %v", seen)
}

func TestDeterminism_CHAL_27(t *testing.T) {
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Implies = map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}
		c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"m": {AllOf: []string{"z", "y"}, AnyOf: [][]string{{"c", "d"}, {"x", "w"}}}}}
	})
	tokens := []string{"", "garbage", f.token(nil), f.token(mcpauthtest.Claims{"scope": "w mcp:read y"})}
	for _, token := range tokens {
		for _, legacy := range []bool{false, true} {
			var first *httptest.ResponseRecorder
			for range 100 {
				w := f.call(token, "m")
				if legacy {
					w = f.legacyCall(token, "m")
				}
				if first == nil {
					first = w
				}
				require.Equal(t, first.Header(), w.Header())
				require.Equal(t, first.Body.String(), w.Body.String())
			}
		}
	}
}

// serverFor puts the fixture behind a real server on loopback.
func serverFor(t *testing.T, f *fixture, h2 bool) (*httptest.Server, *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(f.handler)
	if h2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	return server, client
}

// CHAL-25: a long body is refused unread, the answer arrives, and the connection ends.
func TestLongBodyIsRefusedUnread_CHAL_25(t *testing.T) {
	f := newFixture(t, nil)
	server, client := serverFor(t, f, false)
	for _, row := range []struct {
		name   string
		body   io.Reader
		token  string
		status int
	}{
		{"10 MiB without a token", strings.NewReader(strings.Repeat("x", 10<<20)), "", 401},
		{"endless without a token", io.LimitReader(zeros{}, 1<<40), "", 401},
		{"endless with a token", io.LimitReader(zeros{}, 1<<40), f.token(nil), 413},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/mcp", row.body)
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			if row.token != "" {
				r.Header.Set("Authorization", "Bearer "+row.token)
			}
			resp, err := client.Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, row.status, resp.StatusCode)
			assert.True(t, resp.Close, "the connection ends")
			assert.NotEmpty(t, documentOf(t, body))
			assert.Zero(t, f.ran)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// dialog sends text over one connection and reads one response after each.
func dialog(t *testing.T, address string, texts ...string) (responses []*http.Response, bodies []string, rest func() error) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // before the server's, which waits for it
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	in := bufio.NewReader(conn)
	for _, text := range texts {
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		method, _, _ := strings.Cut(text, " ")
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		responses, bodies = append(responses, resp), append(bodies, string(body))
	}
	return responses, bodies, func() error { _, err := in.ReadByte(); return err }
}

func TestConnections_CHAL_25_TOK_12(t *testing.T) {
	f := newFixture(t, nil)
	server, _ := serverFor(t, f, false)
	address := server.Listener.Addr().String()

	t.Run("reused after a short refusal", func(t *testing.T) {
		one := "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
		responses, bodies, _ := dialog(t, address, one, one, one)
		for i, resp := range responses {
			assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			assert.False(t, resp.Close)
			assert.Equal(t, []string{bareChallenge}, resp.Header.Values("WWW-Authenticate"))
			assert.Equal(t, `{"error_description":"authorization required"}`, bodies[i])
		}
	})
	t.Run("HEAD has no body, and the next response is where it belongs", func(t *testing.T) {
		responses, bodies, _ := dialog(t, address, "HEAD /mcp HTTP/1.1\r\nHost: h\r\n\r\n", "GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n")
		assert.Empty(t, bodies[0])
		assert.Equal(t, int64(len(bodies[1])), responses[0].ContentLength)
		assert.Equal(t, http.StatusUnauthorized, responses[1].StatusCode)
	})
	t.Run("reused after a long body that was read", func(t *testing.T) {
		body := strings.TrimSuffix(legacyCall("admin_delete"), "}") + strings.Repeat(" ", 100<<10) + "}"
		head := "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAuthorization: Bearer " + f.token(nil) + "\r\n"
		counted := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
		chunked := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body)
		responses, _, _ := dialog(t, address, counted, chunked, counted)
		for _, resp := range responses {
			assert.Equal(t, http.StatusForbidden, resp.StatusCode)
			assert.False(t, resp.Close)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		responses, bodies, rest := dialog(t, address, "POST /mcp HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		assert.Equal(t, http.StatusUnauthorized, responses[0].StatusCode)
		assert.Equal(t, []string{bareChallenge}, responses[0].Header.Values("WWW-Authenticate"))
		assert.Equal(t, `{"error_description":"authorization required"}`, bodies[0])
		assert.ErrorIs(t, rest(), io.EOF)
	})
	t.Run("TOK-12 Expect: 100-continue gets the final status and no byte is read", func(t *testing.T) {
		for _, length := range []string{"2", "1073741824"} {
			responses, _, rest := dialog(t, address, "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: "+length+"\r\n\r\n")
			assert.Equal(t, http.StatusUnauthorized, responses[0].StatusCode, "not 100")
			assert.True(t, responses[0].Close)
			if length != "2" { // net/http waits for a short one before it closes
				assert.ErrorIs(t, rest(), io.EOF)
			}
		}
	})
	t.Run("TOK-12 a body that never comes is not waited for", func(t *testing.T) {
		for _, framing := range []string{"Content-Length: 1073741824", "Transfer-Encoding: chunked"} {
			responses, _, _ := dialog(t, address, "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"+framing+"\r\n\r\n")
			assert.Equal(t, http.StatusUnauthorized, responses[0].StatusCode)
			assert.True(t, responses[0].Close)
		}
	})
	assert.Zero(t, f.ran)
}

// TOK-12, in process: no refusal before the token is verified reads a byte of the body.
func TestNoBodyIsReadForStrangers_TOK_12(t *testing.T) {
	f := newFixture(t, nil)
	for _, headers := range [][]string{nil, {"Authorization: Bearer x"}, {"Authorization: Basic x"}, {"Origin: https://evil.example"}, {"Authorization: Bearer a", "Authorization: Bearer b"}} {
		for _, method := range []string{"POST", "GET", "DELETE", "OPTIONS", "PUT"} {
			r := f.request(method, "/mcp", "", "", headers...)
			body := &untouchable{}
			r.Body, r.ContentLength = body, 1<<30
			w := f.serve(r)
			assert.GreaterOrEqual(t, w.Code, 400)
			assert.Zero(t, body.reads, "%s %v", method, headers)
		}
	}
	assert.Zero(t, f.ran)
}

type untouchable struct{ reads int }

func (u *untouchable) Read([]byte) (int, error) { u.reads++; return 0, io.EOF }
func (u *untouchable) Close() error             { return nil }

func TestHTTP2_CHAL_29(t *testing.T) {
	f := newFixture(t, allowApp)
	server, client := serverFor(t, f, true)
	do := func(method, token string, body io.Reader, headers ...string) *http.Response {
		r := newRequest(method, "/mcp", token, "", headers...)
		out, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/mcp", body)
		require.NoError(t, err)
		out.Header = r.Header
		resp, err := client.Do(out)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		require.Equal(t, 2, resp.ProtoMajor)
		return resp
	}
	for _, row := range []struct {
		token     string
		body      io.Reader
		status    int
		challenge string
	}{
		{"", strings.NewReader(modernCall("echo")), 401, bareChallenge},
		{"garbage", strings.NewReader(modernCall("echo")), 401, invalidToken("malformed token")},
		{"", io.LimitReader(zeros{}, 1<<40), 401, bareChallenge},
		{f.token(nil), io.LimitReader(zeros{}, 5<<20), 413, ""},
		{f.token(nil), strings.NewReader(modernCall("admin_delete")), 403, adminChallenge},
	} {
		headers := []string{"Origin: https://app.example.com"}
		if row.status == 403 {
			headers = append(headers, modernHeaders("tools/call", "admin_delete")...)
		}
		resp := do(http.MethodPost, row.token, row.body, headers...)
		assert.Equal(t, row.status, resp.StatusCode)
		assert.Equal(t, row.challenge, strings.Join(resp.Header.Values("WWW-Authenticate"), " | "))
		for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Proxy-Connection"} {
			assert.NotContains(t, resp.Header, name)
		}
		assert.Equal(t, "https://app.example.com", resp.Header.Get("Access-Control-Allow-Origin"))
	}
	assert.Zero(t, f.ran)
}

// One refused request of a connection must not end the others on it.
func TestHTTP2ConnectionSurvives_CHAL_29(t *testing.T) {
	f := newFixture(t, nil)
	r := f.request(http.MethodPost, "/mcp", "", "{}")
	r.ProtoMajor, r.ProtoMinor, r.Proto, r.ContentLength = 2, 0, "HTTP/2.0", -1
	assert.NotContains(t, f.serve(r).Header(), "Connection")
	r.ProtoMajor = 1
	assert.Equal(t, "close", f.serve(r).Header().Get("Connection"))
}

// CHAL-12: no refusal whatever carries two challenges, in one line or in two.
func TestOneChallengePerLine_CHAL_12(t *testing.T) {
	f := newFixture(t, nil)
	for _, w := range []*httptest.ResponseRecorder{f.call("", "echo"), f.call("x", "echo"), f.call(f.token(nil), "admin_delete"),
		f.post("", "{}", "Authorization: Bearer a", "Authorization: Bearer b")} {
		lines := w.Header().Values("WWW-Authenticate")
		require.Len(t, lines, 1)
		scheme, _, order := parseChallenge(t, lines[0])
		assert.Equal(t, "Bearer", scheme)
		assert.True(t, slices.Contains(order, "resource_metadata"))
	}
}

// CHAL-16 is not offered: a tool that is forbidden is answered as one that
// does not exist, because neither has a rule that is met by anybody.
func TestForbiddenLooksLikeUnknown_CHAL_16(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	one, other := f.call(token, "secret_tool"), f.call(token, "no_such_tool")
	assert.Equal(t, one.Header(), other.Header())
	assert.Equal(t, one.Body.String(), other.Body.String())
	f.refused(one, http.StatusForbidden, "")
}

// TOK-08 and TOK-09: nothing under the wrapper is open, whatever the path, the method or the session.
func TestEverythingIsProtected_TOK_08_TOK_09(t *testing.T) {
	mux := http.NewServeMux()
	ran := 0
	for _, path := range []string{"/", "/mcp", "/mcp_message", "/sse"} {
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) { ran++ })
	}
	f := newFixture(t, nil)
	f.handler = f.auth.Wrap(mux)
	for _, path := range []string{"/", "/mcp", "/mcp/", "/mcp_message", "/sse", "/%6dcp", "//mcp", "/x/../mcp", "/.well-known", "/.well-known/x", "/favicon.ico", "*"} {
		for _, method := range []string{"POST", "GET", "DELETE", "HEAD", "PUT", "PATCH", "TRACE", "CONNECT", "BREW", "post", "get"} {
			r := f.request(method, "/mcp", "", legacyCall("echo"), "Mcp-Session-Id: known-session")
			if path == "*" {
				r.URL.Path, r.RequestURI = "*", "*"
			} else {
				r = f.request(method, path, "", legacyCall("echo"), "Mcp-Session-Id: known-session")
			}
			f.refused(f.serve(r), http.StatusUnauthorized, bareChallenge)
		}
	}
	assert.Zero(t, ran)
}
