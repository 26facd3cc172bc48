package onbehalf_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

const accessToken = "urn:ietf:params:oauth:token-type:access_token"

func TestTokenExchange_EXCH_06_EXCH_09(t *testing.T) {
	s := newSite(t, change{config: crm(func(t *onbehalf.Target) {
		t.Audience, t.Scopes = "crm", []string{"crm.write", "crm.read", "crm.write"}
	})})
	s.endpoint = s.grants(nil, "refresh_token", "canary")
	token := s.token(nil)
	got, err := s.get(token, "crm")
	require.NoError(t, err)
	assert.Equal(t, []url.Values{{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token}, "subject_token_type": {accessToken},
		"requested_token_type": {accessToken}, "resource": {api}, "audience": {"crm"}, "scope": {"crm.read crm.write"},
	}}, s.posts)
	assert.Equal(t, []string{tokenURL}, s.urls, "of the metadata, and nothing in the URL")
	assert.Equal(t, []http.Header{{
		"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {"mcpauth (+https://github.com/seed-1e292522/mcpauth)"},
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("mcp-server:"+secret))},
	}}, s.sent)
	assert.Equal(t, "Bearer", got.Type())
	assert.Empty(t, got.RefreshToken)
	assert.Nil(t, got.Extra("refresh_token"))
	assert.True(t, got.Valid())
}

func TestEntraOBO_EXCH_07(t *testing.T) {
	s := newSite(t, change{config: func(c *onbehalf.Config) {
		c.TokenURL = "https://as.example.com/typed"
		c.Client = clientauth.SecretPost("mcp-server", secret)
		c.Targets["crm"] = onbehalf.Target{Grant: onbehalf.EntraOBO, Scopes: []string{"api://crm/.default"}, Audiences: []string{"api://crm"}}
	}})
	s.endpoint = s.grants(mcpauthtest.Claims{"aud": "api://crm"}, "scope", "api://crm/Read", "expires_in", "3599", "ext_expires_in", 3599, "issued_token_type", nil)
	token := s.token(nil)
	_, err := s.get(token, "crm")
	require.NoError(t, err)
	assert.Equal(t, []url.Values{{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {token}, "requested_token_use": {"on_behalf_of"},
		"scope": {"api://crm/.default"}, "client_id": {"mcp-server"}, "client_secret": {secret},
	}}, s.posts)
	assert.Equal(t, []string{"https://as.example.com/typed"}, s.urls)
}

// Only users have somebody act on their behalf; there is no way round by client credentials.
func TestClientPrincipal_EXCH_23(t *testing.T) {
	s := newSite(t, change{config: func(c *onbehalf.Config) {
		c.Targets["crm"] = onbehalf.Target{Grant: onbehalf.EntraOBO, Scopes: []string{"api://crm/.default"}, Opaque: true}
		c.Targets["other"] = onbehalf.Target{Resource: api, Scopes: []string{"crm.read"}}
	}})
	token := s.token(mcpauthtest.Claims{"sub": "client-1", "client_id": "client-1"})
	s.during(token, func(ctx context.Context) {
		p, _ := mcpauth.FromContext(ctx)
		require.True(t, p.Client)
		_, err := s.exchanger.Token(ctx, "crm")
		assert.Equal(t, onbehalf.NoUser, failure(t, err).Kind)
		assert.Zero(t, s.count())
		_, err = s.exchanger.Token(ctx, "other")
		require.NoError(t, err, "a token exchange may be about a client")
	})
}

func TestPrivateKeyJWT_EXCH_09(t *testing.T) {
	key := mcpauthtest.NewKey("mine", "ES256")
	s := newSite(t, change{config: func(c *onbehalf.Config) {
		c.Client = clientauth.PrivateKeyJWT("mcp-server", clientauth.Key{Signer: key.Private})
	}})
	s.endpoint = s.grants(nil, "expires_in", 20) // not worth remembering
	for range 2 {
		_, err := s.get(s.token(nil), "crm")
		require.NoError(t, err)
	}
	require.Len(t, s.posts, 2)
	assert.NotEqual(t, s.posts[0].Get("client_assertion"), s.posts[1].Get("client_assertion"))
	assert.Empty(t, s.sent[0]["Authorization"])
	assert.Equal(t, "mcp-server", s.posts[0].Get("client_id"))
}

