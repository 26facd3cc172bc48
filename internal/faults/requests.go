package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// scopes are rights that stand in the wrong place, or nowhere.
var scopes = []Fault{
	{
		Name: "only scope is read, and the issuer sends scp", Cause: "scopes-elsewhere", Status: 403, Mentions: []string{"scp"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.Claims.Scopes = []string{"scope"} }).
				claims(mcpauthtest.Claims{"scope": nil, "scp": []string{"mcp:read"}})
		},
	}, {
		Name: "the rights stand in permissions", Cause: "scopes-elsewhere", Status: 403, Mentions: []string{"permissions"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"scope": "openid profile", "permissions": []string{"mcp:read"}})
		},
	}, {
		Name: "the rights are realm roles", Cause: "scopes-in-roles", Status: 403, Mentions: []string{"realm_access.roles"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"scope": "email profile", "realm_access": map[string]any{"roles": []string{"mcp:read"}}})
		},
	}, {
		Name: "scopes are separated by commas", Cause: "scope-separator", Status: 403, Mentions: []string{"comma"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"scope": "mcp:read,mcp:write"})
		},
	}, {
		Name: "the issuer puts the API's name before each scope", Cause: "scope-prefix", Status: 403, Mentions: []string{"api://analytics/mcp:read"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).claims(mcpauthtest.Claims{"scope": "api://analytics/mcp:read"})
		},
	}, {
		Name: "the scope is written in another case", Cause: "scope-case", Status: 403, Mentions: []string{"Mcp:Read"},
		Setup: func(tb testing.TB) *Scene { return newScene(tb).claims(mcpauthtest.Claims{"scope": "Mcp:Read"}) },
	}, {
		Name: "the scope is one letter off at the authorization server", Cause: "scope-misspelt", Status: 403, Mentions: []string{"mcp:raed"},
		Setup: func(tb testing.TB) *Scene { return newScene(tb).claims(mcpauthtest.Claims{"scope": "mcp:raed"}) },
	}, {
		Name: "the token has no scope at all", Cause: "scopes-none", Status: 403, Mentions: []string{"mcp:read"},
		Setup: func(tb testing.TB) *Scene { return newScene(tb).claims(mcpauthtest.Claims{"scope": nil}) },
	}, {
		Name: "the user has not consented to the scope", Cause: "scope-not-granted", Status: 403, Mentions: []string{"mcp:admin"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = func(s *Scene) *http.Request { return s.ToolCall("admin_delete") }
			return s
		},
	}, {
		Name: "the tool is not in the policy", Cause: "no-rule", Status: 403, Mentions: []string{"admin-delete", "admin_delete"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = func(s *Scene) *http.Request { return s.ToolCall("admin-delete") }
			return s
		},
	},
}

