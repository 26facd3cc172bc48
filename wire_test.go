package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// wire is one whole exchange. What comes back stands in testdata/wire/NAME.http,
// every header of it; status stands here too, so that -update cannot change it unseen.
type wire struct {
	name   string
	ids    string // requirements
	status int
	ran    int // how often the inner handler runs

	opaque  bool // the issuer is asked about tokens that are no JWTs
	change  func(*mcpauth.Config)
	prepare func(*fixture)
	inner   http.HandlerFunc

	method, target string // POST, /mcp
	token          tokenMaker
	headers        []string
	body, bodyText string // bodyText stands in the golden file for a body that is too long for it
	length         int64  // Content-Length if it is not that of the body; -1: chunked
}

// tokenMaker makes the bearer token; text stands for it in the golden file.
type tokenMaker struct {
	text string
	make func(*fixture) string
}

// wireToken is a token that is good but for these claims.
func wireToken(text string, claims mcpauthtest.Claims) tokenMaker {
	return tokenMaker{"<token: " + text + ">", func(f *fixture) string { return f.token(claims) }}
}

// wireSigned is a token signed over this header and the claims of a good one, if
// claims is "", or these claims.
func wireSigned(text, header, claims string) tokenMaker {
	return tokenMaker{"<token: " + text + ">", func(f *fixture) string {
		if claims == "" {
			claims = wireClaims()
		}
		return f.issuer.Sign(header, claims)
	}}
}

