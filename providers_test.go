package mcpauth_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// tokenShape is one file in testdata/tokens: what an access token of a
// provider looks like, with invented values.
type tokenShape struct {
	Provider string         `json:"provider"`
	Note     string         `json:"note"`
	Config   string         `json:"config"` // what the operator has to configure, in words
	Issuer   string         `json:"issuer"`
	Header   map[string]any `json:"header"`
	Claims   map[string]any `json:"claims"`
	Opaque   string         `json:"opaque"` // a token that is no JWT
}

func readShape(t *testing.T, name string) tokenShape {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "tokens", name+".json"))
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	var shape tokenShape
	require.NoError(t, decoder.Decode(&shape))
	for what, text := range map[string]string{"provider": shape.Provider, "note": shape.Note, "config": shape.Config, "issuer": shape.Issuer} {
		require.NotEmpty(t, text, "%s: %s", name, what)
	}
	return shape
}

// mint signs the token anew, with its times moved so that it is fresh.
func (s *tokenShape) mint(t *testing.T, key *mcpauthtest.Key, change map[string]any) string {
	t.Helper()
	claims := maps.Clone(s.Claims)
	issued, err := claims["iat"].(json.Number).Int64()
	require.NoError(t, err)
	for _, name := range []string{"iat", "exp", "nbf", "auth_time"} {
		if number, ok := claims[name].(json.Number); ok {
			seconds, err := number.Int64()
			require.NoError(t, err)
			claims[name] = seconds - issued + time.Now().Unix()
		}
	}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	head, err := json.Marshal(s.Header)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return key.Sign(string(head), string(payload))
}

