package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const notesPolicy = `{
	"rules": {"tools": {"read": ["notes:read"], "write": ["notes:read", "notes:write"], "ad*": {"all": ["admin"], "visible": true}}},
	"scopes": ["notes:read"], "leeway": "10s",
	"implies": {"notes:write": ["notes:read"]},
	"holders": {"editors": ["notes:write"], "readers": ["notes:read"]}
}`

// TestDoctorHealthyGolden: a set-up without a fault, as text, with colours and as JSON.
func TestDoctorHealthyGolden_AUDIT_03(t *testing.T) {
	issuer := newIssuer(t)
	resource := notes(t, issuer.URL())
	token := issuer.TokenFor(resource, "notes:read")
	args := []string{"doctor", "--resource", resource, "--issuer", issuer.URL(), "--policy", fileWith(t, notesPolicy), "--token", "-", "--origin", "https://app.example.com", "--tool", "read"}
	got := mcpauthCommand(t, token+"\n", args...)
	assert.Equal(t, exitOK, got.code, got.stdout)
	assert.Empty(t, got.stderr)
	golden(t, "testdata/doctor-healthy.txt", settled(got.stdout))
	assert.NotContains(t, got.stdout, "\x1b")
	object := mcpauthCommand(t, token, append(args, "--json")...)
	assert.Equal(t, exitOK, object.code)
	var report findings
	require.NoError(t, json.Unmarshal([]byte(object.stdout), &report))
	assert.Zero(t, report.Faults)
	for part := range strings.SplitSeq(token, ".") {
		assert.NotContains(t, got.stdout+object.stdout, part)
	}

	var painted strings.Builder
	code := run(t.Context(), args, environment{stdin: strings.NewReader(token), stdout: &painted, stderr: io.Discard, color: true})
	assert.Equal(t, exitOK, code)
	assert.Contains(t, painted.String(), "\x1b[32m✓\x1b[0m")

	// Without a file the issuer is named.
	got = mcpauthCommand(t, "", "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", fileWith(t, token))
	assert.Equal(t, exitOK, got.code, got.stdout)
	assert.Contains(t, got.stdout, "with --policy FILE")
}

