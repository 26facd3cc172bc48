package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/jose"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

func requireDPoP(c *mcpauth.Config) { c.Issuers[0].DPoP = mcpauth.DPoPRequired }

// What the answers of this file share.
const (
	bearerOffer = `Bearer resource_metadata="` + testMetadataURL + `", scope="mcp:read"`
	algs        = `algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`
	dpopOffer   = `DPoP resource_metadata="` + testMetadataURL + `", scope="mcp:read", ` + algs
)

func dpopError(code, words string) string {
	return `DPoP error="` + code + `", error_description="` + words + `", scope="mcp:read", resource_metadata="` + testMetadataURL + `", ` + algs
}

// TestModes: which tokens are taken under which scheme, and what a client without a good one is told, for each mode.
func TestModes_DPOP_01_DPOP_02_DPOP_11_DPOP_12(t *testing.T) {
	const bound = "sender-constrained token without proof of possession"
	offers := map[mcpauth.DPoP][]string{
		mcpauth.DPoPOff: {bearerOffer}, mcpauth.DPoPAccepted: {bearerOffer, dpopOffer}, mcpauth.DPoPRequired: {dpopOffer},
	}
	for _, row := range []struct {
		name  string
		mode  mcpauth.DPoP
		send  func(l *proofLab) *http.Request
		error []string // the challenges; nil: served
	}{
		{"off, nothing", mcpauth.DPoPOff, func(l *proofLab) *http.Request { return l.send("") }, offers[mcpauth.DPoPOff]},
		{"off, bearer", mcpauth.DPoPOff, func(l *proofLab) *http.Request { return l.send("Bearer " + l.bearer) }, nil},
		{"off, bound as bearer", mcpauth.DPoPOff, func(l *proofLab) *http.Request { return l.send("Bearer "+l.token, l.proof(nil)) }, []string{invalidToken(bound)}},
		{"off, bound", mcpauth.DPoPOff, func(l *proofLab) *http.Request { return l.send("DPoP "+l.token, l.proof(nil)) }, offers[mcpauth.DPoPOff]},
		{"accepted, nothing", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("") }, offers[mcpauth.DPoPAccepted]},
		{"accepted, bearer", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("Bearer " + l.bearer) }, nil},
		{"accepted, bearer with a proof that means nothing", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("Bearer "+l.bearer, "x") }, nil},
		{"accepted, bound", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("DPoP "+l.token, l.proof(nil)) }, nil},
		{"accepted, bound in capitals", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("DPOP "+l.token, l.proof(nil)) }, nil},
		{"accepted, bound as bearer", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("Bearer "+l.token, l.proof(nil)) }, []string{invalidToken(bound), dpopOffer}},
		{"accepted, bearer as bound", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("DPoP "+l.bearer, l.proof(nil)) }, []string{bearerOffer, dpopError("invalid_token", bound)}},
		{"accepted, without a proof", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("DPoP " + l.token) }, []string{bearerOffer, dpopError("invalid_dpop_proof", "DPoP proof invalid")}},
		{"accepted, no token", mcpauth.DPoPAccepted, func(l *proofLab) *http.Request { return l.send("DPoP x", l.proof(nil)) }, []string{bearerOffer, dpopError("invalid_token", "malformed token")}},
		{"required, nothing", mcpauth.DPoPRequired, func(l *proofLab) *http.Request { return l.send("") }, offers[mcpauth.DPoPRequired]},
		{"required, bearer", mcpauth.DPoPRequired, func(l *proofLab) *http.Request { return l.send("Bearer " + l.bearer) }, []string{dpopError("invalid_token", bound)}},
		{"required, bound as bearer", mcpauth.DPoPRequired, func(l *proofLab) *http.Request { return l.send("Bearer "+l.token, l.proof(nil)) }, []string{dpopError("invalid_token", bound)}},
		{"required, without a nonce", mcpauth.DPoPRequired, func(l *proofLab) *http.Request { return l.send("DPoP "+l.token, l.proof(nil)) }, []string{dpopError("use_dpop_nonce", "DPoP proof without a valid nonce")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newProofLab(t, func(c *mcpauth.Config) { c.Issuers[0].DPoP = row.mode })
			r := row.send(l)
			if r.Header.Get("Authorization") == "" {
				r.Header.Del("Authorization")
			}
			w := l.serve(r)
			if row.error == nil {
				assert.Equal(t, http.StatusOK, w.Code, l.log)
				assert.Equal(t, 1, l.ran)
				assert.Empty(t, l.last.Header["Dpop"], "the handler sees no proof")
				assert.Empty(t, l.last.Header["Authorization"])
				assert.Empty(t, w.Header()["Www-Authenticate"])
				return
			}
			l.refused(w, http.StatusUnauthorized, strings.Join(row.error, " | "))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, strings.Contains(row.error[len(row.error)-1], "use_dpop_nonce"), w.Header().Get("DPoP-Nonce") != "")
		})
	}
}