const (
	zeroGUID  = "00000000-0000-0000-0000-000000000000"
	apiGUID   = "00000000-0000-0000-0000-000000000001"
	otherGUID = "00000000-0000-0000-0000-000000000002"
	userGUID  = "00000000-0000-0000-0000-000000000003"
	entraV2   = "https://login.microsoftonline.example/" + zeroGUID + "/v2.0"
	entraV1   = "https://sts.windows.example/" + zeroGUID + "/"
	cognito   = "https://cognito-idp.region-1.amazonaws.example/region-1_000000000"
	entraUser = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// provider is how one provider is configured and what comes of its token.
type provider struct {
	issuer mcpauth.Issuer // the whole of what an operator writes

	scopes          []string
	client, subject string

	// The negative twin: the same token without one line of the configuration,
	// or another token under the same configuration.
	without func(*mcpauth.Issuer)
	other   map[string]any
	twin    error
}

var providers = map[string]provider{
	"auth0": {
		issuer: mcpauth.Issuer{URL: "https://tenant.auth0.example/",
			Claims: mcpauth.ClaimMap{Scopes: []string{"scope", "permissions"}, Union: true}},
		scopes: []string{"openid", "profile", "mcp:read", "mcp:admin"}, client: "client-1", subject: "auth0|000000000000000000000000",
		other: map[string]any{"iss": "https://tenant.auth0.example"}, twin: mcpauth.ErrIssuer,
	},
	"okta": {
		issuer: mcpauth.Issuer{URL: "https://org.okta.example/oauth2/default",
			Audiences: []string{testResource, "api://default"}},
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: "user@example.com",
		without: func(i *mcpauth.Issuer) { i.Audiences = nil }, twin: mcpauth.ErrAudience,
	},
	"entra-v2-delegated": {
		issuer: mcpauth.Issuer{URL: entraV2,
			Audiences:     []string{testResource, apiGUID},
			RequireClaims: map[string][]string{"tid": {zeroGUID}}},
		scopes: []string{"mcp:read", "mcp:list"}, client: otherGUID, subject: entraUser,
		other: map[string]any{"tid": userGUID}, twin: mcpauth.ErrForbidden,
	},
	"entra-v2-app": {
		issuer: mcpauth.Issuer{URL: entraV2,
			Audiences: []string{testResource, apiGUID},
			Claims:    mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"Mcp.Read.All": {"mcp:read"}}}},
		scopes: []string{"mcp:read"}, client: otherGUID, subject: userGUID,
		other: map[string]any{"azp": nil}, twin: mcpauth.ErrTokenType, // an ID token: roles, but no client
	},
	"entra-v1-delegated": {
		issuer: mcpauth.Issuer{URL: entraV1, Audiences: []string{testResource, "api://" + apiGUID}},
		scopes: []string{"mcp:read"}, client: otherGUID, subject: entraUser,
		without: func(i *mcpauth.Issuer) { i.Audiences = []string{testResource, apiGUID} }, twin: mcpauth.ErrAudience,
	},
	"entra-v1-app": {
		issuer: mcpauth.Issuer{URL: entraV1, Audiences: []string{testResource, "api://" + apiGUID},
			Claims: mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"Mcp.Read.All": {"mcp:read"}}}},
		scopes: []string{"mcp:read"}, client: otherGUID, subject: userGUID,
		other: map[string]any{"roles": []string{"Other.Read.All"}}, twin: mcpauth.ErrInsufficientScope,
	},
	"cognito": {
		issuer: mcpauth.Issuer{URL: cognito, Audiences: []string{testResource, "client-1"},
			Claims:        mcpauth.ClaimMap{Audience: "client_id"},
			RequireClaims: map[string][]string{"token_use": {"access"}}},
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: userGUID,
		without: func(i *mcpauth.Issuer) { i.Claims.Audience = "" }, twin: mcpauth.ErrAudience,
	},
	"cognito-resource": {
		issuer: mcpauth.Issuer{URL: cognito},
		scopes: []string{"mcp:read"}, client: "client-1", subject: userGUID,
		other: map[string]any{"aud": nil}, twin: mcpauth.ErrAudience,
	},
	"keycloak": {
		issuer: mcpauth.Issuer{URL: "https://keycloak.example.com/realms/realm-1",
			Claims: mcpauth.ClaimMap{Roles: []string{"realm_access.roles", "resource_access.mcp-server.roles"},
				RoleScopes: map[string][]string{"mcp-reader": {"mcp:read"}, "mcp-lister": {"mcp:list"}}}},
		scopes: []string{"openid", "email", "profile", "mcp:read", "mcp:list"}, client: "client-1", subject: userGUID,
		without: func(i *mcpauth.Issuer) { i.Claims = mcpauth.ClaimMap{} }, twin: mcpauth.ErrInsufficientScope,
	},
	"scalekit": {
		issuer: mcpauth.Issuer{URL: "https://env.scalekit.example/resources/res_000000000000000000"},
		scopes: []string{"mcp:read"}, client: "client-1", subject: "usr_000000000000000000",
		other: map[string]any{"aud": []string{"res_000000000000000000"}}, twin: mcpauth.ErrAudience,
	},
	"workos": {
		issuer: mcpauth.Issuer{URL: "https://app-1.authkit.example", Claims: mcpauth.ClaimMap{Scopes: []string{"permissions"}}},
		scopes: []string{"mcp:read"}, client: "", subject: "user_00000000000000000000000000",
		without: func(i *mcpauth.Issuer) { i.Claims = mcpauth.ClaimMap{} }, twin: mcpauth.ErrInsufficientScope,
	},
	"stytch": {
		issuer: mcpauth.Issuer{URL: "https://stytch.example/project-test-" + zeroGUID,
			Audiences: []string{testResource, "project-test-" + zeroGUID}},
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: "user-test-" + userGUID,
		without: func(i *mcpauth.Issuer) { i.Audiences = nil }, twin: mcpauth.ErrAudience,
	},
	"descope": {
		issuer: mcpauth.Issuer{URL: "https://api.descope.example/v1/apps/P000000000000000000000000000",
			Audiences: []string{testResource, "P000000000000000000000000000"},
			Claims:    mcpauth.ClaimMap{Roles: []string{"roles"}, RoleScopes: map[string][]string{"mcp-admin": {"mcp:admin"}}}},
		scopes: []string{"openid", "mcp:read", "mcp:admin"}, client: "client-1", subject: "U000000000000000000000000000",
		without: func(i *mcpauth.Issuer) { i.Audiences = nil }, twin: mcpauth.ErrAudience,
	},
	"clerk": {
		issuer: mcpauth.Issuer{URL: "https://clerk.example.com", Audiences: []string{testResource, "client-1"},
			Claims: mcpauth.ClaimMap{Audience: "client_id"}},
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user_000000000000000000000000000",
		other: map[string]any{"client_id": "client-2"}, twin: mcpauth.ErrAudience,
	},
	"hydra": {
		issuer: mcpauth.Issuer{URL: "https://hydra.example.com/"},
		scopes: []string{"offline", "mcp:read"}, client: "client-1", subject: "user-1",
		other: map[string]any{"aud": []string{}}, twin: mcpauth.ErrAudience,
	},
	"zitadel": {
		issuer: mcpauth.Issuer{URL: "https://instance.zitadel.example", Audiences: []string{testResource, "000000000000000002"},
			Claims: mcpauth.ClaimMap{Roles: []string{"urn:zitadel:iam:org:project:roles"}, RoleScopes: map[string][]string{"mcp-reader": {"mcp:read"}}}},
		scopes: []string{"mcp:read"}, client: "000000000000000001", subject: "000000000000000003",
		other: map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"other": map[string]any{"mcp-reader": "x"}}}, twin: mcpauth.ErrInsufficientScope,
	},
	"logto": {
		issuer: mcpauth.Issuer{URL: "https://tenant.logto.example/oidc"},
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user00000001",
		without: func(i *mcpauth.Issuer) { i.Algorithms = []string{"RS256"} }, twin: mcpauth.ErrAlgorithm,
	},
	"ping": {
		issuer: mcpauth.Issuer{URL: "https://ping.example.com", Claims: mcpauth.ClaimMap{Scopes: []string{"scopes"}, ClientID: "oauth_client"}},
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user-1",
		without: func(i *mcpauth.Issuer) { i.Claims = mcpauth.ClaimMap{} }, twin: mcpauth.ErrInsufficientScope,
	},
	"fusionauth": {
		issuer: mcpauth.Issuer{URL: "https://fusionauth.example.com", Audiences: []string{testResource, apiGUID}, Claims: mcpauth.ClaimMap{ClientID: "applicationId"}},
		scopes: []string{"openid", "mcp:read"}, client: apiGUID, subject: userGUID,
		other: map[string]any{"scope": nil}, twin: mcpauth.ErrTokenType, // a sign-in without OAuth: roles alone are not mapped
	},
	"authentik": {
		issuer: mcpauth.Issuer{URL: "https://authentik.example.com/application/o/mcp/", Audiences: []string{testResource, "client-1"}},
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: strings.Repeat("0", 63) + "3",
		other: map[string]any{"scope": nil, "nonce": "n"}, twin: mcpauth.ErrTokenType,
	},
}