func TestNew_Mistakes_EXCH_09_EXCH_10(t *testing.T) {
	good := onbehalf.Target{Resource: api}
	for _, row := range []struct {
		name   string
		config onbehalf.Config
		want   []string
	}{
		{"nothing at all", onbehalf.Config{}, []string{"Config.Issuer", "Config.Client", "no method", "Config.Targets"}},
		{"no URL of the issuer", onbehalf.Config{Issuer: "as.example.com"}, []string{"Config.Issuer", `"as.example.com"`, "https"}},
		{"an issuer by http", onbehalf.Config{Issuer: "http://as.example.com"}, []string{"Config.Issuer", "https"}},
		{"an issuer on this machine", onbehalf.Config{Issuer: "http://127.0.0.1:1"}, []string{"Config.Issuer", "AllowInsecureLoopback"}},
		{"no secret", onbehalf.Config{Client: clientauth.SecretBasic("mcp-server", "")}, []string{"Config.Client", "mcp-server", "secret", "give"}},
		{"plain http", onbehalf.Config{TokenURL: "http://as.example.com/token"}, []string{"Config.TokenURL", "https"}},
		{"a secret in the URL", onbehalf.Config{TokenURL: "https://u:canary@as.example.com/token?key=canary"}, []string{"Config.TokenURL"}},
		{"no name for the API", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {}}}, []string{`Targets["crm"].Resource`}},
		{"no scope", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Resource: api, Scopes: []string{"a b"}, StepUp: []string{""}}}}, []string{`Targets["crm"].Scopes`, `Targets["crm"].StepUp`}},
		{"Entra", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Grant: onbehalf.EntraOBO, Audience: "a", Actor: func(context.Context) (onbehalf.Actor, error) { return onbehalf.Actor{}, nil }}}},
			[]string{`Targets["crm"].Scopes`, `Targets["crm"].Audience`, `Targets["crm"].Actor`}},
		{"Entra without an audience", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Grant: onbehalf.EntraOBO, Scopes: []string{"s"}}}}, []string{`Targets["crm"].Audiences`}},
		{"an empty audience", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Resource: api, Audiences: []string{""}}}}, []string{`Targets["crm"].Audiences`}},
		{"another grant", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Grant: "password", Resource: api}}}, []string{`Targets["crm"].Grant`}},
		{"opaque and looked into", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Resource: api, Opaque: true, SameSubject: true}}}, []string{`Targets["crm"].Opaque`}},
		{"a URL by http", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Resource: api, URL: "http://api.example.com"}}}, []string{`Targets["crm"].URL`}},
		{"a URL with a query", onbehalf.Config{Targets: map[string]onbehalf.Target{"crm": {Resource: api, URL: "https://api.example.com/?a=b"}}}, []string{`Targets["crm"].URL`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := onbehalf.New(row.config)
			require.Error(t, err)
			for _, want := range row.want {
				assert.ErrorContains(t, err, want)
			}
			assert.NotContains(t, err.Error(), "canary")
		})
	}
	_, err := onbehalf.New(onbehalf.Config{Issuer: issuerURL, Client: clientauth.SecretBasic("c", "s"), Targets: map[string]onbehalf.Target{"crm": good}})
	require.NoError(t, err)
	_, err = onbehalf.New(onbehalf.Config{Issuer: "http://127.0.0.1:1", TokenURL: "http://127.0.0.1:1/token", Client: clientauth.SecretBasic("c", "s"),
		AllowInsecureLoopback: true, Targets: map[string]onbehalf.Target{"crm": {Resource: "http://127.0.0.1:2"}}})
	require.NoError(t, err)
}

