package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	testIssuer   = "http://127.0.0.1:9999"
	testResource = "http://127.0.0.1:8888/mcp"
	// The example of RFC 7636, appendix B.
	testVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	testChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func send(handler http.Handler, method, target, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, testIssuer+target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func authorization(clientID string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"s1"},
		"code_challenge": {testChallenge}, "code_challenge_method": {"S256"},
		"resource": {testResource}, "scope": {"dashboard:modify"},
	}
}

func newTestIssuer() (i *issuer, clientID string) {
	i = newIssuer(testIssuer, testResource)
	return i, i.clients.put(registration{Name: "test", RedirectURIs: []string{redirectURI}}, askLifetime)
}

func TestAuthorizeRefuses(t *testing.T) {
	for _, row := range []struct{ name, parameter, value, want string }{
		{"no PKCE", "code_challenge", "", "invalid_request"},
		{"plain PKCE", "code_challenge_method", "plain", "invalid_request"},
		{"another resource", "resource", "https://other.example/mcp", "invalid_target"},
		{"no resource", "resource", "", "invalid_target"},
		{"an unknown scope", "scope", "dashboard:modify root", "invalid_scope"},
		{"no scope", "scope", "", "invalid_scope"},
		{"the implicit flow", "response_type", "token", "unsupported_response_type"},
		{"an unknown client", "client_id", "nobody", ""},
		{"a redirect to a stranger", "redirect_uri", "https://attacker.example/callback", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			i, id := newTestIssuer()
			query := authorization(id)
			query.Set(row.parameter, row.value)
			w := send(i.handler(), "GET", "/authorize?"+query.Encode(), "", "")
			if row.want == "" {
				assert.Equal(t, http.StatusBadRequest, w.Code)
				assert.Empty(t, w.Header().Get("Location"), "nobody is redirected to an unregistered address")
				return
			}
			location, err := w.Result().Location()
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(location.String(), redirectURI+"?"))
			assert.Equal(t, url.Values{"error": {row.want}, "iss": {testIssuer}, "state": {"s1"}}, location.Query())
		})
	}
}

// TestTokenRefuses: a code is good once, for the client, the redirect, the
// verifier and the resource that it was made for.
func TestTokenRefuses(t *testing.T) {
	for _, row := range []struct{ name, parameter, value, want string }{
		{"all is well", "", "", ""},
		{"another verifier", "code_verifier", strings.Repeat("x", 43), "invalid_grant"},
		{"no verifier", "code_verifier", "", "invalid_grant"},
		{"another client", "client_id", "other", "invalid_grant"},
		{"another redirect", "redirect_uri", "http://127.0.0.1/other", "invalid_grant"},
		{"another code", "code", "other", "invalid_grant"},
		{"another resource", "resource", "https://other.example/mcp", "invalid_target"},
		{"another grant", "grant_type", "client_credentials", "unsupported_grant_type"},
	} {
		t.Run(row.name, func(t *testing.T) {
			i, id := newTestIssuer()
			code := i.codes.put(grant{
				clientID: id, redirectURI: redirectURI, challenge: testChallenge,
				resource: testResource, scope: "dashboard:modify", user: theUser,
			}, codeLifetime)
			form := url.Values{
				"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {testVerifier},
				"client_id": {id}, "redirect_uri": {redirectURI}, "resource": {testResource},
			}
			if row.parameter != "" {
				form.Set(row.parameter, row.value)
			}
			exchange := func() *httptest.ResponseRecorder {
				return send(i.handler(), "POST", "/token", "application/x-www-form-urlencoded", form.Encode())
			}
			w := exchange()
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			if row.want != "" {
				assert.Equal(t, http.StatusBadRequest, w.Code)
				assert.Contains(t, w.Body.String(), `"error":"`+row.want+`"`)
				assert.NotContains(t, w.Body.String(), "access_token")
				return
			}
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Contains(t, w.Body.String(), `"access_token"`)
			assert.Contains(t, exchange().Body.String(), "invalid_grant", "a code is good once")
		})
	}
}

func TestConsent(t *testing.T) {
	i, id := newTestIssuer()
	ask := func() string {
		w := send(i.handler(), "GET", "/authorize?"+authorization(id).Encode(), "", "")
		require.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
		assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"), "no other site may read the question")
		return consentField.FindStringSubmatch(w.Body.String())[1]
	}
	answer := func(consent, value string) *httptest.ResponseRecorder {
		return send(i.handler(), "POST", "/consent", "application/x-www-form-urlencoded", "consent="+consent+"&answer="+value)
	}
	consent := ask()
	assert.Contains(t, answer(consent, "deny").Header().Get("Location"), "error=access_denied")
	assert.Equal(t, http.StatusBadRequest, answer(consent, "allow").Code, "a question is answered once")
	assert.Equal(t, http.StatusBadRequest, answer("guess", "allow").Code)
	assert.Contains(t, answer(ask(), "allow").Header().Get("Location"), "code=")
}

func TestRegisterRefuses(t *testing.T) {
	for _, body := range []string{
		``, `{}`, `[]`, `{"redirect_uris":[]}`,
		`{"redirect_uris":["http://attacker.example/cb"]}`,
		`{"redirect_uris":["javascript:alert(1)"]}`,
		`{"redirect_uris":["https://ok.example/cb","http://127.0.0.1.attacker.example/cb"]}`,
	} {
		i, _ := newTestIssuer()
		w := send(i.handler(), "POST", "/register", "application/json", body)
		assert.Equal(t, http.StatusBadRequest, w.Code, body)
	}
}

// TestShelfIsBounded: strangers cannot make the process remember without end.
func TestShelfIsBounded(t *testing.T) {
	var s shelf[int]
	for i := range shelfSize {
		require.NotEmpty(t, s.put(i, askLifetime))
	}
	assert.Empty(t, s.put(0, askLifetime))
}
