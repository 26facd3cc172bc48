package mcpauth_test

import (
	"encoding/base64"
	"strings"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	zeroGUID  = "00000000-0000-0000-0000-000000000000"
	apiGUID   = "00000000-0000-0000-0000-000000000001"
	otherGUID = "00000000-0000-0000-0000-000000000002"
	userGUID  = "00000000-0000-0000-0000-000000000003"
	entraUser = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	entraRead = testResource + "/Mcp.Read"
	roleRead  = "urn:zitadel:iam:org:project:role:mcp-reader"
)

// shapeOf is the file in testdata/providers. What follows an @ names another
// literal for the same token.
func shapeOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return name
}

// opaque is a token that only its issuer can read, and fiveParts an encrypted one.
func opaque(token string) func(string) string { return func(string) string { return token } }
func fiveParts(token string) string           { return token + ".AAAA.AAAA" }

// signedAnew has the signature of another key under the token's own key id.
func signedAnew(token string) string {
	parts := strings.Split(token, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0]) // it is ours
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return mcpauthtest.NewKey("next", "RS256").Sign(string(header), string(payload))
}

// hs256 is what a provider that signs with the client's secret sends.
var hs256 = object{"alg": "HS256"}

var providerTokens = map[string]providerToken{
	"auth0": {
		page: "auth0", literal: auth0, needs: "mcp:read",
		scopes: []string{"openid", "profile", "mcp:read"}, client: "client-1", subject: "auth0|000000000000000000000000",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-20 opaque, for want of an audience", want: mcpauth.ErrMalformedToken, token: opaque("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
			{name: "TOK-20 encrypted, for want of an audience", want: mcpauth.ErrMalformedToken, token: fiveParts},
			{name: "AUD-03 for userinfo alone", want: mcpauth.ErrAudience, claims: object{"aud": "https://your-tenant.us.auth0.com/userinfo"}},
			{name: "CLAIM-06 a permission that was not consented to", want: mcpauth.ErrInsufficientScope, claims: object{"scope": "openid", "permissions": []string{"mcp:read"}}},
		},
	},
	"auth0@permissions": {
		page: "auth0", literal: auth0Permissions, needs: "mcp:admin",
		scopes: []string{"openid", "profile", "mcp:read", "mcp:admin"}, client: "client-1", subject: "auth0|000000000000000000000000",
		plain: mcpauth.ErrInsufficientScope, idToken: mcpauth.ErrAudience,
	},
	"okta": {
		page: "okta", literal: okta, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: "user@example.com",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-08 the audience was left as it came", want: mcpauth.ErrAudience, claims: object{"aud": "api://default"}},
			{name: "TOK-56 from the org authorization server", want: mcpauth.ErrIssuer, claims: object{"iss": "https://your-org.okta.com"}},
		},
	},
	"okta-default": {
		page: "okta", literal: oktaDefault, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: "user@example.com",
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrAudience,
	},
	"entra-v2": {
		page: "entra", literal: entraV2, needs: entraRead,
		scopes: []string{"Mcp.Read", "Mcp.List", entraRead}, client: otherGUID, subject: entraUser,
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-08 the Application ID URI in the place of the client id", want: mcpauth.ErrAudience, literal: func(i *mcpauth.Issuer) { i.Audiences[1] = "api://" + apiGUID }},
			{name: "AUD-12 for Microsoft Graph", want: mcpauth.ErrAudience, claims: object{"aud": "00000003-0000-0000-c000-000000000000"}},
			{name: "TOK-56 a v1 token", want: mcpauth.ErrIssuer, claims: object{"iss": entraV1().URL, "ver": "1.0"}},
			{name: "TOK-56 the tenant written as common", want: mcpauth.ErrIssuer, literal: func(i *mcpauth.Issuer) { i.URL = "https://login.microsoftonline.com/common/v2.0" }},
			{name: "TOK-56 another tenant", want: mcpauth.ErrIssuer, claims: object{"iss": strings.Replace(entraV2().URL, zeroGUID, userGUID, 1), "tid": userGUID}},
			{name: "TOK-36 an ID token of the API's own registration", want: mcpauth.ErrTokenType, claims: object{"aud": apiGUID, "azp": nil, "scp": nil}},
			{name: "CLAIM-03 a scope that only begins like it", want: mcpauth.ErrInsufficientScope, claims: object{"scp": "Mcp.ReadWrite Mcp.List"}},
		},
	},
	"entra-v2-app": {
		page: "entra", literal: entraV2, needs: entraRead,
		scopes: []string{entraRead}, client: otherGUID, subject: userGUID,
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrAudience, unread: mcpauth.ErrTokenType,
		more: []providerRefusal{
			{name: "TOK-36 an ID token has roles too, but no client", want: mcpauth.ErrTokenType, claims: object{"azp": nil}},
			{name: "CLAIM-07 a role that is not mapped", want: mcpauth.ErrInsufficientScope, claims: object{"roles": []string{"Other.Read.All"}}},
		},
	},
	"entra-v1": {
		page: "entra", literal: entraV1, needs: entraRead,
		scopes: []string{"Mcp.Read", "Mcp.List", entraRead}, client: otherGUID, subject: entraUser,
		plain: mcpauth.ErrInsufficientScope, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-08 the Application ID URI is not the resource", want: mcpauth.ErrAudience, claims: object{"aud": "api://" + apiGUID}},
		},
	},
	"entra-v1-app": {
		page: "entra", literal: entraV1, needs: entraRead,
		scopes: []string{entraRead}, client: otherGUID, subject: userGUID,
		plain: mcpauth.ErrInsufficientScope, idToken: mcpauth.ErrAudience,
	},
	"cognito": {
		page: "cognito", literal: cognito, needs: testResource + "/read",
		scopes: []string{"openid", testResource + "/read"}, client: "client-1", subject: userGUID,
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "CLAIM-09 a scope without the identifier of the resource server", want: mcpauth.ErrInsufficientScope, claims: object{"scope": "openid read"}},
			{name: "CLAIM-19 not an access token", want: mcpauth.ErrTokenType, claims: object{"token_use": "id"}},
			{name: "CLAIM-19 of a use that is not known", want: mcpauth.ErrForbidden, claims: object{"token_use": "other"}},
		},
	},
	"cognito-unbound": {
		page: "cognito", literal: cognitoUnbound, needs: testResource + "/read",
		scopes: []string{"openid", testResource + "/read"}, client: "client-1", subject: userGUID,
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrTokenType,
	},
	"keycloak": {
		page: "keycloak", literal: keycloak, needs: "mcp:read",
		scopes: []string{"openid", "profile", "mcp:read"}, client: "client-1", subject: userGUID,
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-03 no audience mapper", want: mcpauth.ErrAudience, claims: object{"aud": "account"}},
			{name: "CLAIM-05 the client scope is not included in the token", want: mcpauth.ErrInsufficientScope, claims: object{"scope": "openid profile"}},
		},
	},
	"keycloak-registered": {
		page: "keycloak", literal: keycloak, needs: "mcp:read",
		scopes: []string{"offline_access", "mcp:read"}, client: "00000000-0000-0000-0000-000000000004", subject: userGUID,
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-02 no tool scope was granted, whose mapper it is", want: mcpauth.ErrAudience, claims: object{"aud": nil, "scope": "openid"}},
			{name: "TOK-57 the realm has no client scope basic", want: mcpauth.ErrClaims, claims: object{"sub": nil, "auth_time": nil}},
		},
	},
	"keycloak-roles": {
		page: "keycloak", literal: keycloakRoles, needs: "mcp:read",
		scopes: []string{"openid", "email", "profile", "mcp:read", "mcp:list"}, client: "client-1", subject: userGUID,
		plain: mcpauth.ErrInsufficientScope, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "CLAIM-07 roles of another client", want: mcpauth.ErrInsufficientScope, claims: object{"realm_access": object{}, "resource_access": object{"other": object{"roles": []string{"mcp-reader"}}}}},
		},
	},
	"scalekit": {
		page: "scalekit", literal: scalekit, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "client-1", subject: "usr_000000000000000000",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-56 the environment is the issuer", want: mcpauth.ErrIssuer, claims: object{"iss": "https://your-env.scalekit.com"}},
			{name: "AUD-08 for the id of the resource alone, not listed", want: mcpauth.ErrAudience, claims: object{"aud": []string{"res_000000000000000000"}}, literal: func(i *mcpauth.Issuer) { i.Audiences = nil }},
			{name: "AUD-06 for another resource of the environment", want: mcpauth.ErrAudience, claims: object{"aud": []string{"https://mcp.example.com/other", "res_000000000000000009"}}},
			{name: "CLAIM-06 permissions do not count unless they are named", want: mcpauth.ErrInsufficientScope, claims: object{"scope": nil, "permissions": []string{"mcp:read"}}},
		},
	},
	"workos": {
		page: "workos", literal: workos, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "", subject: "user_00000000000000000000000000",
		plain: mcpauth.ErrInsufficientScope, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-08 the resource indicator is not registered", want: mcpauth.ErrAudience, claims: object{"aud": "client_00000000000000000000000000"}},
		},
	},
	"stytch": {
		page: "stytch", literal: stytch, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: "connected-app-live-" + otherGUID, subject: "user-live-" + userGUID,
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-56 over Stytch's own domain", want: mcpauth.ErrIssuer, claims: object{"iss": "stytch.com/project-live-" + zeroGUID}},
		},
	},
	"descope": {
		page: "descope", literal: descope, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: "U000000000000000000000000000",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-08 for the project alone", want: mcpauth.ErrAudience, claims: object{"aud": []string{"client-1", "P000000000000000000000000000"}}},
			{name: "TOK-56 the issuer of the project", want: mcpauth.ErrIssuer, claims: object{"iss": "https://api.descope.com/v1/apps/P000000000000000000000000000"}},
		},
	},
	"clerk": {
		page: "clerk", literal: clerk, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user_000000000000000000000000000",
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrTokenType,
		more: []providerRefusal{
			{name: "TOK-20 opaque", want: mcpauth.ErrMalformedToken, token: opaque("oat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
			{name: "TOK-36 a session token", want: mcpauth.ErrAudience, header: object{"typ": "JWT"}, claims: object{"client_id": nil, "scp": nil, "azp": "https://app.example.com", "sid": "sess_0"}},
			{name: "CLAIM-03 two scopes in one member of scp", want: mcpauth.ErrInsufficientScope, claims: object{"scp": []string{"mcp:read mcp:write"}}},
		},
	},
	"hydra": {
		page: "hydra", literal: hydra, needs: "mcp:read",
		scopes: []string{"offline", "mcp:read"}, client: "client-1", subject: "user-1",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-20 opaque", want: mcpauth.ErrMalformedToken, token: opaque("ory_at_AAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAA")},
			{name: "AUD-02 no audience was granted", want: mcpauth.ErrAudience, claims: object{"aud": []string{}}},
			{name: "JWKS-09 refreshed after a rotation, under the old key id", want: mcpauth.ErrSignature, token: signedAnew},
		},
	},
	"betterauth": {
		page: "betterauth", literal: betterAuth, needs: "mcp:read",
		scopes: []string{"mcp:read", "offline_access"}, client: "client-1", subject: "user-1",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-20 opaque, for want of a resource", want: mcpauth.ErrMalformedToken, token: opaque("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
			{name: "TOK-32 RS256 alone is accepted", want: mcpauth.ErrAlgorithm, literal: func(i *mcpauth.Issuer) { i.Algorithms = []string{"RS256"} }},
		},
	},
	"glewlwyd": {
		page: "glewlwyd", literal: glewlwyd, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "client-1", subject: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-02 no resource was sent: aud is the scopes", want: mcpauth.ErrAudience, claims: object{"aud": "mcp:read mcp:admin", "scope": "mcp:read mcp:admin"}},
			{name: "CLAIM-05 the person refused the scope", want: mcpauth.ErrInsufficientScope, claims: object{"scope": "openid"}},
		},
	},
	"zitadel": {
		page: "zitadel", literal: zitadel, needs: roleRead,
		scopes: []string{roleRead}, client: "000000000000000001", subject: "000000000000000003",
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-20 opaque", want: mcpauth.ErrMalformedToken, token: opaque("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
			{name: "TOK-36 an ID token with the project in aud, too", want: mcpauth.ErrTokenType, header: object{"typ": "JWT"}, claims: object{"nonce": "n", "client_id": nil}},
			{name: "AUD-08 the audience scope was not asked for", want: mcpauth.ErrAudience, claims: object{"aud": []string{"000000000000000001"}}},
			{name: "CLAIM-07 the role in another project", want: mcpauth.ErrInsufficientScope, claims: object{
				"urn:zitadel:iam:org:project:000000000000000002:roles": nil,
				"urn:zitadel:iam:org:project:000000000000000004:roles": object{"mcp-reader": object{"1": "x"}},
			}},
			{name: "CLAIM-07 an organization named like the role", want: mcpauth.ErrInsufficientScope, claims: object{
				"urn:zitadel:iam:org:project:000000000000000002:roles": object{"other": object{"mcp-reader": "x"}},
			}},
		},
	},
	"logto": {
		page: "logto", literal: logto, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user00000001",
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "TOK-20 opaque, for want of a resource", want: mcpauth.ErrMalformedToken, token: opaque("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
			{name: "TOK-32 RS256 alone is accepted", want: mcpauth.ErrAlgorithm, literal: func(i *mcpauth.Issuer) { i.Algorithms = []string{"RS256"} }},
		},
	},
	"pingfederate": {
		page: "ping", literal: pingFederate, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: "client-1", subject: "user-1",
		plain: mcpauth.ErrTokenType, unread: mcpauth.ErrTokenType, idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "CLAIM-03 space delimited, and not read as such", want: mcpauth.ErrInsufficientScope, claims: object{"scopes": []string{"openid mcp:read"}}},
			{name: "TOK-34 a type of its own", want: mcpauth.ErrTokenType, header: object{"typ": "access+jwt"}},
		},
	},
	"pingone": {
		page: "ping", literal: pingOne, needs: "mcp:read",
		scopes: []string{"mcp:read"}, client: otherGUID, subject: userGUID,
		idToken: mcpauth.ErrAudience,
		more: []providerRefusal{
			{name: "AUD-12 for the PingOne API", want: mcpauth.ErrAudience, claims: object{"aud": []string{"https://api.pingone.eu"}}},
		},
	},
	"fusionauth": {
		page: "fusionauth", literal: fusionAuth, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: apiGUID, subject: userGUID,
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrTokenType,
		more: []providerRefusal{
			{name: "TOK-32 signed with HMAC, as it comes", want: mcpauth.ErrAlgorithm, header: hs256},
			{name: "TOK-36 a sign-in without OAuth has roles, but no scope", want: mcpauth.ErrTokenType, claims: object{"scope": nil}},
			{name: "TOK-56 the issuer as it comes", want: mcpauth.ErrIssuer, claims: object{"iss": "acme.com"}},
		},
	},
	"authentik": {
		page: "authentik", literal: authentik, needs: "mcp:read",
		scopes: []string{"openid", "mcp:read"}, client: "client-1", subject: strings.Repeat("0", 63) + "3",
		plain: mcpauth.ErrAudience, idToken: mcpauth.ErrTokenType,
		more: []providerRefusal{
			{name: "TOK-32 no signing key: HMAC with the client secret", want: mcpauth.ErrAlgorithm, header: hs256},
			{name: "TOK-36 an older version without scope", want: mcpauth.ErrTokenType, claims: object{"scope": nil}},
			{name: "TOK-36 the client sent a nonce", want: mcpauth.ErrTokenType, claims: object{"nonce": "n"}},
			{name: "CLAIM-19 an ID token with scope has no azp", want: mcpauth.ErrForbidden, claims: object{"azp": nil}},
			{name: "TOK-20 an encryption key makes it a JWE", want: mcpauth.ErrMalformedToken, token: fiveParts},
		},
	},
}
