package faults

import (
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// introspection are tokens that only the authorization server can read, and what goes wrong where it is asked.
var introspection = []Fault{
	{
		Name: "an opaque token has been revoked", Cause: "token-inactive", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := opaqueScene(tb, nil)
			s.AS.Answer(s.Token, "")
			return s
		},
	}, {
		Name: "the answer about a token names no audience", Cause: "audience-missing", Status: 401,
		Setup: func(tb testing.TB) *Scene { return opaqueScene(tb, mcpauthtest.Claims{"aud": nil}) },
	}, {
		Name: "an opaque token was made for another API", Cause: "audience-other", Status: 401, Mentions: []string{"aud of the answer", "https://other.example.com/api"},
		Setup: func(tb testing.TB) *Scene {
			return opaqueScene(tb, mcpauthtest.Claims{"aud": "https://other.example.com/api"})
		},
	}, {
		Name: "the client sends its refresh token", Cause: "token-refresh", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return opaqueScene(tb, mcpauthtest.Claims{"token_use": "refresh_token"})
		},
	}, {
		Name: "the authorization server answers for another issuer", Cause: "introspection-issuer", Status: 401, Mentions: []string{"https://other.example.com"},
		Setup: func(tb testing.TB) *Scene {
			return opaqueScene(tb, mcpauthtest.Claims{"iss": "https://other.example.com"})
		},
	}, {
		Name: "a token begins like those of no issuer", Cause: "opaque-prefix", Status: 401, Mentions: []string{`\"ory_at_\"`},
		Setup: func(tb testing.TB) *Scene {
			return opaqueScene(tb, nil).issuer(func(i *mcpauth.Issuer) { i.Introspect.Prefix = "ory_at_" })
		},
	}, {
		Name: "the authorization server grants less than a JWT says", Cause: "scopes-withdrawn", Status: 403,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.Config.Issuers[0].Introspect = s.AS.Introspection()
			s.Config.Issuers[0].Introspect.JWTs = true
			s.AS.Answer(s.Token, `{"active":true,"scope":"other"}`)
			return s
		},
	}, {
		Name: "this server's client secret at the authorization server is wrong", Cause: "introspection-credentials", Status: 503, Mentions: []string{"AS/introspect", "401"},
		Setup: func(tb testing.TB) *Scene {
			return opaqueScene(tb, nil).issuer(func(i *mcpauth.Issuer) {
				i.Introspect.Client = clientauth.SecretBasic("resource-server", "wrong-canary")
			})
		},
	}, {
		Name: "the metadata names no introspection endpoint", Cause: "introspection-endpoint", Status: 503, Mentions: []string{"introspection_endpoint"},
		Setup: func(tb testing.TB) *Scene {
			s := opaqueScene(tb, nil)
			s.AS.PublishMetadata(func(m map[string]any) { delete(m, "introspection_endpoint") })
			return s
		},
	}, {
		Name: "the introspection endpoint is down", Cause: "introspection-unreachable", Status: 503, Mentions: []string{"AS/introspect", "status 503"},
		Setup: func(tb testing.TB) *Scene { return brokenIntrospection(tb, mcpauthtest.Down) },
	}, {
		Name: "the introspection endpoint is a login page", Cause: "introspection-answer", Status: 503, Mentions: []string{"AS/introspect"},
		Setup: func(tb testing.TB) *Scene { return brokenIntrospection(tb, mcpauthtest.HTML) },
	}, {
		Name: "nothing stands where Introspect.Endpoint says", Cause: "introspection-answer", Status: 503, Mentions: []string{"AS/nothing", "status 404"},
		Setup: func(tb testing.TB) *Scene {
			s := opaqueScene(tb, nil)
			return s.issuer(func(i *mcpauth.Issuer) { i.Introspect.Endpoint = s.AS.URL() + "/nothing" })
		},
	},
}

// opaqueScene is a scene in which all is well, and the token is one that only the authorization server can read.
func opaqueScene(tb testing.TB, changes mcpauthtest.Claims) *Scene {
	tb.Helper()
	s := newScene(tb)
	s.Config.Issuers[0].Introspect = s.AS.Introspection()
	all := mcpauthtest.Claims{"aud": s.Resource, "scope": "mcp:read"}
	for name, value := range changes {
		all[name] = value
	}
	s.Token = s.AS.Opaque(all)
	return s
}

func brokenIntrospection(tb testing.TB, fault mcpauthtest.Fault) *Scene {
	tb.Helper()
	s := opaqueScene(tb, nil)
	s.AS.Break(mcpauthtest.Introspection, fault)
	return s
}
