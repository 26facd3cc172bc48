package mcpauth_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What the four tokens of the matrix get: none, the base scope, the right one, a wrong one.
type matrixStatus [4]int

var (
	matrixOpen    = matrixStatus{401, 200, 200, 200}
	matrixRuled   = matrixStatus{401, 403, 200, 403}
	matrixOurs    = matrixStatus{401, 403, 202, 403} // ISOL-07: reaches no handler without a session
	matrixRefused = matrixStatus{401, 403, 403, 403}
	matrixMissing = matrixStatus{401, 404, 404, 404}
)

// matrixRow is a method of the protocol and how the legacy and the modern era treat it.
type matrixRow struct {
	method, params, name string // name: Mcp-Name
	notification         bool
	legacy, modern       matrixStatus
}

// Written from the specifications of the four revisions, not from the code.
var matrixRows = []matrixRow{
	{"initialize", `"protocolVersion":"2025-11-25"`, "", false, matrixOpen, matrixMissing},
	{"notifications/initialized", ``, "", true, matrixOpen, matrixOpen},
	{"ping", ``, "", false, matrixOpen, matrixMissing},
	{"server/discover", ``, "", false, matrixRefused, matrixOpen},
	{"tools/list", ``, "", false, matrixOpen, matrixOpen},
	{"tools/call", `"name":"t"`, "t", false, matrixRuled, matrixRuled},
	{"tools/call", `"name":"without-rule"`, "without-rule", false, matrixRefused, matrixRefused},
	{"prompts/list", ``, "", false, matrixRuled, matrixRuled},
	{"prompts/get", `"name":"p"`, "p", false, matrixRuled, matrixRuled},
	{"prompts/get", `"name":"t"`, "t", false, matrixRefused, matrixRefused},
	{"resources/list", ``, "", false, matrixOpen, matrixOpen},
	{"resources/templates/list", ``, "", false, matrixOpen, matrixOpen},
	{"resources/read", `"uri":"r://exact"`, "r://exact", false, matrixRuled, matrixRuled},
	{"resources/read", `"uri":"r://prefix/a"`, "r://prefix/a", false, matrixRuled, matrixRuled},
	{"resources/read", `"uri":"db://users"`, "db://users", false, matrixRuled, matrixRuled},
	{"resources/read", `"uri":"db://users/rows"`, "db://users/rows", false, matrixRefused, matrixRefused},
	{"resources/subscribe", `"uri":"r://exact"`, "", false, matrixRuled, matrixMissing},
	{"resources/unsubscribe", `"uri":"r://prefix/a"`, "", false, matrixRuled, matrixMissing},
	{"completion/complete", `"ref":{"type":"ref/prompt","name":"p"}`, "", false, matrixRuled, matrixRuled},
	{"completion/complete", `"ref":{"type":"ref/resource","uri":"db://{table}"}`, "", false, matrixRuled, matrixRuled},
	{"logging/setLevel", `"level":"info"`, "", false, matrixRuled, matrixMissing},
	{"subscriptions/listen", `"notifications":{"toolsListChanged":true}`, "", false, matrixRefused, matrixOpen},
	{"subscriptions/listen", `"notifications":{"promptsListChanged":true}`, "", false, matrixRefused, matrixRuled},
	{"subscriptions/listen", `"notifications":{"resourceSubscriptions":["r://exact"]}`, "", false, matrixRefused, matrixRuled},
	{"tasks/get", `"taskId":"1"`, "1", false, matrixRuled, matrixRuled},
	{"tasks/cancel", `"taskId":"1"`, "1", false, matrixRuled, matrixRuled},
	{"tasks/update", `"taskId":"1"`, "1", false, matrixRefused, matrixRuled},
	{"tasks/result", `"taskId":"1"`, "", false, matrixRuled, matrixMissing},
	{"tasks/list", ``, "", false, matrixRefused, matrixMissing}, // no rule
	{"notifications/cancelled", `"requestId":1`, "", true, matrixOurs, matrixOurs},
	{"notifications/progress", `"progressToken":1`, "", true, matrixOpen, matrixOpen},
	{"notifications/roots/list_changed", ``, "", true, matrixOpen, matrixOpen},
	{"notifications/elicitation/complete", ``, "", true, matrixOpen, matrixOpen},
	{"sampling/createMessage", ``, "", false, matrixRefused, matrixMissing}, // a server's, not a client's
	{"elicitation/create", ``, "", false, matrixRefused, matrixMissing},
	{"roots/list", ``, "", false, matrixRefused, matrixMissing},
	{"vendor/listed", ``, "", false, matrixRuled, matrixStatus{401, 403, 200, 403}},
	{"vendor/unlisted", ``, "", false, matrixRefused, matrixMissing},
	{"notifications/vendor", ``, "", true, matrixOpen, matrixOpen},
	{"", ``, "", false, matrixStatus{401, 400, 400, 400}, matrixStatus{401, 400, 400, 400}},
}