// requests are good tokens with a request that is wrong, and what is broken on our own side.
var requests = []Fault{
	{
		Name: "a browser application's origin is not listed", Cause: "origin", Status: 403, Mentions: []string{"https://inspector.example.com"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) { r.Header.Set("Origin", "https://inspector.example.com") })
			return s
		},
	}, {
		Name: "a page in a sandboxed frame calls", Cause: "origin-null", Status: 403, Mentions: []string{"null", "cannot be listed"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) { r.Header.Set("Origin", "null") })
			return s
		},
	}, {
		Name: "a client of 2026-07-28 calls a method of before", Cause: "method-revision", Status: 404, Mentions: []string{"tasks/list"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb).config(func(c *mcpauth.Config) {
				c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tasks/list": mcpauth.Authenticated()}}
			})
			s.request = func(s *Scene) *http.Request {
				r := s.post(`{"jsonrpc":"2.0","id":1,"method":"tasks/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
				r.Header.Set("MCP-Protocol-Version", "2026-07-28")
				r.Header.Set("Mcp-Method", "tasks/list")
				return r
			}
			return s
		},
	}, {
		Name: "the body is not announced as JSON", Cause: "media-type", Status: 415, Mentions: []string{"text/plain"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
			return s
		},
	}, {
		Name: "a proxy rewrites the MCP headers", Cause: "header-mismatch", Status: 400, Mentions: []string{"Mcp-Method"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = func(s *Scene) *http.Request {
				r := s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
				r.Header.Set("MCP-Protocol-Version", "2026-07-28")
				r.Header.Set("Mcp-Method", "tools/call")
				return r
			}
			return s
		},
	}, {
		Name: "a proxy on this host ends TLS, and the SDK takes the public host for an attack", Cause: "host-guard", Status: 403,
		Unlogged: "the handler refuses it, and OnServed tells", Mentions: []string{"invalid Host header"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as both SDKs do
				http.Error(w, fmt.Sprintf("Forbidden: invalid Host header %q", "mcp.example.com"), http.StatusForbidden)
			})
			return s
		},
	}, {
		Name: "replicas do not share a session key", Cause: "session", Status: 404, Mentions: []string{"SessionKey"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = with(func(_ *Scene, r *http.Request) {
				r.Header.Set("Mcp-Session-Id", "1868a90c-7f5c-4a9d-a3a1-6d2f5a2b1c0e.AAAAAAAAAAAAAAAAAAAAAA")
			})
			return s
		},
	}, {
		Name: "the body is too large", Cause: "body-size", Status: 413,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.request = func(s *Scene) *http.Request {
				r := s.post(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"filler":"` + strings.Repeat("x", 5<<20) + `"}}`)
				r.Header.Set("Expect", "100-continue") // lest the answer gets lost in the body that nobody reads
				return r
			}
			return s
		},
	}, {
		Name: "the list of revoked tokens cannot be reached", Cause: "revocation", Status: 503, Mentions: []string{"connection refused"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) {
				c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
					return false, errors.New("connection refused")
				}
			})
		},
	}, {
		Name: "the store that replicas share cannot be reached", Cause: "store", Status: 503, Mentions: []string{"connection refused"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb).config(func(c *mcpauth.Config) {
				c.SessionKey, c.Store = []byte(strings.Repeat("0123", 8)), noStore{}
				c.Policy = mcpauth.Rules{Methods: map[string]mcpauth.Requirement{"tasks/get": mcpauth.Authenticated()}}
			})
			s.request = func(s *Scene) *http.Request {
				return s.post(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`)
			}
			return s
		},
	}, {
		Name: "the policy's own database is down", Cause: "policy", Status: 500, Mentions: []string{"no rows"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).config(func(c *mcpauth.Config) {
				c.Policy = mcpauth.PolicyFunc(func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
					return mcpauth.Requirement{}, errors.New("no rows")
				})
			})
		},
	}, {
		Name: "the well-known path is not routed to the server", Cause: "metadata-not-routed", Status: 404,
		Unlogged: "the request does not reach the server",
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.onlyMCP, s.Token = true, ""
			s.request = func(s *Scene) *http.Request {
				r, _ := http.NewRequest(http.MethodGet, s.Expand("http://HOST/.well-known/oauth-protected-resource/mcp"), nil)
				return r
			}
			return s
		},
	}, {
		Name: "clients dial another URL than the resource", Cause: "resource-dialed", Status: 200,
		Unlogged: "clients that compare the metadata with what they dial send no token",
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.Config.Resource = strings.Replace(s.Resource, "127.0.0.1", "localhost", 1)
			s.request = func(s *Scene) *http.Request {
				r, _ := http.NewRequest(http.MethodGet, s.Expand("http://HOST/.well-known/oauth-protected-resource/mcp"), nil)
				return r
			}
			return s
		},
	},
}

// noStore is a store that is not there.
type noStore struct{ mcpauth.Store }

// Get implements [mcpauth.Store].
func (noStore) Get(context.Context, string) ([]byte, error) {
	return nil, errors.New("connection refused")
}