// TestDoctorToken: what becomes of tokens that the faults do not have.
func TestDoctorToken_TOK_57_DPOP_01(t *testing.T) {
	issuer := newIssuer(t)
	resource := notes(t, issuer.URL())
	good := mcpauthtest.Claims{"aud": resource, "scope": "notes:read"}
	with := func(name string, value any) string {
		claims := mcpauthtest.Claims{}
		for k, v := range good {
			claims[k] = v
		}
		claims[name] = value
		return issuer.Token(claims)
	}
	const jwt = `{"alg":"RS256","kid":"k1","typ":"JWT"}`
	for name, tt := range map[string]struct{ token, cause string }{
		"bound":                {with("cnf", map[string]any{"jkt": "x"}), "sender-constrained"},
		"no issuer":            {with("iss", nil), "issuer-missing"},
		"no expiry":            {with("exp", nil), "claim-missing"},
		"expiry as text":       {with("exp", "never"), "claim-missing"},
		"subject too long":     {with("sub", strings.Repeat("x", 3000)), "token-size"},
		"ID token of Keycloak": {issuer.Sign(jwt, payloadOf(t, with("typ", "ID"))), "token-id"},
		"nothing but a user":   {issuer.Sign(jwt, payloadOf(t, issuer.Token(mcpauthtest.Claims{"aud": resource, "scope": nil, "client_id": nil, "jti": nil}))), "token-id"},
		"header is no JSON":    {issuer.Sign("{", "{}"), "token-malformed"},
		"not base64url":        {"a+b.e30.e30", "token-malformed"},
		"another kind":         {issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"dpop+jwt"}`, payloadOf(t, with("x", 1))), "token-type"},
		"two members":          {issuer.Sign(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, strings.Replace(payloadOf(t, with("x", 1)), `{`, `{"sub":"a",`, 1)), "token-malformed"},
	} {
		got := mcpauthCommand(t, tt.token, "doctor", "--json", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
		assert.Equal(t, exitFindings, got.code, name)
		var report findings
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
		var causes []string
		for _, s := range report.Steps {
			if s.State == stateFault {
				causes = append(causes, s.Cause)
				assert.NotEmpty(t, s.Fix, name)
			}
		}
		assert.Contains(t, causes, tt.cause, name)
	}
}

// TestDoctorServer: what a server does that is not, or only in part, behind the gate.
func TestDoctorServer_CHAL_01_PRM_08(t *testing.T) {
	issuer := newIssuer(t)
	answer := func(status int, header, value, document string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/.well-known/") && document != "" {
				_, _ = io.WriteString(w, strings.ReplaceAll(document, "RESOURCE", "http://"+r.Host+"/mcp"))
				return
			}
			w.Header().Set(header, value)
			w.WriteHeader(status)
		})
	}
	challenge := `Bearer resource_metadata="http://127.0.0.1/x"`
	whole := `{"resource":"RESOURCE","authorization_servers":["` + issuer.URL() + `"]}`
	for name, tt := range map[string]struct {
		handler http.Handler
		flags   []string
		title   string
	}{
		"open":            {answer(200, "X", "y", ""), nil, "a request without a token is served"},
		"redirect":        {answer(308, "Location", "/mcp/", ""), nil, "the endpoint redirects"},
		"not found":       {answer(404, "X", "y", ""), nil, "is not answered with 401"},
		"bare 401":        {answer(401, "WWW-Authenticate", "Bearer", ""), nil, "does not point to the metadata"},
		"named elsewhere": {answer(401, "WWW-Authenticate", challenge, ""), nil, "Clients dial another URL"},
		"named there too": {answer(401, "WWW-Authenticate", challenge, whole), []string{"--issuer", issuer.URL()}, "the challenge names a place"},
		"no JSON":         {answer(401, "WWW-Authenticate", challenge, "<html>"), nil, "is not the metadata"},
		"no issuers":      {answer(401, "WWW-Authenticate", challenge, `{"resource":"RESOURCE"}`), nil, "names no authorization server"},
		"other issuer":    {answer(401, "WWW-Authenticate", challenge, `{"resource":"RESOURCE","authorization_servers":["`+issuer.URL()+`/"]}`), []string{"--issuer", issuer.URL()}, "does not name the issuer"},
		"CORS of its own": {answer(401, "Access-Control-Allow-Origin", "https://a.example", ""), []string{"--origin", "https://a.example"}, "cannot read the challenge"},
		"not an issuer":   {answer(401, "WWW-Authenticate", challenge, `{"resource":"RESOURCE","authorization_servers":["x"]}`), nil, "not an absolute URL"},
	} {
		got := mcpauthCommand(t, "", append([]string{"doctor", "--resource", serve(t, tt.handler)}, tt.flags...)...)
		assert.Equal(t, exitFindings, got.code, name)
		assert.Contains(t, got.stdout, tt.title, name)
		assert.Contains(t, got.stdout, "fix: ", name)
	}
}

// TestDoctorTwoPlaces: a server may have its metadata at two places, and clients go to the one that the challenge names.
func TestDoctorTwoPlaces_PRM_08(t *testing.T) {
	issuer := newIssuer(t)
	for name, tt := range map[string]struct {
		named, there string
		code         int
		want         string
	}{
		"the same":         {"/.well-known/oauth-protected-resource", "/mcp", exitOK, "the metadata names the authorization servers"},
		"another resource": {"/.well-known/oauth-protected-resource", "/other", exitFindings, "the challenge names a place"},
		"nothing":          {"/nowhere", "/mcp", exitFindings, "the challenge names a place"},
	} {
		got := mcpauthCommand(t, "", "doctor", "--issuer", issuer.URL(), "--resource", serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			self, at := "http://"+r.Host, r.URL.Path
			resource, found := map[string]string{"/.well-known/oauth-protected-resource/mcp": "/mcp", "/.well-known/oauth-protected-resource": tt.there}[at]
			switch {
			case found:
				_, _ = io.WriteString(w, `{"resource":"`+self+resource+`","authorization_servers":["`+issuer.URL()+`"]}`)
			case at == "/mcp":
				w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+self+tt.named+`"`)
				w.WriteHeader(http.StatusUnauthorized)
			default:
				http.NotFound(w, r)
			}
		})))
		assert.Equal(t, tt.code, got.code, "%s: %s", name, got.stdout)
		assert.Contains(t, got.stdout, tt.want, name)
	}
}