func matrixFixture(t *testing.T) *fixture {
	need := mcpauth.Scopes("matrix:right")
	f := newFixture(t, func(c *mcpauth.Config) {
		c.Policy = mcpauth.Rules{
			Tools:     requirements{"t": need},
			Prompts:   requirements{"p": need},
			Resources: requirements{"r://exact": need, "r://prefix/*": need, "db://{table}": need},
			Methods: requirements{"prompts/list": need, "logging/setLevel": need, "vendor/listed": need, "notifications/cancelled": need,
				"tasks/get": need, "tasks/cancel": need, "tasks/update": need, "tasks/result": need},
		}
	})
	f.beginTask(t, f.token(mcpauthtest.Claims{"scope": "matrix:right"}), "t", "1")
	return f
}

// Four revisions, every method, four tokens.
func TestMatrix_MCP_48_COMPAT_06_COMPAT_07(t *testing.T) {
	f := matrixFixture(t)
	tokens := []string{
		"",
		f.token(mcpauthtest.Claims{"scope": "mcp:read"}),
		f.token(mcpauthtest.Claims{"scope": "mcp:read matrix:right"}),
		f.token(mcpauthtest.Claims{"scope": "matrix:wrong matrix:right2 MATRIX:RIGHT"}),
	}
	requests := 0
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		for _, row := range matrixRows {
			body, headers, want := row.request(version)
			for i, token := range tokens {
				t.Run(fmt.Sprintf("MCP-48 %s/%s %s/%s", version, row.method, row.params, []string{"no token", "base scope", "right scope", "wrong scope"}[i]), func(t *testing.T) {
					requests++
					w := f.post(token, body, headers...)
					assert.Equal(t, want[i], w.Code, "%s", w.Body)
					assert.Equal(t, btoi(want[i] == 200), f.ran)
					f.ran = 0
					matrixChallenge(t, w, version != "2026-07-28", i, want == matrixRuled || want == matrixOurs)
				})
			}
		}
	}
	t.Logf("requests: %d", requests)
}

func (row matrixRow) request(version string) (body string, headers []string, want matrixStatus) {
	headers = []string{"MCP-Protocol-Version: " + version}
	body, want = batchRequest(1, row.method, row.params), row.legacy
	if version == "2026-07-28" {
		body, headers, want = modernBody(row.method, row.params), modernHeaders(row.method, row.name), row.modern
	}
	if row.notification {
		body = strings.Replace(body, `"id":1,`, "", 1)
	}
	return body, headers, want
}