// A token goes to the endpoint of its own issuer, once, and by https.
func TestEndpoint_EXCH_10(t *testing.T) {
	t.Run("another issuer's token", func(t *testing.T) {
		other := mcpauthtest.NewIssuerAt(t, "https://other.example.com")
		s := newSite(t, change{auth: func(c *mcpauth.Config) {
			second := other.Config()
			second.AllowTokenExchange, second.Keys = true, other.Keys()[0].PEM()
			c.Issuers = append(c.Issuers, second)
		}})
		err := s.fails(other.Token(mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"}))
		assert.Equal(t, onbehalf.Misconfigured, err.Kind)
		assert.ErrorContains(t, err, "Config.Issuer")
		assert.Zero(t, s.count())
	})
	t.Run("a redirect", func(t *testing.T) {
		s := newSite(t, change{})
		s.endpoint = says(http.StatusFound, "", "Location: https://evil.example.com/token")
		assert.Equal(t, onbehalf.Unavailable, s.fails(s.token(nil)).Kind)
		assert.Equal(t, 1, s.count())
		assert.Empty(t, s.called)
	})
	for name, endpoint := range map[string]any{
		"none": nil, "by http": "http://as.example.com/token", "at a private address": "https://10.0.0.1/token", "with a password": "https://u:p@as.example.com/token", "no text": 1,
	} {
		t.Run("metadata with an endpoint "+name, func(t *testing.T) {
			s := newSite(t, change{})
			s.issuer.PublishMetadata(func(m map[string]any) { m["token_endpoint"] = endpoint })
			assert.Equal(t, onbehalf.Misconfigured, s.fails(s.token(nil)).Kind)
			assert.Zero(t, s.count())
			assert.Contains(t, s.log.String(), "set ")
		})
	}
	t.Run("metadata that cannot be had", func(t *testing.T) {
		var keys []byte
		s := newSite(t, change{auth: func(c *mcpauth.Config) { c.Issuers[0].Keys = keys }})
		keys = s.issuer.Keys()[0].PEM()
		s2 := newSite(t, change{auth: func(c *mcpauth.Config) { c.Issuers[0].Keys = keys }})
		s2.issuer.Rotate(s.issuer.Keys()...)
		assert.Equal(t, onbehalf.Unavailable, s2.fails(s2.token(nil)).Kind, "with keys of the configuration there is no metadata: TokenURL is needed")
		assert.Zero(t, s2.count())
	})
}

func TestRequestThatLeadsNowhere_EXCH_01_EXCH_11(t *testing.T) {
	s := newSite(t, change{auth: func(c *mcpauth.Config) { c.Issuers[0].AllowTokenExchange = false }})
	err := s.fails(s.token(nil))
	assert.Equal(t, onbehalf.Misconfigured, err.Kind)
	assert.ErrorContains(t, err, "mcpauth.Issuer.AllowTokenExchange")
	assert.Zero(t, s.count())
	for name, ctx := range map[string]context.Context{
		"none":                 t.Context(),
		"a principal of tests": mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{Issuer: issuerURL, Subject: "u"}),
		"an empty principal":   mcpauthtest.NewContext(t.Context(), &mcpauth.Principal{}),
	} {
		_, err := s.exchanger.Token(ctx, "crm")
		assert.Equal(t, onbehalf.Misconfigured, failure(t, err).Kind, name)
	}
	_, other := s.get(s.token(nil), "erp")
	assert.Equal(t, onbehalf.Misconfigured, failure(t, other).Kind)
	assert.Zero(t, s.count())
}

// The answer is checked before anybody uses it.
func TestAnswer_EXCH_20(t *testing.T) {
	opaque := func(t *onbehalf.Target) { t.Opaque = true }
	wants := func(kind onbehalf.Kind) onbehalf.Kind { return kind }
	var s *site
	for _, row := range []struct {
		name   string
		target func(*onbehalf.Target)
		claims mcpauthtest.Claims
		answer []any
		want   onbehalf.Kind
	}{
		{"good", nil, nil, nil, ""},
		{"one of several audiences", nil, mcpauthtest.Claims{"aud": []string{"x", api}}, nil, ""},
		{"an audience that is listed", func(t *onbehalf.Target) { t.Audiences = []string{"crm-api"} }, mcpauthtest.Claims{"aud": "crm-api"}, nil, ""},
		{"the resource, where others are listed", func(t *onbehalf.Target) { t.Audiences = []string{"crm-api"} }, nil, nil, onbehalf.Refused},
		{"for the asking client", nil, mcpauthtest.Claims{"aud": "mcp-server"}, nil, onbehalf.Refused},
		{"for this server", nil, mcpauthtest.Claims{"aud": resource}, nil, onbehalf.Refused},
		{"without an audience", nil, mcpauthtest.Claims{"aud": nil}, nil, onbehalf.Refused},
		{"an empty audience", nil, mcpauthtest.Claims{"aud": ""}, nil, onbehalf.Refused},
		{"expired", nil, mcpauthtest.Claims{"exp": unix(-time.Second)}, nil, onbehalf.Refused},
		{"an expiry that is none", nil, mcpauthtest.Claims{"exp": "soon"}, nil, onbehalf.Refused},
		{"no exp, and expires_in", nil, mcpauthtest.Claims{"exp": nil}, nil, ""},
		{"bearer in other letters", nil, nil, []any{"token_type", "bEARER"}, ""},
		{"no type", nil, nil, []any{"token_type", nil}, onbehalf.Refused},
		{"no bearer", nil, nil, []any{"token_type", "N_A"}, onbehalf.Refused},
		{"bound to a key that is not ours", nil, nil, []any{"token_type", "DPoP"}, onbehalf.Refused},
		{"issued as a JWT", nil, nil, []any{"issued_token_type", "urn:ietf:params:oauth:token-type:jwt"}, ""},
		{"issued as what is not said", nil, nil, []any{"issued_token_type", nil}, ""},
		{"a refresh token", nil, nil, []any{"issued_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, onbehalf.Refused},
		{"no token", nil, nil, []any{"access_token", nil}, onbehalf.Refused},
		{"a token that cannot be sent", opaque, nil, []any{"access_token", "a\r\nX: y"}, onbehalf.Refused},
		{"opaque", nil, nil, []any{"access_token", "opaque"}, onbehalf.Refused},
		{"opaque, as is said", opaque, nil, []any{"access_token", "opaque"}, ""},
		{"a JWT without a payload", nil, nil, []any{"access_token", "a.b.c"}, onbehalf.Refused},
		{"no life", nil, nil, []any{"expires_in", 0}, onbehalf.Refused},
		{"a life of before", nil, nil, []any{"expires_in", -1}, onbehalf.Refused},
		{"fewer scopes", nil, nil, []any{"scope", "crm.list"}, onbehalf.Refused},
		{"more scopes", nil, nil, []any{"scope", "crm.list crm.read"}, ""},
		{"null for what is left out", nil, nil, []any{"scope", (*string)(nil), "error", (*string)(nil), "issued_token_type", (*string)(nil)}, ""},
		{"an error beside a token", nil, nil, []any{"error", "invalid_grant"}, onbehalf.Refused},
		{"another subject", func(t *onbehalf.Target) { t.SameSubject = true }, mcpauthtest.Claims{"sub": "user-2"}, nil, onbehalf.Refused},
		{"the same subject", func(t *onbehalf.Target) { t.SameSubject = true }, nil, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s = newSite(t, change{config: func(c *onbehalf.Config) {
				if row.target != nil {
					crm(row.target)(c)
				}
			}})
			s.endpoint = s.grants(row.claims, row.answer...)
			var err error
			s.during(s.token(nil), func(ctx context.Context) {
				_, err = s.exchanger.Client(ctx, "crm").Get(api + "/customers")
			})
			if row.want == "" {
				require.NoError(t, err)
				assert.Len(t, s.called, 1)
				return
			}
			assert.Equal(t, wants(row.want), failure(t, err).Kind)
			assert.Empty(t, s.called, "the API was called")
		})
	}
}

// What comes back is never the token that was sent, not even with another signature.
func TestPassthrough_EXCH_20(t *testing.T) {
	for name, other := range map[string]func(string) string{
		"itself":            func(token string) string { return token },
		"signed once more":  func(token string) string { return token[:strings.LastIndexByte(token, '.')+1] + "AAAA" },
		"without signature": func(token string) string { return token[:strings.LastIndexByte(token, '.')+1] },
	} {
		for _, opaque := range []bool{false, true} {
			s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.Opaque = opaque })})
			token := s.issuer.Token(mcpauthtest.Claims{"aud": []string{resource, api}, "scope": "mcp:read"})
			s.endpoint = s.grants(nil, "access_token", other(token))
			assert.Equal(t, onbehalf.Refused, s.fails(token).Kind, name)
		}
	}
}