// TestDoctorDisagreement: the running server does other things than its configuration says.
func TestDoctorDisagreement(t *testing.T) {
	issuer := newIssuer(t)
	var resource string
	status, header := 0, ""
	resource = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			_, _ = io.WriteString(w, `{"resource":"`+resource+`","authorization_servers":["`+issuer.URL()+`"]}`)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+metadataURL(resource)+`"`)
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", header)
			w.WriteHeader(status)
			return
		}
		w.WriteHeader(401)
	}))
	for _, tt := range []struct {
		status int
		header string
		title  string
	}{
		{401, `Bearer`, "it sees no token"}, {401, `Bearer error="invalid_token", error_description="audience mismatch"`, "audience mismatch"},
		{401, `Bearer realm="x"`, `WWW-Authenticate: Bearer realm="x"`},
		{503, ``, "it cannot check the token now"}, {403, ``, "it refuses the token that the same configuration accepts here"},
	} {
		status, header = tt.status, tt.header
		got := mcpauthCommand(t, issuer.TokenFor(resource), "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
		assert.Equal(t, exitFindings, got.code)
		assert.Contains(t, got.stdout, tt.title)
	}
}

// TestDoctorAccepts: a server that serves a token which its configuration refuses does not check it.
func TestDoctorAccepts_OBS_12(t *testing.T) {
	issuer := newIssuer(t)
	var resource string
	resource = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/.well-known/"):
			_, _ = io.WriteString(w, `{"resource":"`+resource+`","authorization_servers":["`+issuer.URL()+`"]}`)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+metadataURL(resource)+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"}]}}`)
		}
	}))
	for name, tt := range map[string]struct {
		token string
		want  bool
	}{
		"good":             {issuer.TokenFor(resource), false},
		"another audience": {issuer.TokenFor("https://other.example"), true},
		"no JWT":           {"0123456789abcdef", true},
	} {
		got := mcpauthCommand(t, tt.token, "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
		assert.Equal(t, tt.want, strings.Contains(got.stdout, "it serves a token that is refused here"), "%s: %s", name, got.stdout)
		assert.Equal(t, !tt.want, strings.Contains(got.stdout, "✓ it accepts the token"), "%s: %s", name, got.stdout)
	}
	issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
	got := mcpauthCommand(t, issuer.TokenFor(resource), "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
	assert.Contains(t, got.stdout, "✓ it accepts the token", "nobody has judged it here")
}

// TestDoctorLeakedKey: a key set that gives a private key away is no healthy one, whatever other keys it has.
func TestDoctorLeakedKey_JWKS_07(t *testing.T) {
	issuer := newIssuer(t)
	resource := notes(t, issuer.URL())
	set := map[string]any{"keys": []any{issuer.Keys()[0].JWK(), map[string]any{"kty": "oct", "kid": "leaked", "k": "c2VjcmV0LXNlY3JldA"}}}
	text, err := json.Marshal(set)
	require.NoError(t, err)
	issuer.PublishKeySet(string(text))
	got := mcpauthCommand(t, issuer.TokenFor(resource, "notes:read"), "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
	assert.Equal(t, exitFindings, got.code, got.stdout)
	assert.Contains(t, got.stdout, "✗ a published key holds what nobody else may have\n      leaked: private or symmetric key material\n")
	assert.NotContains(t, got.stdout, "c2VjcmV0LXNlY3JldA")
	assert.Contains(t, got.stdout, "\n1 fault\n")
}

func TestDoctorUnreachable(t *testing.T) {
	got := mcpauthCommand(t, "", "doctor", "--resource", "http://127.0.0.1:1/mcp")
	assert.Equal(t, exitUnreachable, got.code)
	assert.Contains(t, got.stdout, "cannot be reached")
	assert.Contains(t, got.stdout, "no issuer is known")
}

// TestDoctorAsks: an authorization server that does not say whose a token is has a fault of its own, also where the resource cannot be reached.
func TestDoctorAsks_OBS_08(t *testing.T) {
	issuer := newIssuer(t)
	config := issuer.Config()
	config.Introspect = issuer.Introspection()
	issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
	const resource = "http://127.0.0.1:1/mcp"
	name := filepath.Join(t.TempDir(), "mcpauth.json")
	text, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{"url": config.URL, "introspect": introspectionInFile(t, config.Introspect)}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, text, 0o600))
	got := mcpauthCommand(t, issuer.Opaque(mcpauthtest.Claims{"aud": resource}), "doctor", "--resource", resource, "--policy", name, "--token", "-")
	assert.Contains(t, got.stdout, "see: docs/troubleshooting.md#introspection-unreachable")
	assert.NotContains(t, got.stdout, "there are no keys")
	assert.Contains(t, got.stdout, "2 faults")
}

