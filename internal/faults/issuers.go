package faults

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// configuration are mistakes that the constructor sees.
var configuration = []Fault{
	{
		Name: "the resource is a plain http URL of a public host", Cause: "configuration", Mentions: []string{"Config.Resource", "must be https"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) { c.Resource = "http://mcp.example.com/mcp" })
		},
	}, {
		Name: "audiences are listed and the resource is not among them", Cause: "configuration", Mentions: []string{"Audiences", "must contain the resource"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.Audiences = []string{"api://default"} })
		},
	}, {
		Name: "the session key is a buffer of zeros", Cause: "configuration", Mentions: []string{"SessionKey", "crypto/rand"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) { c.SessionKey = make([]byte, 32) })
		},
	}, {
		Name: "an HMAC algorithm is configured", Cause: "configuration", Mentions: []string{"HS256", "not an asymmetric"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.Algorithms = []string{"HS256"} })
		},
	}, {
		Name: "a pattern of resources has dots in its path", Cause: "configuration", Mentions: []string{"file:///srv/../data/*", "can cover no URI"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) {
				c.Policy = mcpauth.Rules{Resources: map[string]mcpauth.Requirement{"file:///srv/../data/*": mcpauth.Scopes("mcp:read")}}
			})
		},
	}, {
		Name: "the issuer is a container's name, by plain http", Cause: "configuration", Mentions: []string{"http://keycloak:8080", "http://localhost:PORT"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.URL = "http://keycloak:8080/realms/main" })
		},
	}, {
		Name: "no policy is set", Cause: "no-policy", Status: 403,
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) { c.Policy = nil })
		},
	}, {
		Name: "a scope is advertised that no rule needs", Cause: "scope-unused", Status: 200, Mentions: []string{"notes:write"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) { c.Scopes = append(c.Scopes, "notes:write") })
		},
	}, {
		Name: "a rule spells a scope with another letter", Cause: "scope-alike", Status: 403, Mentions: []string{"mcp:read", "mcp:reed"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) {
				c.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:reed"), "list": mcpauth.Scopes("mcp:read")}}
			})
		},
	},
}

const tenant = "9122040d-6c67-4c5b-b112-36a304b66dad"

// issuers are mistakes about who the authorization server is, and outages of its metadata.
var issuers = []Fault{
	{
		Name: "the issuer has a trailing slash, configured is none", Cause: "issuer-slash", Status: 401, Mentions: []string{"AS/"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			return s.claims(mcpauthtest.Claims{"iss": s.AS.URL() + "/"})
		},
	}, {
		Name: "the issuer is configured with a slash that it has not", Cause: "issuer-slash", Status: 401, Mentions: []string{"AS/"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.URL += "/" })
		},
	}, {
		Name: "a proxy ends TLS, and the issuer calls itself http", Cause: "issuer-scheme", Status: 401, Mentions: []string{"https://"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			return s.claims(mcpauthtest.Claims{"iss": strings.Replace(s.AS.URL(), "http://", "https://", 1)})
		},
	}, {
		Name: "the issuer is known by another host name inside the cluster", Cause: "issuer-host", Status: 401, Mentions: []string{"http://keycloak:8080/realms/main"},
		Setup: func(tb testing.TB) *Scene {
			return sceneAt(tb, "/realms/main").claims(mcpauthtest.Claims{"iss": "http://keycloak:8080/realms/main"})
		},
	}, {
		Name: "the token comes from another realm", Cause: "issuer-path", Status: 401, Mentions: []string{"/realms/master"},
		Setup: func(tb testing.TB) *Scene {
			s := sceneAt(tb, "/realms/main")
			return s.claims(mcpauthtest.Claims{"iss": strings.Replace(s.AS.URL(), "main", "master", 1)})
		},
	}, {
		Name: "a v1 token and the v2 issuer", Cause: "issuer-entra-version", Status: 401, Mentions: []string{"https://sts.windows.net/" + tenant + "/"},
		Setup: func(tb testing.TB) *Scene {
			return sceneAt(tb, "/"+tenant+"/v2.0").claims(mcpauthtest.Claims{"iss": "https://sts.windows.net/" + tenant + "/"})
		},
	}, {
		Name: "the token comes from an unrelated issuer", Cause: "issuer-unknown", Status: 401, Mentions: []string{"https://accounts.example.net"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"iss": "https://accounts.example.net"})
		},
	}, {
		Name: "the URL of the metadata is configured as the issuer", Cause: "configuration", Mentions: []string{"/.well-known/", "this is where metadata stands"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.URL += "/.well-known/openid-configuration" })
		},
	}, {
		Name: "the metadata names another issuer", Cause: "metadata-issuer", Status: 503, Mentions: []string{"https://login.example.com"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.AS.PublishMetadata(func(m map[string]any) { m["issuer"] = "https://login.example.com" })
			return s
		},
	}, {
		Name: "the endpoint for all tenants is configured as the issuer", Cause: "metadata-issuer-template", Status: 503, Mentions: []string{"{tenantid}"},
		Setup: func(tb testing.TB) *Scene {
			s := sceneAt(tb, "/common/v2.0")
			s.AS.PublishMetadata(func(m map[string]any) { m["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0" })
			return s
		},
	}, {
		Name: "the realm does not exist", Cause: "metadata-not-found", Status: 503, Mentions: []string{"404"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.NotFound) },
	}, {
		Name: "a captive portal answers for the issuer", Cause: "metadata-not-json", Status: 503, Mentions: []string{"text/html"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.HTML) },
	}, {
		Name: "the metadata is cut off", Cause: "metadata-malformed", Status: 503,
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.Malformed) },
	}, {
		Name: "the issuer redirects", Cause: "fetch-redirect", Status: 503, Mentions: []string{"302"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.Redirect) },
	}, {
		Name: "a firewall drops what is sent to the issuer", Cause: "fetch-timeout", Status: 503,
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.Hang) },
	}, {
		Name: "the issuer is down", Cause: "fetch-status", Status: 503, Mentions: []string{"status 503"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.Metadata, mcpauthtest.Down) },
	}, {
		Name: "nobody listens at the issuer's address", Cause: "fetch-network", Status: 503,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.AS.Break(mcpauthtest.Metadata, mcpauthtest.Reset)
			return s
		},
	}, {
		Name: "the metadata names no key set", Cause: "metadata-no-keys", Status: 503,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.AS.PublishMetadata(func(m map[string]any) { delete(m, "jwks_uri") })
			return s
		},
	}, {
		Name: "the metadata names the key set by plain http", Cause: "insecure-url", Status: 503, Mentions: []string{"http://keys.internal/jwks"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.AS.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = "http://keys.internal/jwks" })
			return s
		},
	}, {
		Name: "the authorization server does not announce PKCE", Cause: "metadata-no-pkce", Status: http.StatusOK,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.AS.PublishMetadata(func(m map[string]any) { delete(m, "code_challenge_methods_supported") })
			return s
		},
	},
}

func broken(tb testing.TB, endpoint mcpauthtest.Endpoint, fault mcpauthtest.Fault) *Scene {
	tb.Helper()
	s := newScene(tb)
	s.AS.Break(endpoint, fault)
	return s
}