// An answer that two readers read differently is none.
func TestAnswer_TwoReadings_EXCH_10_EXCH_20(t *testing.T) {
	for name, body := range map[string]string{
		"the same name":         `{"access_token":%[1]q,"access_token":%[1]q,"token_type":"Bearer"}`,
		"with an escape":        `{"access_token":%[1]q,"access\u005ftoken":%[1]q,"token_type":"Bearer"}`,
		"two types":             `{"access_token":%[1]q,"token_type":"DPoP","token_type":"Bearer"}`,
		"in other letters only": `{"ACCESS_TOKEN":%[1]q,"token_type":"Bearer"}`,
	} {
		s := newSite(t, change{})
		s.endpoint = says(200, fmt.Sprintf(body, s.issuer.Token(mcpauthtest.Claims{"aud": api})))
		assert.Equal(t, onbehalf.Refused, s.fails(s.token(nil)).Kind, name)
	}
	s := newSite(t, change{})
	s.endpoint = s.grants(nil, "Access_Token", "x", "ACT", 1)
	_, err := s.get(s.token(nil), "crm")
	require.NoError(t, err, "names are compared as they stand")
}

func TestActor_EXCH_21(t *testing.T) {
	type object = map[string]any
	for _, row := range []struct {
		name  string
		actor onbehalf.Actor
		err   error
		act   any
		want  onbehalf.Kind
		posts int
	}{
		{"named", onbehalf.Actor{Token: "t", Subject: "mcp-server"}, nil, object{"sub": "mcp-server", "act": object{"sub": "x"}}, "", 1},
		{"not named", onbehalf.Actor{Token: "t", Subject: "mcp-server"}, nil, nil, onbehalf.Refused, 1},
		{"somebody else", onbehalf.Actor{Token: "t", Subject: "mcp-server"}, nil, object{"sub": "x", "act": object{"sub": "mcp-server"}}, onbehalf.Refused, 1},
		{"without a token", onbehalf.Actor{Subject: "mcp-server"}, nil, nil, onbehalf.Misconfigured, 0},
		{"without a subject", onbehalf.Actor{Token: "t"}, nil, object{}, onbehalf.Misconfigured, 0},
		{"cannot be had", onbehalf.Actor{}, io.ErrUnexpectedEOF, nil, onbehalf.Unavailable, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, change{config: crm(func(t *onbehalf.Target) {
				t.Actor = func(context.Context) (onbehalf.Actor, error) { return row.actor, row.err }
			})})
			s.endpoint = s.grants(mcpauthtest.Claims{"act": row.act})
			_, err := s.get(s.token(nil), "crm")
			if row.want == "" {
				require.NoError(t, err)
				assert.Equal(t, []string{"t"}, s.posts[0]["actor_token"])
				assert.Equal(t, []string{accessToken}, s.posts[0]["actor_token_type"])
			} else {
				assert.Equal(t, row.want, failure(t, err).Kind)
			}
			assert.Equal(t, row.posts, s.count())
		})
	}
}