// TestUsage: what is wrong with a command line, and that no secret is shown of it.
func TestUsage(t *testing.T) {
	token := "eyJhbGciOi-canary"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"dcotor"}, `no command "dcotor"`},
		{[]string{"doctor"}, "--resource"},
		{[]string{"doctor", "--bogus"}, "bogus"},
		{[]string{"doctor", "--resource", "mcp.example.com"}, "--resource"},
		{[]string{"doctor", "--resource", "http://127.0.0.1:1/", "--token", "missing-file"}, "--token: no such file"},
		{[]string{"doctor", "--resource", "http://127.0.0.1:1/", "--policy", "missing-file"}, "missing-file"},
		{[]string{"doctor", "--policy", fileWith(t, `{"rules":{"tool":{}}}`)}, `file:1:11: rules.tool: no such member: write "tools"`},
		{[]string{"doctor", "--policy", fileWith(t, `{} {}`)}, "behind the end"},
		{[]string{"doctor", "--policy", fileWith(t, `{"rules":{"tools":{"a":"anybody"}}}`)}, "authenticated"},
		{[]string{"doctor", "--policy", fileWith(t, `{"rules":{"tools":{"a":[1]}}}`)}, "file:1:25: rules.tools"},
		{[]string{"doctor", "--policy", fileWith(t, `{"rules":{"tools":{"a":{"every":["x"]}}}}`)}, `["a"].every: no such member`},
		{[]string{"doctor", "--policy", fileWith(t, `{"leeway":30}`)}, "file:1:11: leeway: a number"},
		{[]string{"policy", "--policy", fileWith(t, "{\"leeway\":30,\n\"scope\":[]}")}, "file:2:1: scope: no such member"}, // as the first one
		{[]string{"doctor", "--policy", fileWith(t, `{"issuers":[{"dpop":true}]}`)}, `issuers[0].dpop: true: write "off", "accepted" or "required"`},
		{[]string{"doctor", "--policy", fileWith(t, `{"issuers":[{"introspect":true}]}`)}, "issuers[0].introspect: true: write an object"},
		{[]string{"doctor", "--policy", fileWith(t, `{"issuers":[{"introspect":{"client":{"id":"c","secret":"canary"}}}]}`)}, "client.secret: a secret that stands in the file"},
		{[]string{"doctor", "--policy", fileWith(t, `{"resource":"https://mcp.example.com/mcp","issuers":[{"url":"https://login.example.com"},{"url":"https://a.example.com","introspect":{"client":{"id":"c","secret":{"env":"MCPAUTH_UNSET"}}}}]}`)},
			`issuers[1].introspect.client.secret: the environment has no "MCPAUTH_UNSET"`},
		{[]string{"doctor", "--policy", fileWith(t, `{"resource":"https://mcp.example.com/mcp","issuers":[{"url":"https://login.example.com","introspect":{"client":{"id":"c","secret":{"env":"MCPAUTH_UNSET"}},"prefix":"a b"}}]}`)},
			"issuers[0].introspect.prefix"},
		{[]string{"policy"}, "--policy"},
		{[]string{"policy", "--policy", fileWith(t, `{}`), "--live", "x"}, "--live"},
		{[]string{"policy", "--policy", fileWith(t, `{}`), "--issuer", "x"}, "--issuer"},
		{[]string{"check"}, "one URL"},
		{[]string{"check", "http://127.0.0.1:1/", "x"}, "one URL"},
		{[]string{"check", "https://mcp.example.com/mcp"}, "i-own-this-target"},
		{[]string{"check", "--format", "yaml", "http://127.0.0.1:1/"}, "yaml"},
		{[]string{"check", "--fail-on", "bad", "http://127.0.0.1:1/"}, "bad"},
		{[]string{"check", "--rate", "0", "http://127.0.0.1:1/"}, "--rate"},
		{[]string{"check", "--issuer", "http://127.0.0.1:2", "http://127.0.0.1:1/"}, "--key"},
		{[]string{"check", "--embed-issuer", "http://127.0.0.1:0", "--key", "x", "http://127.0.0.1:1/"}, "drop --key"},
		{[]string{"check", "--embed-issuer", "https://login.example.com", "http://127.0.0.1:1/"}, "--embed-issuer"},
		{[]string{"check", "--embed-issuer", "http://127.0.0.1:1?x", "http://127.0.0.1:1/"}, "--embed-issuer"},
		{[]string{"check", "--embed-issuer", "http://127.0.0.1:99999", "http://127.0.0.1:1/"}, "--embed-issuer"},
		{[]string{"check", "--key", "missing-file", "http://127.0.0.1:1/"}, "--key: no such file"},
		{[]string{"check", "--key", fileWith(t, token), "http://127.0.0.1:1/"}, "no PEM block"},
		{[]string{"check", "--key", fileWith(t, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "http://127.0.0.1:1/"}, "no PKCS #8"},
		{[]string{"check", "--token", fileWith(t, " \n"), "http://127.0.0.1:1/"}, "is empty"},
		{[]string{"check", "--other-token", "missing-file", "http://127.0.0.1:1/"}, "--other-token: no such file"},
	} {
		got := mcpauthCommand(t, token, tt.args...)
		assert.Equal(t, exitUsage, got.code, tt.args)
		assert.Contains(t, got.stderr, tt.want, tt.args)
		assert.NotContains(t, got.stderr+got.stdout, "canary")
	}
	got := mcpauthCommand(t, "")
	assert.Equal(t, exitOK, got.code)
	assert.Contains(t, got.stdout, "doctor")
	file, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer file.Close()
	_ = isTerminal(file)
	require.NoError(t, file.Close())
	assert.False(t, isTerminal(file))
}