// matrixChallenge asserts the challenge that goes with a status.
func matrixChallenge(t *testing.T, w *httptest.ResponseRecorder, legacy bool, token int, ruled bool) {
	t.Helper()
	got := w.Header().Values("WWW-Authenticate")
	switch {
	case w.Code == http.StatusUnauthorized:
		assert.Equal(t, []string{bareChallenge}, got, "COMPAT-06: where to look, always")
	case w.Code == http.StatusForbidden && ruled && legacy && token == 1:
		assert.Equal(t, []string{scopeChallenge("mcp:read matrix:right")}, got, "COMPAT-07: what it had and what it needs")
	case w.Code == http.StatusForbidden && ruled:
		assert.Equal(t, []string{scopeChallenge("matrix:right")}, got)
	default:
		assert.Empty(t, got)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Four revisions, every verb: what the legacy transports have, passes.
func TestVerbs_COMPAT_08_MCP_56_MCP_57(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	f.inner = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Mcp-Session-Id", "s") }
	session := f.post(token, batchRequest(1, "initialize", "")).Header().Get("Mcp-Session-Id")
	f.inner, f.ran = nil, 0
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		legacy := version != "2026-07-28"
		for _, verb := range []string{"POST", "GET", "DELETE", "PUT", "HEAD", "PATCH", "TRACE", "OPTIONS"} {
			t.Run("COMPAT-08 "+version+" "+verb, func(t *testing.T) {
				headers, body := []string{"MCP-Protocol-Version: " + version}, ""
				switch {
				case verb == "POST" && legacy:
					body = legacyCall("echo")
				case verb == "POST":
					body, headers = modernCall("echo"), modernHeaders("tools/call", "echo")
				}
				headers = append(headers, "Mcp-Session-Id: "+session, "Last-Event-ID: 17", "Content-Type: application/json")
				stranger := f.do(verb, "/mcp", "", body, headers...)
				if verb == "OPTIONS" {
					f.refused(stranger, http.StatusMethodNotAllowed, "")
				} else {
					f.refused(stranger, http.StatusUnauthorized, bareChallenge)
				}
				w := f.do(verb, "/mcp", token, body, headers...)
				if verb != "POST" && !(legacy && (verb == "GET" || verb == "DELETE")) {
					f.refused(w, http.StatusMethodNotAllowed, "")
					want := "POST"
					if legacy {
						want = "POST, GET, DELETE"
					}
					assert.Equal(t, []string{want}, w.Header()["Allow"])
					return
				}
				f.servedIn(t, w)
				if legacy {
					assert.Equal(t, []string{"s"}, f.last.Header["Mcp-Session-Id"], "the handler's own id")
					assert.Equal(t, []string{"17"}, f.last.Header["Last-Event-Id"])
				} else {
					assert.Empty(t, f.last.Header["Mcp-Session-Id"])
					assert.Empty(t, f.last.Header["Last-Event-Id"])
				}
				assert.Empty(t, f.last.Header["Authorization"])
			})
		}
	}
	t.Run("COMPAT-08 a client's answer", func(t *testing.T) {
		f.servedIn(t, f.post(token, batchAnswer, "MCP-Protocol-Version: 2025-11-25", "Mcp-Session-Id: "+session))
	})
}

// Both kinds of first contact start the same sign-in, and neither tells the eras apart.
func TestFirstContact_COMPAT_10(t *testing.T) {
	f := newFixture(t, nil)
	modern := f.post("", modernBody("server/discover", ""), modernHeaders("server/discover", "")...)
	legacy := f.post("", batchRequest(0, "initialize", ""))
	for _, w := range []*httptest.ResponseRecorder{modern, legacy, f.do("GET", "/mcp", "", ""), f.post("", "")} {
		f.refusedWhole(t, w, http.StatusUnauthorized, bareChallenge, `{"error_description":"authorization required"}`)
	}
	assert.Equal(t, modern.Result().Header, legacy.Result().Header)
}

// The wrapper is an ordinary http.Handler: it redirects nowhere, whatever it is mounted in.
func TestMounting_COMPAT_13(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	middleware := func(next http.Handler) http.Handler { return f.auth.Wrap(next) } // its type is that of all routers
	inner := http.HandlerFunc(f.record)
	exact, subtree, whole, stripped := http.NewServeMux(), http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	exact.Handle("/mcp", middleware(inner))
	exact.Handle("/mcp/", middleware(inner))
	subtree.Handle("POST /mcp/", middleware(inner))
	whole.Handle("/", middleware(inner))
	stripped.Handle("/mcp", http.StripPrefix("/mcp", middleware(inner)))
	for _, row := range []struct {
		name string
		mux  *http.ServeMux
		path string
		want int
	}{
		{"exact", exact, "/mcp", 200},
		{"exact with a slash", exact, "/mcp/", 200},
		{"whole", whole, "/mcp", 200},
		{"stripped", stripped, "/mcp", 200},
		{"a subtree with a slash", subtree, "/mcp/", 200},
	} {
		t.Run("COMPAT-13 "+row.name, func(t *testing.T) {
			for credentials, want := range map[string]int{token: row.want, "": http.StatusUnauthorized} {
				w := httptest.NewRecorder()
				row.mux.ServeHTTP(w, newRequest(http.MethodPost, row.path, credentials, legacyCall("echo")))
				assert.Equal(t, want, w.Code)
				assert.Empty(t, w.Header().Get("Location"))
			}
			assert.Equal(t, 1, f.ran)
			f.ran = 0
		})
	}
	t.Run("COMPAT-05 well-known paths that are not ours", func(t *testing.T) {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp",
			"/.well-known/openid-configuration/mcp", "/.well-known/oauth-protected-resource/x"} {
			w := httptest.NewRecorder()
			whole.ServeHTTP(w, newRequest(http.MethodGet, path, "", ""))
			assert.Equal(t, http.StatusNotFound, w.Code, path)
			assert.Empty(t, w.Header().Values("WWW-Authenticate"), path)
			assert.NotContains(t, w.Header().Get("Content-Type"), "html", path)
		}
		assert.Zero(t, f.ran)
	})
}