// What the endpoint says becomes a kind.
func TestErrors_EXCH_16_EXCH_17_EXCH_19(t *testing.T) {
	stepUp := func(t *onbehalf.Target) { t.StepUp = []string{"crm:act"} }
	for _, row := range []struct {
		status int
		body   string
		target func(*onbehalf.Target)
		want   onbehalf.Kind
		code   string
		claims string
	}{
		{400, `{"error":"invalid_grant"}`, nil, onbehalf.Refused, "invalid_grant", ""},
		{400, `{"error":"invalid_grant","suberror":"consent_required"}`, nil, onbehalf.Interaction, "invalid_grant", ""},
		{400, `{"error":"invalid_grant","suberror":"basic_action","claims":"{\"a\":1}"}`, nil, onbehalf.Interaction, "invalid_grant", `{"a":1}`},
		{400, `{"error":"invalid_grant","suberror":"bad_token"}`, nil, onbehalf.Refused, "invalid_grant", ""},
		{400, `{"error":"interaction_required","claims":{"a":1}}`, nil, onbehalf.Interaction, "interaction_required", `{"a":1}`},
		{400, `{"error":"login_required"}`, nil, onbehalf.Interaction, "login_required", ""},
		{400, `{"error":"consent_required"}`, nil, onbehalf.Interaction, "consent_required", ""},
		{401, `{"error":"invalid_client"}`, nil, onbehalf.Misconfigured, "invalid_client", ""},
		{400, `{"error":"unauthorized_client"}`, nil, onbehalf.Misconfigured, "unauthorized_client", ""},
		{400, `{"error":"invalid_target"}`, nil, onbehalf.Misconfigured, "invalid_target", ""},
		{400, `{"error":"unsupported_grant_type"}`, nil, onbehalf.Misconfigured, "unsupported_grant_type", ""},
		{401, ``, nil, onbehalf.Misconfigured, "", ""},
		{404, `<html>`, nil, onbehalf.Misconfigured, "", ""},
		{403, `{"error":"access_denied"}`, nil, onbehalf.Refused, "access_denied", ""},
		{400, `{"error":"invalid_request"}`, nil, onbehalf.Refused, "invalid_request", ""},
		{400, `{"error":"canary"}`, nil, onbehalf.Refused, "", ""},
		{400, `{"error":"invalid_scope"}`, nil, onbehalf.Refused, "invalid_scope", ""},
		{400, `{"error":"invalid_scope"}`, stepUp, onbehalf.MoreScope, "invalid_scope", ""},
		{400, `<html>`, nil, onbehalf.Unavailable, "", ""},
		{500, `{"error":"server_error"}`, nil, onbehalf.Unavailable, "server_error", ""},
		{500, `boom`, nil, onbehalf.Unavailable, "", ""},
		{503, `{}`, nil, onbehalf.Unavailable, "", ""},
		{429, ``, nil, onbehalf.Unavailable, "", ""},
		{400, `{"error":"temporarily_unavailable"}`, nil, onbehalf.Unavailable, "temporarily_unavailable", ""},
		{200, `{`, nil, onbehalf.Unavailable, "", ""},
		{200, `[]`, nil, onbehalf.Unavailable, "", ""},
		{200, strings.Repeat(" ", 65<<10) + `{}`, nil, onbehalf.Unavailable, "", ""},
	} {
		t.Run(fmt.Sprintf("%d %.40s", row.status, strings.TrimSpace(row.body)), func(t *testing.T) {
			s := newSite(t, change{config: func(c *onbehalf.Config) {
				if row.target != nil {
					crm(row.target)(c)
				}
			}})
			s.endpoint = says(row.status, row.body)
			err := s.fails(s.token(nil))
			assert.Equal(t, row.want, err.Kind)
			assert.Equal(t, row.code, err.Code)
			assert.Equal(t, row.claims, err.Claims())
			assert.Equal(t, row.want == onbehalf.Unavailable, err.RetryAfter > 0)
			assert.NotContains(t, err.Error(), "mcp-server")
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}

// A fault of the configuration is one line a minute, whatever somebody's token brings about before.
func TestMisconfigured_OneLine_EXCH_16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		s.endpoint = says(500, "boom")
		s.fails(s.token(nil))
		s.log.b.Reset()
		s.endpoint = says(401, `{"error":"invalid_client","error_description":"no such client mcp-server"}`)
		lines := func() int { return strings.Count(s.log.String(), "level=ERROR") }
		for range 100 {
			err := s.fails(s.token(nil))
			assert.Equal(t, "onbehalf: crm: not available", err.Error())
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, 1, lines())
		assert.Contains(t, s.log.String(), `target=crm client_id=mcp-server`)
		time.Sleep(time.Minute)
		s.fails(s.token(nil))
		assert.Equal(t, 2, lines())
	})
}