// One issuer's mode is not another's, and what one of them takes is offered to all.
func TestModesOfTwoIssuers_DPOP_12(t *testing.T) {
	second := mcpauthtest.NewIssuerAt(t, secondIssuerURL)
	l := newProofLab(t, func(c *mcpauth.Config) {
		first := c.Transport
		c.Issuers[0].DPoP = mcpauth.DPoPRequired
		c.Issuers = append(c.Issuers, second.Config())
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "as2.example.com" {
				return second.Transport().RoundTrip(r)
			}
			return first.RoundTrip(r)
		})
	})
	good := mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read"}
	bearer, bound := second.Token(good), second.BoundToken(l.key, good)
	assert.Equal(t, 200, l.serve(l.send("Bearer "+bearer)).Code)
	l.ran = 0
	l.refused(l.serve(l.send("DPoP "+bound, l.key.Proof("POST", testResource, bound, nil))), 401, bearerOffer+" | "+dpopError("invalid_token", "sender-constrained token without proof of possession"))
	l.refused(l.serve(l.send("Bearer "+l.bearer)), 401, invalidToken("sender-constrained token without proof of possession")+" | "+dpopOffer)
	l.refused(l.serve(l.send("DPoP "+l.token, l.proof(nil))), 401, bearerOffer+" | "+dpopError("use_dpop_nonce", "DPoP proof without a valid nonce"))
	assert.Contains(t, string(l.auth.MetadataJSON()), `"dpop_bound_access_tokens_required":false`)
}

// TestOffersOfTwoIssuers_DPOP_12: the order of the issuers changes nothing of what is offered.
func TestOffersOfTwoIssuers_DPOP_12(t *testing.T) {
	for _, modes := range [][2]mcpauth.DPoP{{mcpauth.DPoPOff, mcpauth.DPoPRequired}, {mcpauth.DPoPRequired, mcpauth.DPoPOff}} {
		f := newFixture(t, func(c *mcpauth.Config) {
			c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: secondIssuerURL, DPoP: modes[1]})
			c.Issuers[0].DPoP = modes[0]
		})
		f.refused(f.call("", "echo"), http.StatusUnauthorized, bearerOffer+" | "+dpopOffer)
	}
}

func TestMetadata_DPOP_12_PRM_13(t *testing.T) {
	for mode, want := range map[mcpauth.DPoP]map[string]any{
		mcpauth.DPoPOff:      {"bearer_methods_supported": []any{"header"}},
		mcpauth.DPoPAccepted: {"bearer_methods_supported": []any{"header"}, "dpop_bound_access_tokens_required": false},
		mcpauth.DPoPRequired: {"dpop_bound_access_tokens_required": true},
	} {
		l := newProofLab(t, func(c *mcpauth.Config) { c.Issuers[0].DPoP = mode })
		var got map[string]any
		require.NoError(t, json.Unmarshal(l.auth.MetadataJSON(), &got))
		for _, name := range []string{"bearer_methods_supported", "dpop_bound_access_tokens_required"} {
			assert.Equal(t, want[name], got[name], "%s in mode %d", name, mode)
		}
		if mode == mcpauth.DPoPOff {
			assert.NotContains(t, got, "dpop_signing_alg_values_supported")
			continue
		}
		var names []any
		for _, alg := range jose.Algorithms() {
			names = append(names, alg)
		}
		assert.Equal(t, names, got["dpop_signing_alg_values_supported"])
	}
}