// TestProviders signs every shape anew and has it verified under the literal
// above, through discovery and the key set as the provider publishes it.
func TestProviders_CLAIM_02_CLAIM_07_AUD_08_TOK_59(t *testing.T) {
	for name, p := range providers {
		t.Run(name, func(t *testing.T) {
			shape := readShape(t, name)
			require.Equal(t, p.issuer.URL, shape.Issuer)
			serve := func(i mcpauth.Issuer) (*fixture, *mcpauthtest.Key) {
				issuer := mcpauthtest.NewIssuerAt(t, shape.Issuer)
				key := mcpauthtest.NewKey(shape.Header["kid"].(string), shape.Header["alg"].(string))
				jwk := key.JWK()
				if strings.HasPrefix(name, "entra") {
					delete(jwk, "alg")
				}
				set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
				require.NoError(t, err)
				issuer.PublishKeySet(string(set))
				f := newFixture(t, func(c *mcpauth.Config) {
					c.Issuers = []mcpauth.Issuer{i}
					c.Transport = issuer.Transport()
				})
				return f, key
			}

			f, key := serve(p.issuer)
			token := shape.mint(t, key, nil)
			f.served(f.call(token, "echo"))
			principal, err := f.auth.Authenticate(f.request(http.MethodPost, "/mcp", token, ""))
			require.NoError(t, err)
			assert.Equal(t, p.scopes, principal.Scopes)
			assert.Equal(t, p.client, principal.ClientID)
			assert.Equal(t, p.subject, principal.Subject)
			assert.Equal(t, shape.Issuer, principal.Issuer)
			assert.False(t, principal.Client)

			require.True(t, (p.without == nil) != (p.other == nil), "one twin")
			if p.without != nil {
				p.without(&p.issuer)
				f, key = serve(p.issuer)
			}
			w := f.call(shape.mint(t, key, p.other), "echo")
			want := http.StatusUnauthorized
			if p.twin == mcpauth.ErrForbidden || p.twin == mcpauth.ErrInsufficientScope {
				want = http.StatusForbidden
			}
			assert.Equal(t, want, w.Code)
			assert.Contains(t, w.Body.String(), p.twin.Error())
			assert.Zero(t, f.ran)
		})
	}
}

// TestOpaqueTokens: what is no JWT is refused as malformed, and nobody is asked.
func TestOpaqueTokens_TOK_20(t *testing.T) {
	shape := readShape(t, "google")
	f := newFixture(t, nil)
	f.refused(f.call(shape.Opaque, "echo"), http.StatusUnauthorized, invalidToken("malformed token"))
	assert.Empty(t, f.issuer.Requests())
}

// TestEveryShapeIsTested: a file in testdata/tokens without a test would be a lie.
func TestEveryShapeIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/tokens/*.json")
	require.NoError(t, err)
	var names []string
	distinct := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		names = append(names, name)
		distinct[strings.SplitN(name, "-", 2)[0]] = true
	}
	assert.ElementsMatch(t, names, append(slices.Collect(maps.Keys(providers)), "google"))
	assert.Len(t, distinct, 17)
}