// What leads nowhere by a fault of the configuration is told as well, whoever shows the error to nobody.
func TestMisconfigured_Told_EXCH_16(t *testing.T) {
	forbidden := change{auth: func(c *mcpauth.Config) { c.Issuers[0].AllowTokenExchange = false }}
	other := change{config: func(c *onbehalf.Config) { c.Issuer += "/" }}
	for _, row := range []struct {
		name   string
		change change
		target string
		header string
		want   []string
	}{
		{"AllowTokenExchange is not set", forbidden, "crm", "", []string{"mcpauth.Issuer.AllowTokenExchange is not set", "target=crm"}},
		{"another issuer", other, "crm", "", []string{"another issuer than Config.Issuer", "issuer=" + issuerURL + "/ cause="}},
		{"no such target", change{}, "erp", "", []string{"Config.Targets has no such target", "erp"}},
		{"no URL", change{config: crm(func(t *onbehalf.Target) { t.Resource, t.Audience = "", "crm" })}, "crm", "", []string{"Target.URL"}},
		{"a URL by http", change{config: crm(func(t *onbehalf.Target) { t.Resource = "http://api.example.com" })}, "crm", "", []string{"Target.URL"}},
		{"a token of its own", change{}, "crm", "Bearer mine", []string{"Authorization of its own"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, row.change)
				ask := func() {
					s.during(s.token(nil), func(ctx context.Context) {
						r, err := http.NewRequestWithContext(ctx, http.MethodGet, api, nil)
						require.NoError(t, err)
						if row.header != "" {
							r.Header.Set("Authorization", row.header)
						}
						_, err = s.exchanger.Client(ctx, row.target).Do(r)
						assert.Equal(t, onbehalf.Misconfigured, failure(t, err).Kind)
					})
				}
				lines := func() int { return strings.Count(s.log.String(), "level=ERROR") }
				ask()
				ask()
				assert.Equal(t, 1, lines(), s.log)
				for _, want := range row.want {
					assert.Contains(t, s.log.String(), want)
				}
				assert.NotContains(t, s.log.String(), "Bearer")
				time.Sleep(time.Minute)
				ask()
				assert.Equal(t, 2, lines())
			})
		})
	}
	s := newSite(t, change{})
	s.endpoint = says(400, `{"error":"invalid_target"}`)
	s.fails(s.token(nil))
	assert.Regexp(t, `level=ERROR.*invalid_target`, s.log.String(), "which of the two it is")
}