// wireClaims are the claims of a good token, as text.
func wireClaims() string {
	now := time.Now().Unix()
	return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"user-1","client_id":"client-1","scope":"mcp:read","iat":%d,"exp":%d}`,
		testIssuerURL, testResource, now, now+300)
}

func wireLiteral(text string) tokenMaker {
	return tokenMaker{text, func(*fixture) string { return text }}
}

var wireOpaque = tokenMaker{"<token: no JWT, scope mcp:read>", func(f *fixture) string { return f.opaque(nil) }}

var wireGood = wireToken("good, scope mcp:read", nil)

const wireHeader = `{"alg":"RS256","kid":"k1","typ":"at+jwt"}`

func allowApp(c *mcpauth.Config) { c.AllowedOrigins = []string{"https://app.example.com"} }

func wirePolicy(f mcpauth.PolicyFunc) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) { c.Policy = f }
}

func wireRevoked(f func(context.Context, *mcpauth.Principal) (bool, error)) func(*mcpauth.Config) {
	return func(c *mcpauth.Config) { c.Revoked = f }
}

var wireEcho = modernHeaders("tools/call", "echo")

// The status matrix, situation by situation: who are you.
var wireTokens = []wire{
	{name: "no-credentials", ids: "TOK-08 CHAL-02 CHAL-20", status: 401, body: modernCall("echo"), headers: wireEcho},
	{name: "no-credentials-get-stream", ids: "TOK-08 CHAL-28", status: 401, method: "GET", headers: []string{"Accept: text/event-stream", "Mcp-Session-Id: session-1"}},
	{name: "no-credentials-delete", ids: "TOK-08", status: 401, method: "DELETE", headers: []string{"Mcp-Session-Id: session-1"}},
	{name: "no-credentials-post-session", ids: "TOK-08", status: 401, body: legacyCall("echo"), headers: []string{"Mcp-Session-Id: session-1"}},
	{name: "no-credentials-head", ids: "CHAL-25", status: 401, method: "HEAD"},
	{name: "no-credentials-other-path", ids: "TOK-09", status: 401, target: "/mcp_message", body: legacyCall("echo")},
	{name: "other-scheme", ids: "CHAL-02 section 0.4", status: 401, headers: []string{"Authorization: Basic dXNlcjpwYXNz"}, body: legacyCall("echo")},
	{name: "empty-bearer", ids: "CHAL-02 section 0.4", status: 401, headers: []string{"Authorization: Bearer "}, body: legacyCall("echo")},
	{name: "token-in-query", ids: "CHAL-02 section 0.4", status: 401, target: "/mcp?access_token=abc", body: legacyCall("echo")},
	{name: "two-authorization-fields", ids: "CHAL-14 CHAL-20", status: 400, headers: append([]string{"Authorization: Bearer a", "Authorization: Bearer b"}, wireEcho...), body: modernCall("echo")},
	{name: "header-and-query-token", ids: "CHAL-14 section 0.4", status: 400, target: "/mcp?access_token=abc", token: wireGood, body: legacyCall("echo")},
	{name: "two-credentials-in-one-field", ids: "CHAL-14 section 0.4", status: 400, headers: []string{"Authorization: Bearer a, Bearer b"}, body: legacyCall("echo")},
	{name: "malformed-token", ids: "CHAL-03 section 0.4", status: 401, token: wireLiteral("not-a-jwt"), body: legacyCall("echo")},
	{name: "token-too-complex", ids: "section 0.4", status: 401, token: tokenMaker{"<17 KiB>", func(*fixture) string { return strings.Repeat("A", 17<<10) }}, body: legacyCall("echo")},
	{name: "token-type", ids: "section 0.4", status: 401, token: wireSigned("typ dpop+jwt", `{"alg":"RS256","kid":"k1","typ":"dpop+jwt"}`, ""), body: legacyCall("echo")},
	{name: "token-algorithm-none", ids: "section 0.4", status: 401, token: wireSigned("alg none", `{"alg":"none","typ":"at+jwt"}`, ""), body: legacyCall("echo")},
	{name: "token-claims", ids: "section 0.4", status: 401, token: wireToken("no exp", mcpauthtest.Claims{"exp": nil}), body: legacyCall("echo")},
	{name: "token-issuer", ids: "section 0.4", status: 401, token: wireToken("iss of nobody", mcpauthtest.Claims{"iss": "https://evil.example"}), body: legacyCall("echo")},
	{name: "token-audience", ids: "AUD-01 section 0.4", status: 401, token: wireToken("aud of another server", mcpauthtest.Claims{"aud": "https://other.example.com/mcp"}), body: legacyCall("echo")},
	{name: "token-expired", ids: "CHAL-03 section 0.4", status: 401, token: wireToken("expired, and without the scope", mcpauthtest.Claims{"exp": 946684000, "scope": "x"}), body: legacyCall("echo")},
	{name: "token-not-yet-valid", ids: "section 0.4", status: 401, token: wireToken("nbf tomorrow", mcpauthtest.Claims{"nbf": 946771200}), body: legacyCall("echo")},
	{name: "token-unknown-key", ids: "section 0.4", status: 401, token: wireSigned("kid of no key", `{"alg":"RS256","kid":"k9","typ":"at+jwt"}`, ""), body: legacyCall("echo")},
	{name: "token-signature", ids: "section 0.4", status: 401, token: tokenMaker{"<token: signed by another key>", func(*fixture) string {
		return mcpauthtest.NewKey("k1", "PS256").Sign(wireHeader, wireClaims())
	}}, body: legacyCall("echo")},
	{name: "token-sender-constrained", ids: "section 0.4", status: 401, token: wireToken("cnf", mcpauthtest.Claims{"cnf": map[string]any{"jkt": "abc"}}), body: legacyCall("echo")},
	{name: "token-revoked", ids: "section 0.4", status: 401, token: wireGood, body: legacyCall("echo"),
		change: wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil })},
	{name: "long-body-unread", ids: "CHAL-25", status: 401, body: "{}", bodyText: "<10 MiB>", length: 10 << 20},
	{name: "chunked-body-unread", ids: "CHAL-25", status: 401, body: "{}", length: -1},
	{name: "keys-down", ids: "CHAL-24 section 0.4", status: 503, token: wireGood, body: legacyCall("echo"),
		prepare: func(f *fixture) { f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down) }},
	{name: "metadata-down-cors", ids: "CHAL-19 CHAL-23 CHAL-24", status: 503, token: wireGood, body: legacyCall("echo"), headers: []string{"Origin: https://app.example.com"},
		change: allowApp, prepare: func(f *fixture) { f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Reset) }},
	{name: "opaque-allowed", ids: "INTRO-01", status: 200, ran: 1, opaque: true, token: wireOpaque, body: legacyCall("echo")},
	{name: "opaque-inactive", ids: "INTRO-02", status: 401, opaque: true, token: tokenMaker{"<token: no JWT, not active>", func(*fixture) string { return "opaque_unknown" }}, body: legacyCall("echo")},
	{name: "opaque-insufficient-scope", ids: "INTRO-03", status: 403, opaque: true, token: wireOpaque, body: legacyCall("admin_delete")},
	{name: "introspection-down", ids: "INTRO-06 CHAL-24", status: 503, opaque: true, token: wireOpaque, body: legacyCall("echo"),
		prepare: func(f *fixture) { f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down) }},
	{name: "store-down", ids: "STORE-07 CHAL-24", status: 503, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`,
		headers: []string{"MCP-Protocol-Version: 2025-11-25"}, change: func(c *mcpauth.Config) {
			store := newTestStore()
			store.is(storeGone)
			c.Policy = taskRules()
			shares(store)(c)
		}},
	{name: "store-down-list", ids: "STORE-07 STORE-14 CHAL-24", status: 503, ran: 1, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`,
		headers: []string{"MCP-Protocol-Version: 2025-11-25"}, change: func(c *mcpauth.Config) {
			store := newTestStore()
			store.is(storeGone)
			c.Policy = taskRules()
			shares(store)(c)
		}, inner: listsAnswer("application/json", `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"t","status":"working"}]}}`)},
	{name: "revocation-down", ids: "CHAL-23 CHAL-24", status: 503, token: wireGood, body: legacyCall("echo"),
		change: wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) {
			return false, errors.New("dial tcp 10.1.2.3:6379: refused")
		})},
}

// What may you, and what is wrong with the request.
var wireCalls = []wire{
	{name: "allowed", ids: "CHAL-18", status: 200, ran: 1, token: wireGood, body: modernCall("echo"), headers: wireEcho},
	{name: "allowed-legacy", ids: "CHAL-18", status: 200, ran: 1, token: wireGood, body: legacyCall("echo"), headers: []string{"MCP-Protocol-Version: 2025-11-25"}},
	{name: "allowed-cors", ids: "CHAL-18 CHAL-19", status: 200, ran: 1, token: wireGood, body: modernCall("echo"),
		headers: append([]string{"Origin: https://app.example.com"}, wireEcho...), change: allowApp},
	{name: "insufficient-scope", ids: "CHAL-04 CHAL-05 CHAL-22", status: 403, token: wireGood, body: modernCall("admin_delete"), headers: modernHeaders("tools/call", "admin_delete")},
	{name: "insufficient-scope-legacy", ids: "CHAL-08", status: 403, token: wireGood, body: legacyCall("admin_delete"), headers: []string{"MCP-Protocol-Version: 2025-11-25"}},
	{name: "insufficient-scope-several", ids: "CHAL-07", status: 403, token: wireToken("scope a", mcpauthtest.Claims{"scope": "a"}), body: modernCall("two"), headers: modernHeaders("tools/call", "two"),
		change: func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"two": mcpauth.Scopes("a", "b")}}
		}},
	{name: "insufficient-scope-cors", ids: "CHAL-19", status: 403, token: wireGood, body: modernCall("admin_delete"),
		headers: append([]string{"Origin: https://app.example.com"}, modernHeaders("tools/call", "admin_delete")...), change: allowApp},
	{name: "forbidden-tool-without-rule", ids: "CHAL-15 section 0.4", status: 403, token: wireGood, body: modernCall("unlisted"), headers: modernHeaders("tools/call", "unlisted")},
	{name: "forbidden-tenant", ids: "CHAL-15 section 0.4", status: 403, token: wireGood, body: modernCall("echo"), headers: wireEcho,
		change: func(c *mcpauth.Config) { c.Issuers[0].RequireClaims = map[string][]string{"tenant": {"t1"}} }},
	{name: "forbidden-method-legacy", ids: "CHAL-15", status: 403, token: wireGood, body: `{"jsonrpc":"2.0","id":"a","method":"tasks/list"}`},
	{name: "forbidden-no-policy", ids: "TOK-10", status: 403, token: wireGood, body: modernCall("echo"), headers: wireEcho,
		change: func(c *mcpauth.Config) { c.Policy = nil }},
	{name: "policy-panics", ids: "CHAL-23", status: 500, token: wireGood, body: modernCall("echo"), headers: wireEcho,
		change: wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) { panic("/srv/secret.go:17") })},
	{name: "policy-fails", ids: "CHAL-23", status: 500, token: wireGood, body: modernCall("echo"), headers: wireEcho,
		change: wirePolicy(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, errors.New("SELECT role FROM users: no such table")
		})},
	{name: "revocation-panics", ids: "CHAL-23", status: 500, token: wireGood, body: modernCall("echo"), headers: wireEcho,
		change: wireRevoked(func(context.Context, *mcpauth.Principal) (bool, error) { panic("index out of range") })},
	{name: "header-missing", ids: "section 0.4", status: 400, token: wireGood, body: modernCall("echo"), headers: []string{"MCP-Protocol-Version: 2026-07-28"}},
	{name: "header-mismatch", ids: "section 0.4", status: 400, token: wireGood, body: modernCall("admin_delete"), headers: wireEcho},
	{name: "unsupported-version", ids: "section 0.4", status: 400, ran: 1, token: wireGood, headers: []string{"MCP-Protocol-Version: 2099-01-01"},
		body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01"}}}`,
		inner: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported protocol version"}}`)
		}},
	{name: "unknown-method", ids: "section 0.4", status: 404, token: wireGood, body: modernBody("tools/explode", ""), headers: modernHeaders("tools/explode", "")},
	{name: "unknown-method-legacy", ids: "section 0.4", status: 403, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tools/explode"}`},
	{name: "body-too-large", ids: "CHAL-25 section 0.4", status: 413, token: wireGood, body: "{}", bodyText: "<5 MiB announced>", length: 5 << 20},
	{name: "body-too-large-chunked", ids: "CHAL-25 section 0.4", status: 413, token: wireGood, body: strings.Repeat(" ", 4<<20+1), bodyText: "<4 MiB and 1 byte>", length: -1},
	{name: "body-not-json", ids: "section 0.4", status: 400, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":`},
	{name: "body-empty", ids: "section 0.4", status: 400, token: wireGood},
	{name: "body-too-deep", ids: "section 0.4", status: 400, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, bodyText: "<200 arrays inside each other>"},
	{name: "batch", ids: "MCP-58", status: 200, ran: 1, token: wireGood, body: "[" + legacyCall("echo") + "]"},
	{name: "batch-insufficient-scope", ids: "MCP-58 CHAL-07", status: 403, token: wireGood, body: "[" + legacyCall("echo") + "," + strings.Replace(legacyCall("admin_delete"), ":1,", ":2,", 1) + "]"},
	{name: "batch-of-another-revision", ids: "MCP-58 section 0.4", status: 400, token: wireGood, body: "[" + legacyCall("echo") + "]", headers: []string{"MCP-Protocol-Version: 2025-06-18"}},
	{name: "batch-empty", ids: "MCP-59", status: 400, token: wireGood, body: "[]"},
	{name: "insufficient-scope-in-band", ids: "item 7 of the issue", status: 200, token: wireGood, body: modernCall("admin_delete"), headers: modernHeaders("tools/call", "admin_delete"), change: wireInBand},
	{name: "insufficient-scope-in-band-legacy", ids: "item 7 of the issue", status: 200, token: wireGood, body: legacyCall("admin_delete"), change: wireInBand},
	{name: "session-unknown", ids: "SESS-02 section 0.4", status: 404, token: wireGood, body: legacyCall("echo"), headers: []string{"Mcp-Session-Id: session-1"}},
	{name: "cursor-unknown", ids: "MCP-67", status: 200, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"bGF1bmNoX21pc3NpbGVz"}}`},
	{name: "task-unknown", ids: "MCP-80", status: 200, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t-1"}}`,
		change: func(c *mcpauth.Config) {
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tasks/get": mcpauth.Authenticated()}}
		}},
	{name: "endpoint-cursor-unknown", ids: "MCP-67 MCP-92", status: 400, token: wireGood, change: wireSessionKey, target: wireEndpoint,
		body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"bGF1bmNoX21pc3NpbGVz"}}`},
	{name: "endpoint-task-unknown", ids: "MCP-80 MCP-92", status: 400, token: wireGood, target: wireEndpoint, body: `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t-1"}}`,
		change: func(c *mcpauth.Config) {
			wireSessionKey(c)
			c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tasks/get": mcpauth.Authenticated()}}
		}},
	{name: "endpoint-in-band", ids: "CHAL-07 MCP-92", status: 403, token: wireGood, target: wireEndpoint, body: legacyCall("admin_delete"),
		change: func(c *mcpauth.Config) { wireSessionKey(c); wireInBand(c) }},
	{name: "list-unreadable", ids: "MCP-65", status: 500, ran: 1, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		inner: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"admin_delete"`)
		}},
	{name: "streams-too-many", ids: "LIMITS-09", status: 429, method: "GET", token: wireGood, prepare: wireStreams(32), inner: wireEndless},
	{name: "messages-too-many", ids: "LIMITS-13", status: 429, token: wireGood, prepare: wireStalled, body: sized(65 << 10), bodyText: "<a call of 65 KiB>"},
	{name: "body-too-slow", ids: "LIMITS-03", status: 408, token: wireGood, prepare: wireSlow, body: legacyCall("echo")},
	{name: "cancelled", ids: "ISOL-07", status: 200, ran: 1, token: wireGood, prepare: wireCancelled, body: legacyCall("echo")},
	{name: "body-duplicate-method", ids: "section 0.4", status: 400, token: wireGood, body: `{"jsonrpc":"2.0","id":"dup","method":"ping","method":"tools/call"}`},
	{name: "body-duplicate-id", ids: "CHAL-20", status: 400, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`},
	{name: "body-not-utf8", ids: "section 0.4", status: 400, token: wireGood, body: "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", bodyText: "<a byte that is not UTF-8>"},
	{name: "target-missing", ids: "section 0.4", status: 400, token: wireGood, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`},
	{name: "media-type", ids: "section 0.4", status: 415, token: wireGood, body: legacyCall("echo"), headers: []string{"Content-Type: text/plain"}},
	{name: "media-encoding", ids: "section 0.4", status: 415, token: wireGood, body: legacyCall("echo"), headers: []string{"Content-Encoding: gzip"}},
	{name: "get-stream", ids: "MCP-56", status: 200, ran: 1, method: "GET", token: wireGood, headers: []string{"MCP-Protocol-Version: 2025-11-25", "Accept: text/event-stream"},
		inner: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\n")
		}},
	{name: "delete-session-unknown", ids: "MCP-56 SESS-02", status: 404, method: "DELETE", token: wireGood, headers: []string{"Mcp-Session-Id: session-1"}},
	{name: "method-get", ids: "MCP-56 section 0.3", status: 405, method: "GET", token: wireGood, headers: []string{"MCP-Protocol-Version: 2026-07-28"}},
	{name: "method-delete", ids: "MCP-56 section 0.3", status: 405, method: "DELETE", token: wireGood, headers: []string{"MCP-Protocol-Version: 2026-07-28"}},
	{name: "method-put", ids: "MCP-57", status: 405, method: "PUT", token: wireGood},
	{name: "method-head", ids: "CHAL-25", status: 405, method: "HEAD", token: wireGood},
	{name: "headers-too-many", ids: "section 0.3", status: 431, token: wireGood, body: legacyCall("echo"), prepare: nil, headers: manyHeaders(101)},
}

// What is answered without a token.
var wireOpen = []wire{
	{name: "metadata", ids: "PRM-01 PRM-16 PRM-18 PRM-19 PRM-30", status: 200, method: "GET", target: "/.well-known/oauth-protected-resource/mcp"},
	{name: "metadata-expired-token", ids: "PRM-18", status: 200, method: "GET", target: "/.well-known/oauth-protected-resource/mcp",
		token: wireToken("expired", mcpauthtest.Claims{"exp": 946684000})},
	{name: "metadata-head", ids: "PRM-17", status: 200, method: "HEAD", target: "/.well-known/oauth-protected-resource/mcp"},
	{name: "metadata-root", ids: "PRM-07", status: 200, method: "GET", target: "/.well-known/oauth-protected-resource"},
	{name: "metadata-not-modified", ids: "PRM-20", status: 304, method: "GET", target: "/.well-known/oauth-protected-resource/mcp", headers: []string{"If-None-Match: *"}},
	{name: "metadata-preflight", ids: "PRM-17 PRM-18 PRM-19", status: 204, method: "OPTIONS", target: "/.well-known/oauth-protected-resource/mcp",
		headers: []string{"Origin: https://anywhere.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version"}},
	{name: "metadata-post", ids: "PRM-17", status: 405, target: "/.well-known/oauth-protected-resource/mcp", body: "{}"},
	{name: "metadata-unknown-suffix", ids: "PRM-24", status: 404, method: "GET", target: "/.well-known/oauth-protected-resource/x"},
	{name: "authorization-server-metadata", ids: "PRM-24", status: 404, method: "GET", target: "/.well-known/oauth-authorization-server/mcp"},
	{name: "metadata-below-the-endpoint", ids: "PRM-01", status: 401, method: "GET", target: "/mcp/.well-known/oauth-protected-resource"},
	{name: "origin-not-allowed", ids: "MCP-90 CHAL-31 section 0.4", status: 403, token: wireGood, body: legacyCall("echo"), headers: []string{"Origin: https://evil.example"}},
	{name: "origin-not-listed", ids: "MCP-90 CHAL-30", status: 403, token: wireGood, body: legacyCall("echo"), headers: []string{"Origin: null"}, change: allowApp},
	{name: "no-credentials-cors", ids: "CHAL-19 CHAL-05", status: 401, body: legacyCall("echo"), headers: []string{"Origin: https://app.example.com"}, change: allowApp},
	{name: "preflight", ids: "TOK-11 CHAL-30", status: 204, method: "OPTIONS", change: allowApp,
		headers: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, mcp-method, mcp-param-region, x-evil"}},
	{name: "preflight-origin-not-listed", ids: "CHAL-30", status: 403, method: "OPTIONS", change: allowApp,
		headers: []string{"Origin: https://evil.example", "Access-Control-Request-Method: POST"}},
	{name: "preflight-cors-off", ids: "CHAL-31", status: 403, method: "OPTIONS",
		headers: []string{"Origin: https://app.example.com", "Access-Control-Request-Method: POST"}},
	{name: "options", ids: "TOK-11", status: 405, method: "OPTIONS"},
	{name: "options-allowed-origin", ids: "TOK-11 CHAL-19", status: 405, method: "OPTIONS", change: allowApp, headers: []string{"Origin: https://app.example.com"}},
}

func wireInBand(c *mcpauth.Config) {
	need := mcpauth.Scopes("mcp:admin")
	need.InBand = true
	c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"admin_delete": need}}
}

// wireEndpoint is a message endpoint of HTTP+SSE as the caller is told of it, with wireSessionKey.
const wireEndpoint = "/message?sessionId=s-1&mcpauth=QBfBn-1dLKyPI_L_DOIWgw"

func wireSessionKey(c *mcpauth.Config) { c.SessionKey = []byte("0123456789abcdef0123456789abcdef") }

// wireStreams opens streams that last as long as the test.
func wireStreams(n int) func(*fixture) {
	return func(f *fixture) {
		for range n {
			go f.serve(f.request(http.MethodGet, "/mcp", f.token(nil), "").WithContext(f.tb.Context()))
		}
		synctest.Wait()
		require.Equal(f.tb, n, f.ran)
		f.ran = 0
	}
}

// wireStalled has the same caller send so many bodies that no long one finds room beside them.
func wireStalled(f *fixture) {
	for range 16 {
		f.start(f.stalled(f.tb.Context(), f.token(nil), 4<<20))
	}
}

// wireSlow stands for a connection whose read deadline passes before the body is there.
func wireSlow(f *fixture) {
	next := f.handler
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(iotest.ErrReader(os.ErrDeadlineExceeded))
		next.ServeHTTP(w, r)
	})
}

// wireCancelled has the client give the request up while it is under way.
func wireCancelled(f *fixture) {
	f.inner = func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(f.tb, http.StatusAccepted, f.post(wireGood.make(f), cancellation("1")).Code)
		<-r.Context().Done()
	}
}

func wireEndless(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func manyHeaders(n int) []string {
	var headers []string
	for i := range n {
		headers = append(headers, fmt.Sprintf("X-%03d: x", i))
	}
	return headers
}

func allWires() []wire { return slices.Concat(wireTokens, wireCalls, wireOpen) }

const wireDir = "testdata/wire"

// TestWireGolden compares whole exchanges with the golden files. The clock
// stands at midnight of 2000-01-01, as always in synctest.
func TestWireGolden(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range allWires() {
		require.False(t, seen[row.name], "two rows are named %s", row.name)
		seen[row.name] = true
		t.Run(row.name+" "+row.ids, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { row.run(t) })
		})
	}
	t.Run("no file without a row", func(t *testing.T) {
		for _, row := range dpopWires {
			seen[row.name] = true
		}
		files, err := filepath.Glob(filepath.Join(wireDir, "*.http"))
		require.NoError(t, err)
		for _, file := range files {
			assert.True(t, seen[strings.TrimSuffix(filepath.Base(file), ".http")], file)
		}
	})
}

func (row wire) run(t *testing.T) {
	f := map[bool]func(testing.TB, func(*mcpauth.Config)) *fixture{false: newFixture, true: newOpaqueFixture}[row.opaque](t, row.change)
	f.inner = row.inner
	if row.prepare != nil {
		row.prepare(f)
	}
	method, target := row.method, row.target
	if method == "" {
		method = http.MethodPost
	}
	if target == "" {
		target = "/mcp"
	}
	compact := ""
	if row.token.make != nil {
		compact = row.token.make(f)
	}
	r := f.request(method, target, compact, row.body, row.headers...)
	if row.length != 0 {
		r.ContentLength = row.length
	}
	got := row.printRequest(r)
	w := f.serve(r)
	assert.Equal(t, row.status, w.Code)
	assert.Equal(t, row.ran, f.ran, "how often the inner handler ran")
	got += "----------------------------------------------------------------\n" + printResponse(t, w)
	got += fmt.Sprintf("inner handler ran: %d times\n", f.ran)
	compareGolden(t, filepath.Join(wireDir, row.name+".http"), got)
}

func (row wire) printRequest(r *http.Request) string {
	h := r.Header.Clone()
	if row.token.text != "" {
		h["Authorization"] = []string{"Bearer " + row.token.text}
	}
	switch {
	case r.ContentLength > 0:
		h.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	case r.ContentLength < 0:
		h.Set("Transfer-Encoding", "chunked")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	printHeader(&b, h)
	if row.bodyText != "" {
		row.body = row.bodyText
	}
	printBody(&b, row.body)
	return b.String()
}

func printResponse(t *testing.T, w *httptest.ResponseRecorder) string {
	result := w.Result()
	if retry := result.Header.Get("Retry-After"); retry != "" {
		seconds, err := strconv.Atoi(retry)
		require.NoError(t, err)
		assert.True(t, seconds >= 1 && seconds <= 30, "CHAL-24: Retry-After %s", retry)
		result.Header.Set("Retry-After", "<1 to 30>")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", w.Code, http.StatusText(w.Code))
	printHeader(&b, result.Header)
	printBody(&b, w.Body.String())
	return b.String()
}

func printHeader(b *strings.Builder, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if values := h[name]; strings.HasPrefix(name, "X-0") || strings.HasPrefix(name, "X-1") {
			if name == "X-000" {
				b.WriteString("<101 header fields>\n")
			}
		} else {
			for _, value := range values {
				fmt.Fprintf(b, "%s: %s\n", name, value)
			}
		}
	}
	b.WriteString("\n")
}

func printBody(b *strings.Builder, body string) {
	if body != "" {
		b.WriteString(body + "\n")
	}
}

// compareGolden compares a text with a golden file, or rewrites it.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err, "run: go test -run Wire -update .")
	assert.Equal(t, string(want), got, name)
}

// TestEveryReasonHasGolden: no way to refuse a request exists of which the
// whole answer is not on file.
func TestEveryReasonHasGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(wireDir, "*.http"))
	require.NoError(t, err)
	var answers strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, answer, found := strings.Cut(string(text), "\n----")
		require.True(t, found, file)
		answers.WriteString(answer)
	}
	for _, e := range refusal.Catalogue() {
		quoted, inBody := `error_description":"`+string(e.Reason)+`"`, `"message":"`+string(e.Reason)+`"`
		assert.True(t, strings.Contains(answers.String(), quoted) || strings.Contains(answers.String(), inBody),
			"%s occurs in no golden file", e.Reason)
	}
}