// One decision over every version of HTTP, and over proxies that write names in
// lower case or join fields.
func TestTransports_COMPAT_17(t *testing.T) {
	f := newFixture(t, nil)
	token := f.token(nil)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	plain := httptest.NewUnstartedServer(f.handler)
	plain.Config.Protocols = protocols
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(f.handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()

	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	for name, row := range map[string]struct {
		url       string
		transport *http.Transport
		major     int
	}{
		"COMPAT-17 HTTP/1.1":          {plain.URL, &http.Transport{}, 1},
		"COMPAT-17 h2c":               {plain.URL, &http.Transport{Protocols: h2c}, 2},
		"COMPAT-17 h2":                {secure.URL, secure.Client().Transport.(*http.Transport).Clone(), 2},
		"COMPAT-17 HTTP/1.1 over TLS": {secure.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			defer row.transport.CloseIdleConnections()
			for tool, want := range map[string]int{"echo": 200, "admin_delete": 403} {
				r := newRequest(http.MethodPost, row.url+"/mcp", token, modernCall(tool), modernHeaders("tools/call", tool)...)
				r.RequestURI, r.Host = "", ""
				response, err := row.transport.RoundTrip(r)
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, response.Body)
				require.NoError(t, response.Body.Close())
				assert.Equal(t, row.major, response.ProtoMajor)
				assert.Equal(t, want, response.StatusCode)
				assert.Equal(t, want == 403, response.Header.Get("WWW-Authenticate") == adminChallenge)
			}
			assert.Equal(t, 1, f.ran)
			f.ran = 0
		})
	}
	for _, row := range []struct {
		name, head, body string
		status           int
	}{
		{"COMPAT-17 HTTP/1.0", "POST /mcp HTTP/1.0\r\nauthorization: Bearer " + token + "\r\ncontent-type: application/json\r\n", legacyCall("echo"), 200},
		{"COMPAT-17 HTTP/1.0, more needed", "POST /mcp HTTP/1.0\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n", legacyCall("admin_delete"), 403},
		{"COMPAT-17 HTTP/1.0 without token", "POST /mcp HTTP/1.0\r\nContent-Type: application/json\r\n", legacyCall("echo"), 401},
		{"COMPAT-17 names in lower case", "POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: bearer " + token + "\r\ncontent-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n", modernCall("echo"), 200},
		{"COMPAT-17 joined credentials", "POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: Bearer " + token + ", Bearer " + token + "\r\ncontent-type: application/json\r\n", legacyCall("echo"), 400},
		{"COMPAT-17 joined versions", "POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: Bearer " + token + "\r\ncontent-type: application/json\r\nmcp-protocol-version: 2025-11-25, 2025-11-25\r\n", legacyCall("admin_delete"), 403},
		{"COMPAT-17 a session id joined to another", "POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: Bearer " + token + "\r\ncontent-type: application/json\r\nmcp-session-id: a, b\r\n", legacyCall("echo"), 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			connection, err := net.Dial("tcp", plain.Listener.Addr().String())
			require.NoError(t, err)
			defer func() { _ = connection.Close() }()
			_, err = fmt.Fprintf(connection, "%sContent-Length: %d\r\n\r\n%s", row.head, len(row.body), row.body)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, response.Body)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, row.status, response.StatusCode)
			assert.Equal(t, btoi(row.status == 200), f.ran)
			f.ran = 0
		})
	}
}

