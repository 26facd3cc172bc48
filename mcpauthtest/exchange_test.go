package mcpauthtest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	crm         = "https://crm.example.com"
	accessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// exchange posts a form to the token endpoint. A secret in the form is not sent in the header too.
func exchange(t *testing.T, issuer *mcpauthtest.Issuer, form url.Values) (status int, header http.Header, members map[string]any) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, issuer.URL()+"/token", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form.Get("client_secret") == "" && form.Get("client_assertion") == "" {
		r.SetBasicAuth("mcp%3Aserver", "s")
	}
	response, err := issuer.Transport().RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(&members))
	return response.StatusCode, response.Header, members
}

func claimsOf(t *testing.T, token any) (claims map[string]any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.(string), ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, &claims))
	for _, changing := range []string{"iat", "exp", "jti"} {
		assert.NotEmpty(t, claims[changing])
		delete(claims, changing)
	}
	return claims
}

func TestExchange_EXCH_06_EXCH_07(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com/tenant")
		issuer.Rotate(mcpauthtest.NewKey("exchange", alg))
		subject := issuer.TokenFor(resource, "profile:read")
		status, header, got := exchange(t, issuer, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {subject}, "subject_token_type": {accessToken},
			"resource": {crm}, "audience": {"crm"}, "scope": {"crm.read crm.write"},
			"actor_token": {issuer.Token(mcpauthtest.Claims{"sub": "actor"})}, "actor_token_type": {accessToken},
		})
		require.Equal(t, 200, status, "%s %v", alg, got)
		assert.Equal(t, "no-store", header.Get("Cache-Control"))
		assert.Equal(t, map[string]any{
			"iss": "https://as.example.com/tenant", "sub": "user-1", "client_id": "mcp:server", "aud": []any{crm, "crm"},
			"scope": "crm.read crm.write", "act": map[string]any{"sub": "actor"},
		}, claimsOf(t, got["access_token"]))
		delete(got, "access_token")
		assert.Equal(t, map[string]any{"token_type": "Bearer", "expires_in": 300.0, "issued_token_type": accessToken, "scope": "crm.read crm.write"}, got)

		status, _, got = exchange(t, issuer, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {subject}, "requested_token_use": {"on_behalf_of"},
			"scope": {"api://crm/.default"}, "client_id": {"mcp-server"}, "client_secret": {"s"},
		})
		require.Equal(t, 200, status)
		assert.Equal(t, map[string]any{
			"iss": "https://as.example.com/tenant", "sub": "user-1", "client_id": "mcp-server", "aud": []any{"api://crm"}, "scope": "api://crm/.default",
		}, claimsOf(t, got["access_token"]))
		assert.NotContains(t, got, "issued_token_type")
		assert.Equal(t, 2, issuer.Fetches(mcpauthtest.TokenEndpoint))
	}
}

