package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
)

// TestMain silences the provider, which tells the default logger of each refusal.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	m.Run()
}

const (
	records     = "https://records.example.com"
	resource    = "https://mcp.example.com/mcp"
	redirectURI = "http://127.0.0.1:33418/callback"
	verifier    = "a-verifier-of-forty-three-characters-or-more"
)

// site is an authorization server on loopback, seen by a client and by a browser.
type site struct {
	t    *testing.T
	url  string
	down *atomic.Bool // exchanges nothing
}

func newSite(t *testing.T, open bool) *site {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	down := new(atomic.Bool)
	server, err := login.New(login.Config{
		Issuer:   "http://" + web.Listener.Addr().String(),
		Resource: resource,
		Scopes:   []string{"read", "write", "admin"},
		People:   []login.Person{{Name: "alice", Password: "secret", Roles: []string{"auditor"}, Scopes: []string{"read", "write"}}},
		Clients:  []login.Client{{ID: "known", Name: "<b>Known</b>", RedirectURIs: []string{redirectURI}}},

		OpenRegistration: open,
		Services:         []login.Service{{ID: "desk", Secret: "shh"}},
		APIs:             []login.API{{URL: records, Scopes: map[string]string{"records.read": "read", "records.write": "write"}}},
		Exchanging:       func() bool { return !down.Load() },
	})
	require.NoError(t, err)
	web.Config.Handler = server
	web.Start()
	t.Cleanup(web.Close)
	return &site{t, web.URL, down}
}

// do sends a request without following redirects.
func (s *site) do(method, path string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	address, err := url.Parse(s.url)
	require.NoError(s.t, err)
	address, err = address.Parse(path)
	require.NoError(s.t, err)
	r, err := http.NewRequest(method, address.String(), strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(s.t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response, string(content)
}

// question is an authorization request that is as it should be, except for the changes.
func (s *site) question(changes ...string) (*http.Response, string) {
	s.t.Helper()
	digest := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {"known"}, "redirect_uri": {redirectURI}, "state": {"s1"}, "resource": {resource},
		"scope": {"read admin offline_access"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])},
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		if query.Set(name, value); value == "" {
			query.Del(name)
		}
	}
	return s.do(http.MethodGet, "/authorize?"+query.Encode(), nil)
}

// answer fills in the page and returns where it leads.
func (s *site) answer(page string, form url.Values) (*http.Response, url.Values) {
	s.t.Helper()
	address, err := url.Parse(page)
	require.NoError(s.t, err)
	form.Set("request", address.Query().Get("request"))
	response, _ := s.do(http.MethodPost, "/signin", form)
	for response.StatusCode/100 == 3 && !strings.HasPrefix(response.Header.Get("Location"), redirectURI) {
		response, _ = s.do(http.MethodGet, response.Header.Get("Location"), nil)
	}
	location, err := url.Parse(response.Header.Get("Location"))
	require.NoError(s.t, err)
	return response, location.Query()
}

func allow(scopes ...string) url.Values {
	return url.Values{"name": {"alice"}, "password": {"secret"}, "answer": {"allow"}, "scope": scopes}
}

// code is one that alice has allowed.
func (s *site) code(scopes ...string) string {
	s.t.Helper()
	asked, content := s.question()
	require.Equal(s.t, http.StatusFound, asked.StatusCode, content)
	_, result := s.answer(asked.Header.Get("Location"), allow(scopes...))
	require.NotEmpty(s.t, result.Get("code"))
	assert.Equal(s.t, "s1", result.Get("state"))
	return result.Get("code")
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func (s *site) tokens(form url.Values) tokens {
	s.t.Helper()
	_, content := s.do(http.MethodPost, "/oauth/token", form)
	var got tokens
	require.NoError(s.t, json.Unmarshal([]byte(content), &got), content)
	return got
}

func exchange(code, proof, client string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {proof}, "client_id": {client}, "redirect_uri": {redirectURI}}
}

// claims decodes an access token, unverified: mcpauth verifies it in the stories.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var c map[string]any
	require.NoError(t, json.Unmarshal(payload, &c))
	return c
}

// TestGrant: a token holds what was asked for, ticked, and the person's to give.
func TestGrant(t *testing.T) {
	s := newSite(t, false)
	for name, row := range map[string]struct {
		ticked []string
		scope  any
	}{
		"all that was asked for":     {[]string{"read", "admin"}, "read"}, // admin is not alice's to give
		"more than was asked for":    {[]string{"read", "write"}, "read"},
		"nothing":                    {nil, nil},
		"what nobody has heard of":   {[]string{"root"}, nil},
		"two in the shape of one":    {[]string{"read write"}, nil},
		"what the client adds later": {[]string{"write"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := claims(t, s.tokens(exchange(s.code(row.ticked...), verifier, "known")).Access)
			assert.Equal(t, row.scope, got["scope"])
			assert.Equal(t, []any{"auditor"}, got["roles"])
			assert.Equal(t, []any{resource}, got["aud"])
			assert.Equal(t, "alice", got["sub"])
			assert.Equal(t, "known", got["client_id"])
			assert.InDelta(t, 300, got["exp"].(float64)-got["iat"].(float64), 1)
		})
	}
}