// TestDoctorEventStream: a server that answers with event streams, lists in
// pages, and speaks of itself in control characters.
func TestDoctorEventStream_MCP_62(t *testing.T) {
	issuer := newIssuer(t)
	var resource string
	lists := 0
	resource = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/.well-known/"):
			_, _ = io.WriteString(w, `{"resource":"`+resource+`","authorization_servers":["`+issuer.URL()+`"]}`)
			return
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+metadataURL(resource)+`"`)
			w.WriteHeader(401)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		result := `{"protocolVersion":"2025-11-25"}`
		if strings.Contains(string(body), "tools/list") {
			if lists++; lists == 1 {
				result = `{"tools":[{"name":"a\u001b[31m"}],"nextCursor":"\"2"}`
			} else {
				assert.Contains(t, string(body), `"cursor":"\"2"`)
				result = `{"tools":[{"name":"b"}]}`
			}
		}
		_, _ = io.WriteString(w, ": hello\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":"+result+"}\n\n")
	}))
	file := fileWith(t, `{"issuers":[{"url":"`+issuer.URL()+`","claims":{"audience":"client_id"},"audiences":["`+resource+`","client-1"]}],"rules":{"tools":{"a":{"any":[["x"]]}, "b*": ["y"]}}}`)
	got := mcpauthCommand(t, issuer.Token(mcpauthtest.Claims{"azp": "client-1"}), "doctor", "--policy", file, "--resource", resource, "--token", "-")
	assert.Equal(t, exitFindings, got.code)
	assert.Contains(t, got.stdout, "this resource server accepts the token")
	assert.Contains(t, got.stdout, "tool a: The token has no scope at all.")

	lists = 0
	got = mcpauthCommand(t, issuer.TokenFor(resource), "doctor", "--resource", resource, "--issuer", issuer.URL(), "--token", "-")
	assert.Equal(t, exitOK, got.code, got.stdout)
	assert.Contains(t, got.stdout, `"a\x1b[31m", "b"`)
}

// TestDoctorUnjudged_OBS_08: who names no issuer on loopback is not told that all is well when the
// server refuses the token, nor that somebody else refuses it, too.
func TestDoctorUnjudged_OBS_08(t *testing.T) {
	issuer := newIssuer(t)
	resource := notes(t, issuer.URL())
	for name, tt := range map[string]struct{ token, status string }{
		"another issuer": {newIssuer(t).TokenFor(resource, "notes:read"), "issuer not accepted"},
		"no JWT":         {"opaque", "malformed token"},
	} {
		got := mcpauthCommand(t, tt.token, "doctor", "--resource", resource, "--token", "-")
		assert.Equal(t, exitFindings, got.code, name)
		assert.Contains(t, got.stdout, "✗ it refuses the token\n", name)
		assert.Contains(t, got.stdout, tt.status, name)
		assert.Contains(t, got.stdout, "fix: give --issuer", name)
		assert.NotContains(t, got.stdout, "it refuses the token, too", name)
		assert.NotContains(t, got.stdout, "no issuer is known", "one is known, and not asked")
	}
	for _, token := range []string{issuer.TokenFor(resource, "notes:read"), ""} {
		args := []string{"doctor", "--resource", resource}
		if token != "" {
			args = append(args, "--token", "-")
		}
		got := mcpauthCommand(t, token, args...)
		assert.Equal(t, exitOK, got.code, got.stdout)
		assert.Contains(t, got.stdout, "no fault found in what was looked at")
	}
	// Judged, and accepted here; another step has a fault, and the server refuses.
	got := mcpauthCommand(t, issuer.TokenFor(resource), "doctor", "--resource", resource, "--issuer", issuer.URL()+"/", "--token", "-")
	assert.NotContains(t, got.stdout, "the token says \""+issuer.URL()+"/\"", "no token says what --issuer says")
	assert.Contains(t, got.stdout, "given is \""+issuer.URL()+"/\", the metadata names \""+issuer.URL()+"\"")
}