// A retry with what the server asked for is a call like the first.
func TestRetries_MCP_70_MCP_71(t *testing.T) {
	var decisions []mcpauth.Decision
	f := newFixture(t, func(c *mcpauth.Config) {
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
	})
	const canary = "canary-4711"
	retry := func(tool string) string {
		return modernBody("tools/call", fmt.Sprintf(`"name":%q,"arguments":{},"requestState":"%s","inputResponses":{"%s":{"action":"accept","content":{"name":"echo","token":"%s"}}}`, tool, canary, canary, canary))
	}
	headers := modernHeaders("tools/call", "admin_delete")
	admin, reader := f.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"}), f.token(nil)
	f.servedIn(t, f.post(admin, modernCall("admin_delete"), headers...))
	f.servedIn(t, f.post(admin, retry("admin_delete"), headers...))
	assert.Equal(t, retry("admin_delete"), string(f.body), "MCP-70: passed on as it is")
	answers := []*httptest.ResponseRecorder{
		f.post(reader, retry("admin_delete"), headers...),
		f.post("", retry("admin_delete"), headers...),
		f.post(reader, retry("unlisted"), modernHeaders("tools/call", "unlisted")...),
		f.post(reader, retry("echo"), headers...),                                           // headers disagree
		f.post(reader, strings.Replace(retry("echo"), `"name":"echo",`, "", 1), headers...), // its target is not in inputResponses
		f.post(admin, retry("admin_delete")+"x", headers...),
	}
	f.refusedWhole(t, answers[0], http.StatusForbidden, adminChallenge, scopeBody("1", "mcp:admin"))
	for i, status := range []int{403, 401, 403, 400, 400, 400} {
		assert.Equal(t, status, answers[i].Code, "MCP-70 answer %d: %s", i, answers[i].Body)
		assert.NotContains(t, answers[i].Body.String(), canary, "MCP-71")
		assert.NotContains(t, fmt.Sprint(answers[i].Header()), canary, "MCP-71")
	}
	assert.Zero(t, f.ran)
	assert.NotContains(t, f.log.String(), canary, "MCP-71")
	assert.Contains(t, f.log.String(), "request refused")
	for _, d := range decisions {
		assert.NotContains(t, fmt.Sprintf("%+v %s", d, d.Calls), canary, "MCP-71")
	}
	assert.Len(t, decisions, 8)
}