// TestQuestionRefused: who asks wrongly never gets as far as the page.
func TestQuestionRefused(t *testing.T) {
	s := newSite(t, false)
	for _, row := range []struct {
		change string
		back   bool // the client is told
	}{
		{"client_id=stranger", false},
		{"redirect_uri=https://evil.example.com/callback", false},
		{"redirect_uri=", false},
		{"resource=https://other.example.com/mcp", false},
		{"resource=", false},
		{"code_challenge=", true},
		{"code_challenge_method=plain", true},
		{"response_type=id_token", true},
		{"scope=", true},
	} {
		t.Run(row.change, func(t *testing.T) {
			response, _ := s.question(row.change)
			location := response.Header.Get("Location")
			assert.NotContains(t, location, "/signin")
			assert.Equal(t, row.back, strings.HasPrefix(location, redirectURI) && strings.Contains(location, "error="), location)
		})
	}
}

// TestAnswer: nobody but alice says yes, and a no is a no.
func TestAnswer(t *testing.T) {
	for name, row := range map[string]struct {
		form   url.Values
		status int
		err    string
	}{
		"wrong password": {url.Values{"name": {"alice"}, "password": {"x"}, "answer": {"allow"}, "scope": {"read"}}, http.StatusForbidden, ""},
		"no password":    {url.Values{"name": {"alice"}, "answer": {"allow"}}, http.StatusForbidden, ""},
		"nobody":         {url.Values{"answer": {"allow"}}, http.StatusForbidden, ""},
		"denied":         {url.Values{"answer": {"deny"}}, http.StatusFound, "access_denied"},
		"no answer":      {url.Values{"name": {"alice"}, "password": {"secret"}}, http.StatusFound, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, false)
			asked, _ := s.question()
			response, result := s.answer(asked.Header.Get("Location"), row.form)
			assert.Equal(t, row.status, response.StatusCode)
			assert.Equal(t, row.err, result.Get("error"))
			assert.Empty(t, result.Get("code"))
			if row.err != "" {
				again, _ := s.answer(asked.Header.Get("Location"), allow("read"))
				assert.Equal(t, http.StatusBadRequest, again.StatusCode, "what was denied cannot be allowed afterwards")
			}
		})
	}
	s := newSite(t, false)
	asked, _ := s.question()
	skipped, _ := s.do(http.MethodGet, "/authorize/callback?"+strings.Replace(strings.SplitN(asked.Header.Get("Location"), "?", 2)[1], "request=", "id=", 1), nil)
	assert.NotContains(t, skipped.Header.Get("Location"), "code=", "the page cannot be skipped")
	guessed, _ := s.answer("/signin?request=guess", allow("read"))
	assert.Equal(t, http.StatusBadRequest, guessed.StatusCode)
	_, content := s.do(http.MethodGet, asked.Header.Get("Location"), nil)
	assert.Contains(t, content, "&lt;b&gt;Known", "the client's name is text, not markup")
}