// TestDoctorEndpoint: where tokens can be asked about is looked for without one, as keys are.
func TestDoctorEndpoint_INTRO_01(t *testing.T) {
	issuer := newIssuer(t)
	how := issuer.Introspection()
	for _, there := range []bool{true, false} {
		if !there {
			issuer.PublishMetadata(func(m map[string]any) { delete(m, "introspection_endpoint") })
		}
		config := mcpauth.Config{Resource: notes(t, issuer.URL()), Issuers: []mcpauth.Issuer{issuer.Config()}}
		config.Issuers[0].Introspect = how
		got := mcpauthCommand(t, "", "doctor", "--resource", config.Resource, "--policy", writeConfig(t, config))
		assert.Equal(t, there, got.code == exitOK, got.stdout)
		assert.Equal(t, !there, strings.Contains(got.stdout, "the metadata has no introspection_endpoint"), got.stdout)
		assert.Equal(t, !there, strings.Contains(got.stdout, "Set Issuer.Introspect.Endpoint"), got.stdout)
		assert.Contains(t, got.stdout, "keys of "+issuer.URL())
	}
}

// TestDoctorBoundToken: a token that is bound to a key is good and cannot be tried. A server that serves it all
// the same has a fault.
func TestDoctorBoundToken_DPOP_01(t *testing.T) {
	key := mcpauthtest.NewKey("client", "ES256")
	issuer := newIssuer(t)
	serve := func(instead int) (code int, out string) {
		var handler http.Handler
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if instead != 0 && r.Method == http.MethodPost && r.Header.Get("Authorization") != "" {
				if r.Header.Del("Authorization"); instead != http.StatusUnauthorized {
					w.WriteHeader(instead)
					return
				}
			}
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		config := mcpauth.Config{Resource: server.URL + "/mcp", Issuers: []mcpauth.Issuer{issuer.Config()}, AllowInsecureLoopback: true,
			Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read": mcpauth.Scopes("notes:read")}}, Scopes: []string{"notes:read"}}
		config.Issuers[0].DPoP = mcpauth.DPoPAccepted
		auth, err := mcpauth.New(config)
		require.NoError(t, err)
		handler = auth.Wrap(http.NotFoundHandler())
		token := issuer.BoundToken(key, mcpauthtest.Claims{"aud": config.Resource, "scope": "notes:read"})
		got := mcpauthCommand(t, token, "doctor", "--resource", config.Resource, "--policy", writeConfig(t, config), "--token", "-")
		return got.code, got.stdout
	}
	code, out := serve(0)
	assert.Equal(t, exitOK, code, out)
	assert.Contains(t, out, "good with a proof by that key")
	assert.Contains(t, out, "it refuses the token without a proof, as it must")
	for instead, said := range map[int]string{
		http.StatusOK:                  "it serves a token that is refused here",
		http.StatusAccepted:            "it serves a token that is refused here",
		http.StatusUnauthorized:        "it sees no token",
		http.StatusForbidden:           "it does not refuse a bound token without a proof with 401",
		http.StatusNotFound:            "it does not refuse a bound token without a proof with 401",
		http.StatusInternalServerError: "it does not refuse a bound token without a proof with 401",
		http.StatusServiceUnavailable:  "it cannot check the token now",
	} {
		code, out = serve(instead)
		assert.Equal(t, exitFindings, code, "%d", instead)
		assert.Contains(t, out, said)
		assert.NotContains(t, out, "it refuses the token without a proof, as it must")
	}
}