// One process, many resources: each has its own document, audience, policy,
// challenge and sessions.
func TestOneMux_PRM_22_PRM_23_PRM_24_AUD_06(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, testIssuerURL)
	mux := http.NewServeMux()
	ran := map[string]int{}
	names := []string{"a", "b", "c"}
	resource := func(name string) string { return "https://mcp.example.com/" + name + "/mcp" }
	for _, name := range names {
		config := testConfig(issuer)
		config.Resource, config.Scopes = resource(name), []string{"base:" + name}
		config.Policy = mcpauth.Rules{Tools: requirements{"tool": mcpauth.Scopes("use:" + name), "only_" + name: mcpauth.Authenticated()}}
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		wrapped := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			ran[name]++
			w.Header().Set("Mcp-Session-Id", "session")
		}))
		mux.Handle("/"+name+"/", wrapped)
		mux.Handle(wellKnown+"/"+name+"/mcp", auth.Metadata())
		if name == "a" {
			mux.Handle(wellKnown+"/", wrapped) // one of them answers for the rest
		}
	}
	serve := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	for _, at := range names {
		metadata := "https://mcp.example.com" + wellKnown + "/" + at + "/mcp"
		for _, host := range []string{"mcp.example.com", "other.example.com", "MCP.EXAMPLE.COM:8443"} {
			r := newRequest(http.MethodGet, wellKnown+"/"+at+"/mcp", "", "", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
			r.Host = host
			w := serve(r)
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, resource(at), documentOf(t, w.Body.Bytes())["resource"], "PRM-22: not chosen by Host")
			assert.Equal(t, []any{"base:" + at}, documentOf(t, w.Body.Bytes())["scopes_supported"], "PRM-23")
		}
		for _, suffix := range []string{"/" + at + "/mcp/x", "/" + at + "/", "/" + at + "/mcp2", "/x"} {
			w := serve(newRequest(http.MethodGet, wellKnown+suffix, "", ""))
			assert.Equal(t, http.StatusNotFound, w.Code, "PRM-24 %s", suffix)
			assert.Empty(t, w.Header().Values("WWW-Authenticate"), "PRM-24")
			assert.NotContains(t, w.Body.String(), "authorization_servers", "PRM-24: never a document of another resource")
		}
		w := serve(newRequest(http.MethodPost, "/"+at+"/mcp", "", legacyCall("tool")))
		assert.Equal(t, `Bearer resource_metadata="`+metadata+`", scope="base:`+at+`"`, w.Header().Get("WWW-Authenticate"), "PRM-23")
		for _, for_ := range names {
			token := issuer.TokenFor(resource(for_), "use:a", "use:b")
			w := serve(newRequest(http.MethodPost, "/"+at+"/mcp", token, legacyCall("tool")))
			switch {
			case at != for_:
				assert.Equal(t, http.StatusUnauthorized, w.Code, "AUD-06: %s at %s", for_, at)
				assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error_description="audience mismatch"`)
				assert.Contains(t, w.Header().Get("WWW-Authenticate"), `resource_metadata="`+metadata+`"`)
			case at == "c":
				assert.Equal(t, `Bearer error="insufficient_scope", scope="use:c", resource_metadata="`+metadata+`"`, w.Header().Get("WWW-Authenticate"), "PRM-23: a policy of its own")
			default:
				assert.Equal(t, http.StatusOK, w.Code)
			}
		}
		token := issuer.TokenFor(resource(at))
		assert.Equal(t, http.StatusOK, serve(newRequest(http.MethodPost, "/"+at+"/mcp", token, legacyCall("only_"+at))).Code)
		assert.Equal(t, http.StatusForbidden, serve(newRequest(http.MethodPost, "/"+at+"/mcp", token, legacyCall("only_x"))).Code)
	}
	assert.Equal(t, map[string]int{"a": 2, "b": 2, "c": 1}, ran)

	t.Run("AUD-06 one token for two resources, and the session of one", func(t *testing.T) {
		token := issuer.Token(mcpauthtest.Claims{"aud": []string{resource("a"), resource("b")}, "scope": "use:a use:b"})
		session := serve(newRequest(http.MethodPost, "/a/mcp", token, batchRequest(1, "initialize", ""))).Header().Get("Mcp-Session-Id")
		for path, want := range map[string]int{"/a/mcp": 200, "/b/mcp": 404} {
			w := serve(newRequest(http.MethodPost, path, token, legacyCall("tool"), "Mcp-Session-Id: "+session))
			assert.Equal(t, want, w.Code, path)
		}
	})
}