// TestCode: a code is good once, for who began.
func TestCode(t *testing.T) {
	s := newSite(t, true)
	registered, content := s.register(`{"client_name":"other","redirect_uris":["` + redirectURI + `"]}`)
	require.Equal(t, http.StatusCreated, registered.StatusCode, content)
	var other struct {
		ID string `json:"client_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(content), &other))

	assert.Empty(t, s.tokens(exchange(s.code("read"), "another-verifier-of-43-characters-or-more-xx", "known")).Access)
	assert.Empty(t, s.tokens(exchange(s.code("read"), "", "known")).Access)
	assert.Empty(t, s.tokens(exchange(s.code("read"), verifier, other.ID)).Access)
	tried := s.code("read")
	assert.Empty(t, s.tokens(exchange(tried, "another-verifier-of-43-characters-or-more-xx", "known")).Access)
	assert.Empty(t, s.tokens(exchange(tried, verifier, "known")).Access, "there is no second try")
	used := s.code("read")
	require.NotEmpty(t, s.tokens(exchange(used, verifier, "known")).Access)
	assert.Empty(t, s.tokens(exchange(used, verifier, "known")).Access)
}

// TestRefresh: a refresh token is good once, for its client, and for no more than was granted.
func TestRefresh(t *testing.T) {
	s := newSite(t, false)
	refresh := func(token string, more ...string) tokens {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"known"}}
		for _, scope := range more {
			form.Add("scope", scope)
		}
		return s.tokens(form)
	}
	first := s.tokens(exchange(s.code("read"), verifier, "known"))
	require.NotEmpty(t, first.Refresh)
	assert.Equal(t, "invalid_scope", refresh(first.Refresh, "read write").Error)
	second := refresh(first.Refresh)
	assert.Equal(t, "read", claims(t, second.Access)["scope"])
	assert.NotEqual(t, first.Refresh, second.Refresh)
	assert.Equal(t, "invalid_grant", refresh(first.Refresh).Error)
	assert.NotEmpty(t, refresh(second.Refresh).Access)
}

func (s *site) register(body string) (*http.Response, string) {
	s.t.Helper()
	response, err := http.Post(s.url+"/register", "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response, string(content)
}

func TestRegister(t *testing.T) {
	s := newSite(t, true)
	for body, status := range map[string]int{
		`{"client_name":"c","redirect_uris":["http://127.0.0.1:1/cb"]}`:                               http.StatusCreated,
		`{"client_name":"c","redirect_uris":["https://evil.example.com/cb"]}`:                         http.StatusBadRequest,
		`{"client_name":"c","redirect_uris":["http://127.0.0.1:1/cb","https://evil.example.com/cb"]}`: http.StatusBadRequest,
		`{"client_name":"c","redirect_uris":["http://127.0.0.1.evil.example.com/cb"]}`:                http.StatusBadRequest,
		`{"client_name":"c"}`:                   http.StatusBadRequest,
		`{`:                                     http.StatusBadRequest,
		`"` + strings.Repeat("x", 20<<10) + `"`: http.StatusBadRequest,
	} {
		response, _ := s.register(body)
		assert.Equal(t, status, response.StatusCode, "%.60s", body)
	}
	response, _ := newSite(t, false).register(`{"client_name":"c","redirect_uris":["http://127.0.0.1:1/cb"]}`)
	assert.Equal(t, http.StatusNotFound, response.StatusCode, "strangers cannot register with the firm")
}

// TestMetadata: both places tell the same, and registration only where it is open.
func TestMetadata(t *testing.T) {
	for _, open := range []bool{true, false} {
		s := newSite(t, open)
		var texts []string
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			response, content := s.do(http.MethodGet, path, nil)
			require.Equal(t, http.StatusOK, response.StatusCode)
			texts = append(texts, content)
			var document map[string]any
			require.NoError(t, json.Unmarshal([]byte(content), &document))
			assert.Equal(t, s.url, document["issuer"])
			assert.Equal(t, []any{"S256"}, document["code_challenge_methods_supported"])
			assert.Equal(t, open, document["registration_endpoint"] == s.url+"/register")
		}
		assert.Equal(t, texts[0], texts[1])
	}
}

// A service that is known exchanges tokens for an API that is known, when the person has agreed.
func TestExchange_EXCH_06(t *testing.T) {
	s := newSite(t, false)
	subject := s.tokens(exchange(s.code("read"), verifier, "known")).Access
	trade := func(audience, scope, secret string) (int, string, map[string]any) {
		form := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {subject}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			"audience": {audience}, "scope": {scope},
		}
		r, err := http.NewRequest(http.MethodPost, s.url+"/oauth/token", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("desk", secret)
		response, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		defer response.Body.Close()
		var got tokens
		_ = json.NewDecoder(response.Body).Decode(&got) // an outage is no JSON
		if got.Access == "" {
			return response.StatusCode, got.Error, nil
		}
		return response.StatusCode, "", claims(t, got.Access)
	}
	refused := func(audience, scope, secret, code string) {
		t.Helper()
		status, got, _ := trade(audience, scope, secret)
		assert.NotEqual(t, http.StatusOK, status)
		assert.Equal(t, code, got)
	}
	refused(records, "records.read", "shh", "interaction_required")
	for name, form := range map[string]url.Values{
		"another password": {"api": {records}, "name": {"alice"}, "password": {"guess"}, "answer": {"allow"}},
		"no answer":        {"api": {records}, "name": {"alice"}, "password": {"secret"}},
		"no such API":      {"api": {resource}, "name": {"alice"}, "password": {"secret"}, "answer": {"allow"}},
	} {
		response, _ := s.do(http.MethodPost, login.ConsentPath, form)
		assert.Equal(t, http.StatusForbidden, response.StatusCode, name)
	}
	refused(records, "records.read", "shh", "interaction_required")
	response, page := s.do(http.MethodGet, login.ConsentPath+"?api=<script>", nil)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.NotContains(t, page, "<script>")
	response, _ = s.do(http.MethodPost, login.ConsentPath, url.Values{"api": {records}, "name": {"alice"}, "password": {"secret"}, "answer": {"allow"}})
	assert.Equal(t, http.StatusOK, response.StatusCode)

	status, code, got := trade(records, "records.read", "shh")
	require.Equal(t, http.StatusOK, status, code)
	assert.Equal(t, "alice", got["sub"])
	assert.Equal(t, "desk", got["client_id"])
	assert.Equal(t, []any{records}, got["aud"])
	assert.Equal(t, "records.read", got["scope"])
	refused(records, "records.read records.write", "shh", "invalid_scope")
	refused(records, "admin", "shh", "invalid_scope")
	refused(resource, "records.read", "shh", "invalid_target")
	refused(records, "records.read", "guess", "invalid_client")
	s.down.Store(true)
	status, _, _ = trade(records, "records.read", "shh")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}