// What stands before the token endpoint answers in its own words: the log has the status.
func TestStatus_Told_EXCH_15_EXCH_16(t *testing.T) {
	for status, body := range map[int]string{http.StatusBadGateway: "", http.StatusServiceUnavailable: "<html>", http.StatusNotFound: "<html>", http.StatusUnauthorized: `{"error":"invalid_client"}`} {
		s := newSite(t, change{})
		s.endpoint = says(status, body)
		s.fails(s.token(nil))
		assert.Regexp(t, fmt.Sprintf(`level=ERROR msg="onbehalf: .* target=crm client_id=mcp-server .*status=%d`, status), s.log.String())
	}
}

// A refusal is nobody's fault or the operator's, and only the log can tell which: one line a minute for each code. What
// the user can act on is none.
func TestRefused_Told_EXCH_16(t *testing.T) {
	for _, row := range []struct {
		name     string
		endpoint func(*site) http.HandlerFunc
		want     string
	}{
		{"refused", func(*site) http.HandlerFunc {
			return says(400, `{"error":"invalid_request","error_description":"canary"}`)
		}, `level=WARN.*target=crm client_id=mcp-server .*cause=invalid_request status=400`},
		{"not for this client", func(*site) http.HandlerFunc { return says(403, `{"error":"access_denied"}`) }, `level=WARN.*cause=access_denied`},
		{"a scope that nobody has", func(*site) http.HandlerFunc { return says(400, `{"error":"invalid_scope"}`) }, `level=WARN.*cause=invalid_scope`},
		{"a code of its own", func(*site) http.HandlerFunc { return says(400, `{"error":"canary"}`) }, `level=WARN.*cause=""`},
		{"another audience", func(s *site) http.HandlerFunc { return s.grants(mcpauthtest.Claims{"aud": "mcp-server"}) }, `level=WARN.*correct Target\.Audiences`},
		{"fewer scopes", func(s *site) http.HandlerFunc { return s.grants(nil, "scope", "crm.list") }, `level=WARN.*fewer scopes`},
		{"two readings", func(*site) http.HandlerFunc { return says(200, `{"scope":"a","scope":"b"}`) }, `level=WARN.*duplicate member name`},
		{"consent", func(*site) http.HandlerFunc { return says(400, `{"error":"consent_required"}`) }, ""},
		{"another sign-in", func(*site) http.HandlerFunc { return says(400, `{"error":"login_required"}`) }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, change{})
				s.endpoint = row.endpoint(s)
				lines := func() int {
					return len(regexp.MustCompile(`level=(WARN|ERROR).*onbehalf:`).FindAllString(s.log.String(), -1))
				}
				for range 3 {
					s.fails(s.token(nil))
				}
				if row.want == "" {
					assert.Zero(t, lines(), s.log)
					return
				}
				assert.Equal(t, 1, lines(), s.log)
				assert.Regexp(t, row.want, s.log.String())
				for line := range strings.Lines(s.log.String()) {
					assert.False(t, strings.Contains(line, "canary") && !strings.Contains(line, "level=DEBUG"), line)
				}
				s.endpoint = says(400, `{"error":"invalid_grant"}`)
				s.fails(s.token(nil))
				assert.Equal(t, 2, lines(), "another refusal is not hidden by it")
				time.Sleep(time.Minute)
				s.endpoint = row.endpoint(s)
				s.fails(s.token(nil))
				assert.Equal(t, 3, lines())
			})
		})
	}
}

// A policy that exchanges for an issuer whose tokens may not be exchanged is a mistake that New sees.
func TestPolicy_OnBehalf_EXCH_16(t *testing.T) {
	s := newSite(t, change{})
	for name, c := range map[string]mcpauth.Issuer{"not set": s.issuer.Config(), "another": {URL: issuerURL + "/", AllowTokenExchange: true}} {
		_, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{c}, Policy: s.exchanger.Policy(mcpauth.Rules{}, map[string]string{"echo": "crm"})})
		assert.ErrorContains(t, err, `onbehalf.Policy: Config.Issuer = "`+issuerURL+`"`, name)
		assert.ErrorContains(t, err, "set AllowTokenExchange", name)
	}
}