// TestNonceFlow: a client that is told of a nonce comes back with it, learns the next one with each answer, and an old
// one is none.
func TestNonceFlow_DPOP_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := []byte("01234567890123456789012345678901")
		l := newProofLab(t, func(c *mcpauth.Config) { requireDPoP(c); c.SessionKey = key })
		first := l.serve(l.send("DPoP "+l.token, l.proof(nil)))
		l.refused(first, 401, dpopError("use_dpop_nonce", "DPoP proof without a valid nonce"))
		nonce := first.Header().Get("DPoP-Nonce")
		assert.JSONEq(t, `{"error":"use_dpop_nonce","error_description":"DPoP proof without a valid nonce"}`, first.Body.String())

		with := func(l *proofLab, nonce string) *httptest.ResponseRecorder {
			return l.serve(l.send("DPoP "+l.token, l.proof(mcpauthtest.Claims{"nonce": nonce})))
		}
		w := with(l, nonce)
		assert.Equal(t, 200, w.Code, l.log)
		assert.Equal(t, nonce, w.Header().Get("DPoP-Nonce"))
		assert.Contains(t, w.Header().Get("Cache-Control"), "no-store")
		time.Sleep(2 * time.Minute)
		w = with(l, nonce)
		assert.Equal(t, 200, w.Code, "the one before")
		fresh := w.Header().Get("DPoP-Nonce")
		assert.NotEqual(t, nonce, fresh)

		replica := newProofLab(t, func(c *mcpauth.Config) { requireDPoP(c); c.SessionKey = key })
		assert.Equal(t, 200, with(replica, fresh).Code, "another replica")
		stranger := newProofLab(t, requireDPoP)
		assert.Equal(t, 401, with(stranger, fresh).Code, "another server")

		time.Sleep(2 * time.Minute)
		l.ran = 0
		w = with(l, nonce)
		l.refused(w, 401, dpopError("use_dpop_nonce", "DPoP proof without a valid nonce"))
		assert.Equal(t, 200, with(l, w.Header().Get("DPoP-Nonce")).Code)
		// A refusal for another reason gives the next one too: the client has done what it could.
		w = l.serve(newBound(l, modernCall("admin_delete"), "admin_delete", l.proof(mcpauthtest.Claims{"nonce": w.Header().Get("DPoP-Nonce")})))
		assert.Equal(t, 403, w.Code)
		assert.NotEmpty(t, w.Header().Get("DPoP-Nonce"))
	})
}

func newBound(l *proofLab, body, tool, proof string) *http.Request {
	r := newRequest(http.MethodPost, "/mcp", "", body, modernHeaders("tools/call", tool)...)
	r.Header.Set("Authorization", "DPoP "+l.token)
	r.Header.Set("DPoP", proof)
	return r
}

// TestScopeChallenge: who has shown possession and lacks a scope is told so under his scheme, and no other.
func TestScopeChallenge_DPOP_11(t *testing.T) {
	l := newProofLab(t, nil)
	l.refused(l.serve(newBound(l, modernCall("admin_delete"), "admin_delete", l.proof(nil))), 403,
		`DPoP error="insufficient_scope", scope="mcp:admin", resource_metadata="`+testMetadataURL+`", `+algs)
	l.refused(l.call(l.bearer, "admin_delete"), 403, adminChallenge)
}

// TestMemoryKeepsBinding: a token that was verified a moment ago is as bound as it was.
func TestMemoryKeepsBinding_DPOP_01_DPOP_15(t *testing.T) {
	l := newProofLab(t, nil)
	for range 3 {
		require.Equal(t, 200, l.serve(l.send("DPoP "+l.token, l.proof(nil))).Code)
		l.ran = 0
		l.refused(l.serve(l.send("Bearer "+l.token)), 401, invalidToken("sender-constrained token without proof of possession")+" | "+dpopOffer)
		l.refused(l.serve(l.send("DPoP "+l.token)), 401, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
		l.refused(l.serve(l.send("DPoP "+l.token, l.foreign.Proof("POST", testResource, l.token, nil))), 401, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
	}
	assert.Equal(t, 1, l.auth.TokenMemory().Tokens)
	assert.Contains(t, l.log.String(), `subject="\"user-1\""`, "the token was good: the line says whose it is")
}

// TestProofAfterToken: the token is judged first. Whatever its proof, a token that is not good is refused for itself.
func TestProofAfterToken_DPOP_15(t *testing.T) {
	l := newProofLab(t, nil)
	expired := l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "iat": l.now - 7200, "exp": l.now - 3600})
	for name, proof := range map[string]string{"good": l.key.Proof("POST", testResource, expired, nil), "garbage": "x", "long": strings.Repeat("A", 9<<10)} {
		l.refused(l.serve(l.send("DPoP "+expired, proof)), 401, bearerOffer+" | "+dpopError("invalid_token", "token expired"))
		assert.NotContains(t, l.log.String(), "proof", name)
	}
	body := &countingBody{}
	r := l.send("DPoP "+l.token, "x")
	r.Body = body
	l.refused(l.serve(r), 401, bearerOffer+" | "+dpopError("invalid_dpop_proof", "DPoP proof invalid"))
	assert.Zero(t, body.reads, "the body of a request without a good proof is not read")
}