func TestExchange_Refused_EXCH_06_EXCH_07(t *testing.T) {
	issuer, other := mcpauthtest.NewIssuerAt(t, "https://as.example.com"), mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	good := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {issuer.TokenFor(resource)}, "subject_token_type": {accessToken}, "resource": {crm},
	}
	obo := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {good.Get("subject_token")}, "requested_token_use": {"on_behalf_of"}, "scope": {"api://crm/x"}}
	with := func(form url.Values, members ...string) url.Values {
		changed := url.Values{}
		for name, values := range form {
			changed[name] = values
		}
		for n := 0; n < len(members); n += 2 {
			changed[members[n]] = strings.Split(members[n+1], "|")
		}
		return changed
	}
	forged := other.TokenFor(resource)
	for name, row := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"good":                    {good, 200, ""},
		"by an assertion":         {with(good, "client_assertion", issuer.Token(mcpauthtest.Claims{"sub": "c"}), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), 200, ""},
		"an assertion of no type": {with(good, "client_assertion", issuer.Token(nil)), 401, "invalid_client"},
		"no assertion":            {with(good, "client_assertion", "x"), 401, "invalid_client"},
		"two ways": {with(good, "client_id", "c", "client_secret", "s", "client_assertion", issuer.Token(nil), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
			401, "invalid_client"},
		"another grant":        {with(good, "grant_type", "authorization_code"), 400, "unsupported_grant_type"},
		"no token type":        {with(good, "subject_token_type", ""), 400, "invalid_request"},
		"a parameter twice":    {with(good, "resource", crm+"|"+crm), 400, "invalid_request"},
		"forged":               {with(good, "subject_token", forged), 400, "invalid_request"},
		"another issuer's":     {with(good, "subject_token", issuer.Token(mcpauthtest.Claims{"iss": "https://other.example.com"})), 400, "invalid_request"},
		"expired":              {with(good, "subject_token", issuer.Token(mcpauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})), 400, "invalid_request"},
		"without expiry":       {with(good, "subject_token", issuer.Token(mcpauthtest.Claims{"exp": nil})), 400, "invalid_request"},
		"no JWS":               {with(good, "subject_token", "a.b.c"), 400, "invalid_request"},
		"no actor":             {with(good, "actor_token", forged), 400, "invalid_request"},
		"on behalf of a ghost": {with(obo, "assertion", forged), 400, "invalid_grant"},
		"for no use":           {with(obo, "requested_token_use", ""), 400, "invalid_request"},
		"for nothing":          {with(obo, "scope", ""), 400, "invalid_request"},
	} {
		status, header, got := exchange(t, issuer, row.form)
		assert.Equal(t, row.status, status, name)
		assert.Equal(t, status == 401, header.Get("WWW-Authenticate") != "", name)
		if row.code != "" {
			assert.Equal(t, map[string]any{"error": row.code}, got, name)
		}
	}
	for _, r := range []*http.Request{post(t, "application/json", strings.NewReader("{}")), post(t, "application/x-www-form-urlencoded", broken{}), post(t, "application/x-www-form-urlencoded", nil)} {
		response, err := issuer.Transport().RoundTrip(r)
		require.NoError(t, err)
		assert.Equal(t, 400, response.StatusCode/100*100)
	}
	assert.Equal(t, 405, get(t, issuer.Transport(), "https://as.example.com/token").status)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func post(t *testing.T, contentType string, body io.Reader) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://as.example.com/token", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", contentType)
	return r
}

// What the test decides, and what breaks.
func TestOnExchange_TEST_02(t *testing.T) {
	issuer := mcpauthtest.NewIssuerAt(t, "https://as.example.com")
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {issuer.TokenFor(resource, "profile:read")}, "subject_token_type": {accessToken}, "audience": {"crm"},
	}
	var asked mcpauthtest.Exchange
	issuer.OnExchange(func(x mcpauthtest.Exchange) (mcpauthtest.Claims, error) {
		asked = x
		_ = issuer.Token(nil) // nothing is locked
		return mcpauthtest.Claims{"aud": "erp", "scope": "less"}, nil
	})
	_, _, got := exchange(t, issuer, form)
	assert.Equal(t, "mcp:server", asked.ClientID)
	assert.Equal(t, "crm", asked.Audience)
	assert.Equal(t, "profile:read", asked.Subject["scope"])
	assert.Equal(t, "erp", claimsOf(t, got["access_token"])["aud"])
	assert.Equal(t, "less", got["scope"])

	for _, row := range []struct {
		err    error
		status int
		want   map[string]any
	}{
		{&mcpauthtest.Refusal{Code: "invalid_grant", Members: map[string]any{"suberror": "consent_required"}}, 400, map[string]any{"error": "invalid_grant", "suberror": "consent_required"}},
		{&mcpauthtest.Refusal{Code: "invalid_client"}, 401, map[string]any{"error": "invalid_client"}},
		{&mcpauthtest.Refusal{Code: "temporarily_unavailable", Status: 503}, 503, map[string]any{"error": "temporarily_unavailable"}},
		{errors.New("anything"), 400, map[string]any{"error": "invalid_request"}},
	} {
		issuer.OnExchange(func(mcpauthtest.Exchange) (mcpauthtest.Claims, error) { return nil, row.err })
		status, _, got := exchange(t, issuer, form)
		assert.Equal(t, row.status, status, row.err.Error())
		assert.Equal(t, row.want, got)
	}
	issuer.OnExchange(nil)
	status, _, _ := exchange(t, issuer, form)
	assert.Equal(t, 200, status)
	issuer.Break(mcpauthtest.TokenEndpoint, mcpauthtest.Down)
	response, err := issuer.Transport().RoundTrip(post(t, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())))
	require.NoError(t, err)
	assert.Equal(t, 503, response.StatusCode)
}