// With two issuers there are two exchangers, and the policy of each leaves the callers of the other alone.
func TestPolicy_TwoIssuers_EXCH_16(t *testing.T) {
	other := mcpauthtest.NewIssuerAt(t, "https://other.example.com")
	s := newSite(t, change{tools: map[string]string{"echo": "crm"}, auth: func(c *mcpauth.Config) {
		second := other.Config()
		second.AllowTokenExchange, second.Keys = true, other.Keys()[0].PEM()
		c.Issuers = append(c.Issuers, second)
	}})
	served := false
	s.during(other.Token(mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"}), func(context.Context) { served = true })
	assert.True(t, served)
	assert.NotContains(t, s.log.String(), "level=ERROR")
	assert.Empty(t, s.events)
}

// What Entra documents for a user who has not consented.
func TestEntraConsent_EXCH_17(t *testing.T) {
	s := newSite(t, change{})
	s.endpoint = says(400, `{"error":"invalid_grant","error_description":"AADSTS65001: The user or administrator has not consented to use the application with ID 'canary-app'. Send an interactive authorization request for this user and resource. Trace ID: canary-trace `+strings.Repeat("x", 400)+`","error_codes":[65001],"timestamp":"2026-11-30 08:00:00Z","trace_id":"canary-trace","correlation_id":"c","suberror":"consent_required","claims":"{\"access_token\":{\"canary-claims\":null}}"}`)
	err := s.fails(s.token(nil))
	assert.Equal(t, onbehalf.Interaction, err.Kind)
	assert.Equal(t, "onbehalf: crm: the user's consent is needed", err.Error())
	assert.Contains(t, err.Claims(), "canary-claims")
	assert.NotContains(t, shows(err, *err), "canary")
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "canary-app") {
			assert.Contains(t, line, "level=DEBUG")
			assert.NotContains(t, line, strings.Repeat("x", 256))
		}
		assert.NotContains(t, line, "canary-claims")
	}
}

// TestBoundTokenWithProof: where the wrapper accepts a token that is bound to a key, the tool is served and nothing is
// exchanged: what came back would be good in anybody's hands.
func TestBoundTokenWithProof_EXCH_22_DPOP_02(t *testing.T) {
	s := newSite(t, change{auth: func(c *mcpauth.Config) { c.Issuers[0].DPoP = mcpauth.DPoPAccepted }})
	key, ran := mcpauthtest.NewKey("client", "ES256"), 0
	s.inner = func(_ http.ResponseWriter, r *http.Request) {
		ran++
		_, err := s.exchanger.Token(r.Context(), "crm")
		assert.Equal(t, onbehalf.Refused, failure(t, err).Kind)
	}
	token := s.issuer.BoundToken(key, mcpauthtest.Claims{"aud": resource, "scope": "mcp:read"})
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}`
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof(http.MethodPost, resource, token, nil))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	assert.Equal(t, 1, ran, s.log)
	assert.Empty(t, s.posts, "the token endpoint was asked")
}

func TestBoundToken_EXCH_22(t *testing.T) {
	s := newSite(t, change{})
	s.inner = func(http.ResponseWriter, *http.Request) { t.Error("served") }
	w := s.send(s.token(mcpauthtest.Claims{"cnf": map[string]any{"jkt": rand.Text()}}), "echo", "")
	assert.Equal(t, http.StatusUnauthorized, w.Code, "the wrapper refuses it already")
	// And if it did not:
	p := s.issuer.Principal(mcpauthtest.Claims{})
	for name, row := range map[string]struct {
		p    *mcpauth.Principal
		kind onbehalf.Kind
	}{"unbound": {p, ""}, "claims that cannot be read": {&mcpauth.Principal{Issuer: issuerURL, Subject: "u"}, onbehalf.Refused}} {
		ctx, end := carried(t, row.p, s.token(nil))
		_, err := s.exchanger.Token(ctx, "crm")
		if row.kind == "" {
			assert.Equal(t, onbehalf.Unavailable, failure(t, err).Kind, "%s: its owner has no metadata", name)
		} else {
			assert.Equal(t, row.kind, failure(t, err).Kind, name)
		}
		end()
	}
	assert.Zero(t, s.count())
}