// TestRevokedIsAskedAfterProof: a thief without the key does not reach the operator's function.
func TestRevokedIsAskedAfterProof_DPOP_15(t *testing.T) {
	asked := 0
	l := newProofLab(t, func(c *mcpauth.Config) {
		c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { asked++; return false, nil }
	})
	for range 3 {
		assert.Equal(t, 401, l.serve(l.send("DPoP "+l.token, l.foreign.Proof("POST", testResource, l.token, nil))).Code)
		assert.Equal(t, 401, l.serve(l.send("Bearer "+l.token)).Code)
	}
	assert.Zero(t, asked)
	assert.Equal(t, 200, l.serve(l.send("DPoP "+l.token, l.proof(nil))).Code)
	assert.Equal(t, 1, asked)
}

// TestSessions: each request of a session needs a proof of its own method, and the session is the principal's and
// the client's, whatever key the client has by then.
func TestSessions_DPOP_16(t *testing.T) {
	l := newProofLab(t, nil)
	l.inner = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Mcp-Session-Id", "session") }
	send := func(key *mcpauthtest.Key, token, method, htm, session, body string) *httptest.ResponseRecorder {
		headers := []string{"MCP-Protocol-Version: 2025-11-25"}
		if session != "" {
			headers = append(headers, "Mcp-Session-Id: "+session)
		}
		r := newRequest(method, "/mcp", "", body, headers...)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", key.Proof(htm, testResource, token, nil))
		return l.serve(r)
	}
	w := send(l.key, l.token, "POST", "POST", "", sessionInitialize)
	require.Equal(t, 200, w.Code, l.log)
	id := w.Header().Get("Mcp-Session-Id")
	l.inner, l.ran = nil, 0
	assert.Equal(t, 200, send(l.key, l.token, "POST", "POST", id, legacyCall("echo")).Code)
	assert.Equal(t, 401, send(l.key, l.token, "GET", "POST", id, "").Code)
	assert.Equal(t, 401, send(l.key, l.token, "DELETE", "GET", id, "").Code)
	assert.Equal(t, 200, send(l.foreign, l.foreignToken, "POST", "POST", id, legacyCall("echo")).Code, "the same user and client, with a new key and a token for it")
	another := l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "scope": "mcp:read", "sub": "user-2"})
	assert.Equal(t, 404, send(l.key, another, "POST", "POST", id, legacyCall("echo")).Code, "another user with the same key")
	assert.Equal(t, 2, l.ran)
	assert.Equal(t, 200, send(l.key, l.token, "DELETE", "DELETE", id, "").Code)
}

// TestPathAsReceived: a proof names the URL that its client has dialled, also where a prefix is stripped in front of us:
// message endpoints of HTTP+SSE have paths of their own.
func TestPathAsReceived_DPOP_05(t *testing.T) {
	l := newProofLab(t, nil)
	outer := http.StripPrefix("/api", l.handler)
	for _, row := range []struct {
		target, uri, htu string
		status           int
	}{
		{"/api/message?session=1", "/api/message?session=1", "https://mcp.example.com/api/message", 200},
		{"/api/message", "/api/message", testResource, 200},
		{"/api/message", "/api/message", "https://mcp.example.com/message", 401},
		{"/api/message", "/api/message", "https://mcp.example.com/api/other", 401},
		{"/api/message", "/api/message", "https://other.example.com/api/message", 401},
		{"/api//message", "/api//message", "https://mcp.example.com/api/message", 401},
		{"/api/message", "http://evil.example.com/api/message", "https://mcp.example.com/message", 200}, // absolute form: what is left of the path
		{"/api/message", "http://evil.example.com/api/message", "http://evil.example.com/api/message", 401},
		{"/api/message", "", "https://mcp.example.com/message", 200}, // made by a gateway
	} {
		r := newRequest(http.MethodPost, row.target, "", modernCall("echo"), modernHeaders("tools/call", "echo")...)
		r.RequestURI = row.uri
		r.Header.Set("Authorization", "DPoP "+l.token)
		r.Header.Set("DPoP", l.key.Proof("POST", row.htu, l.token, nil))
		w := httptest.NewRecorder()
		outer.ServeHTTP(w, r)
		assert.Equal(t, row.status, w.Code, "%v", row)
	}
}

// TestShownURL: the log shows of a URL in a proof what is wrong with it, and no secret.
func TestShownURL_DPOP_05(t *testing.T) {
	l := newProofLab(t, nil)
	for htu, shown := range map[string]string{
		"https://user:canary@mcp.example.com/mcp":                "...@mcp.example.com/mcp",
		"https://mcp.example.com/other?access_token=canary":      "https://mcp.example.com/other?...",
		"https://mcp.example.com/other#access_token=canary":      "https://mcp.example.com/other",
		"https://mcp.example.com/other?a=canary#b=canary?canary": "https://mcp.example.com/other?...",
	} {
		l.log.Reset()
		assert.Equal(t, http.StatusUnauthorized, l.serve(l.send("DPoP "+l.token, l.proof(mcpauthtest.Claims{"htu": htu}))).Code)
		assert.Contains(t, l.log.String(), `got \"`+shown+`\"`)
		assert.NotContains(t, l.log.String(), "canary")
	}
}

// TestStreamOfBoundToken: a stream begins with a proof and ends with its token.
func TestStreamOfBoundToken_DPOP_16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newProofLab(t, nil)
		l.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		r := newRequest(http.MethodGet, "/mcp", "", "", "MCP-Protocol-Version: 2025-11-25", "Accept: text/event-stream")
		r.Header.Set("Authorization", "DPoP "+l.token)
		r.Header.Set("DPoP", l.key.Proof("GET", testResource, l.token, nil))
		begun := time.Now()
		w := l.serve(r)
		assert.Equal(t, 200, w.Code, l.log)
		assert.Equal(t, 5*time.Minute+30*time.Second, time.Since(begun).Round(time.Second), "the token's end, and the leeway")
		synctest.Wait() // it is told when the response has been cut
		assert.Contains(t, l.log.String(), "stream ended early")
	})
}

// TestAuthenticate: the pure door demands the proof too, and uses it up.
func TestAuthenticate_DPOP_09_DPOP_15(t *testing.T) {
	l := newProofLab(t, nil)
	r := l.send("DPoP "+l.token, l.proof(nil))
	p, err := l.auth.Authenticate(r)
	require.NoError(t, err)
	assert.Equal(t, "user-1", p.Subject)
	var denied *mcpauth.DeniedError
	_, err = l.auth.Authenticate(r)
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "invalid_dpop_proof", denied.Code)
	assert.Equal(t, 401, denied.Status)
	_, err = l.auth.Authenticate(l.send("Bearer " + l.token))
	assert.ErrorIs(t, err, mcpauth.ErrSenderConstrained)
}

// TestProofMemoryIsFull: the operator is told once, what was forgotten is refused, and nobody else notices.
func TestProofMemoryIsFull_DPOP_09(t *testing.T) {
	if testing.Short() {
		t.Skip("signs 16,000 proofs")
	}
	l := newProofLab(t, nil)
	l.key = mcpauthtest.NewKey("busy", "EdDSA")
	l.token = l.issuer.BoundToken(l.key, mcpauthtest.Claims{"aud": testResource, "sub": "busy"})
	come := func(token, proof string) error {
		_, err := l.auth.Authenticate(l.send("DPoP "+token, proof))
		return err
	}
	quiet := l.foreign.Proof("POST", testResource, l.foreignToken, nil)
	require.NoError(t, come(l.foreignToken, quiet))
	first := l.proof(mcpauthtest.Claims{"iat": l.now - 100})
	require.NoError(t, come(l.token, first))
	for range 1 << 14 {
		require.NoError(t, come(l.token, l.proof(nil)))
	}
	assert.Equal(t, 1, strings.Count(l.log.String(), "mcpauth: more DPoP proofs are in use than there is memory for"))
	assert.Error(t, come(l.token, first), "what was forgotten")
	assert.Error(t, come(l.foreignToken, quiet))
	assert.NoError(t, come(l.foreignToken, l.foreign.Proof("POST", testResource, l.foreignToken, mcpauthtest.Claims{"iat": time.Now().Unix() - 290})))
}

// dpopWires are whole exchanges with bound tokens.
var dpopWires = []struct {
	name    string
	change  func(*mcpauth.Config)
	status  int
	request func(l *proofLab) (authorization, shown, proof, shownProof string)
	body    string
}{
	{"dpop-no-credentials", nil, 401, func(*proofLab) (string, string, string, string) { return "", "", "", "" }, modernCall("echo")},
	{"dpop-bound-as-bearer", nil, 401, func(l *proofLab) (string, string, string, string) {
		return "Bearer " + l.token, "Bearer <token: bound>", "", ""
	}, modernCall("echo")},
	{"dpop-proof-of-another-method", nil, 401, func(l *proofLab) (string, string, string, string) {
		return "DPoP " + l.token, "DPoP <token: bound>", l.proof(mcpauthtest.Claims{"htm": "GET"}), "<proof: htm GET>"
	}, modernCall("echo")},
	{"dpop-replayed", nil, 401, func(l *proofLab) (string, string, string, string) {
		proof := l.proof(nil)
		l.serve(l.send("DPoP "+l.token, proof))
		l.ran = 0
		return "DPoP " + l.token, "DPoP <token: bound>", proof, "<proof: used before>"
	}, modernCall("echo")},
	{"dpop-insufficient-scope", nil, 403, func(l *proofLab) (string, string, string, string) {
		return "DPoP " + l.token, "DPoP <token: bound>", l.proof(nil), "<proof: good>"
	}, modernCall("admin_delete")},
	{"dpop-allowed", nil, 200, func(l *proofLab) (string, string, string, string) {
		return "DPoP " + l.token, "DPoP <token: bound>", l.proof(nil), "<proof: good>"
	}, modernCall("echo")},
	{"dpop-required-bearer", requireDPoP, 401, func(l *proofLab) (string, string, string, string) {
		return "Bearer " + l.bearer, "Bearer <token: good, scope mcp:read>", "", ""
	}, modernCall("echo")},
	{"dpop-required-no-nonce", requireDPoP, 401, func(l *proofLab) (string, string, string, string) {
		return "DPoP " + l.token, "DPoP <token: bound>", l.proof(nil), "<proof: no nonce>"
	}, modernCall("echo")},
	{"dpop-required-allowed", requireDPoP, 200, func(l *proofLab) (string, string, string, string) {
		nonce := l.serve(l.send("DPoP "+l.token, l.proof(nil))).Header().Get("DPoP-Nonce")
		return "DPoP " + l.token, "DPoP <token: bound>", l.proof(mcpauthtest.Claims{"nonce": nonce}), "<proof: good, with nonce>"
	}, modernCall("echo")},
}

// TestDPoPWire: the whole answers, as golden files.
func TestDPoPWire_DPOP_11_CHAL_20(t *testing.T) {
	for _, row := range dpopWires {
		t.Run(row.name, func(t *testing.T) {
			l := newProofLab(t, func(c *mcpauth.Config) {
				if row.change != nil {
					row.change(c)
				}
			})
			authorization, shown, proof, shownProof := row.request(l)
			tool := "echo"
			if strings.Contains(row.body, "admin_delete") {
				tool = "admin_delete"
			}
			r := newRequest(http.MethodPost, "/mcp", "", row.body, modernHeaders("tools/call", tool)...)
			printed := r.Clone(t.Context())
			for name, values := range map[string][2]string{"Authorization": {authorization, shown}, "Dpop": {proof, shownProof}} {
				if values[0] != "" {
					r.Header.Set(name, values[0])
					printed.Header.Set(name, values[1])
				}
			}
			got := wire{body: row.body}.printRequest(printed)
			w := l.serve(r)
			assert.Equal(t, row.status, w.Code)
			answer := printResponse(t, w)
			if nonce := w.Header().Get("DPoP-Nonce"); nonce != "" {
				answer = strings.ReplaceAll(answer, nonce, "<nonce>")
			}
			got += "----------------------------------------------------------------\n" + answer
			got += fmt.Sprintf("inner handler ran: %d times\n", l.ran)
			compareGolden(t, filepath.Join(wireDir, row.name+".http"), got)
		})
	}
}
