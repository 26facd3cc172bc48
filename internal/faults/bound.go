package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// bound are tokens that are bound to a key of the client, and proofs of it.
var bound = []Fault{
	{
		Name: "the authorization server binds tokens, and nobody has configured that", Cause: "sender-constrained", Status: 401, Mentions: []string{"Issuer.DPoP"},
		Setup: func(tb testing.TB) *Scene { return boundScene(tb, mcpauth.DPoPOff, nil) },
	}, {
		Name: "the client sends a bound token as a bearer token", Cause: "bound-as-bearer", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return boundScene(tb, mcpauth.DPoPAccepted, func(s *Scene, r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.Token) })
		},
	}, {
		Name: "tokens must be bound, and the authorization server does not bind them", Cause: "token-unbound", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.DPoP = mcpauth.DPoPRequired })
		},
	}, {
		Name: "the token is bound to a certificate", Cause: "bound-otherwise", Status: 401, Mentions: []string{"jkt"},
		Setup: func(tb testing.TB) *Scene {
			return newScene(tb).issuer(func(i *mcpauth.Issuer) { i.DPoP = mcpauth.DPoPAccepted }).
				claims(mcpauthtest.Claims{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}})
		},
	}, {
		Name: "a proxy drops the DPoP header", Cause: "proof-missing", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return boundScene(tb, mcpauth.DPoPAccepted, func(_ *Scene, r *http.Request) { r.Header.Del("DPoP") })
		},
	}, {
		Name: "the client makes proofs for the address behind the proxy", Cause: "proof-url", Status: 401, Mentions: []string{"http://backend:8080/mcp", "RESOURCE"},
		Setup: func(tb testing.TB) *Scene { return proved(tb, http.MethodPost, "http://backend:8080/mcp", nil) },
	}, {
		Name: "the client's clock is ten minutes behind, and so are its proofs", Cause: "proof-time", Status: 401, Mentions: []string{"iat"},
		Setup: func(tb testing.TB) *Scene {
			return proved(tb, http.MethodPost, "", mcpauthtest.Claims{"iat": ago(10 * time.Minute)})
		},
	}, {
		Name: "the client makes its proofs for another method", Cause: "proof-method", Status: 401, Mentions: []string{"GET", "POST"},
		Setup: func(tb testing.TB) *Scene { return proved(tb, http.MethodGet, "", nil) },
	}, {
		Name: "the client uses one proof for several requests", Cause: "proof-replayed", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			s := boundScene(tb, mcpauth.DPoPAccepted, nil)
			once := clientKey.Proof(http.MethodPost, s.Resource, s.Token, nil)
			again := s.request
			s.request = func(s *Scene) *http.Request {
				r := again(s)
				r.Header.Set("DPoP", once)
				return r
			}
			s.before = func(s *Scene) { s.send(s.request(s)) }
			return s
		},
	}, {
		Name: "the client has made a new key and kept the token", Cause: "proof-key", Status: 401,
		Setup: func(tb testing.TB) *Scene {
			return boundScene(tb, mcpauth.DPoPAccepted, func(s *Scene, r *http.Request) {
				r.Header.Set("DPoP", mcpauthtest.NewKey("new", "ES256").Proof(http.MethodPost, s.Resource, s.Token, nil))
			})
		},
	}, {
		Name: "nonces are needed, and the client does not know them", Cause: "proof-nonce", Status: 401,
		Setup: func(tb testing.TB) *Scene { return boundScene(tb, mcpauth.DPoPRequired, nil) },
	},
}

// clientKey is the one that the client's token is bound to.
var clientKey = mcpauthtest.NewKey("client", "ES256")

// boundScene is a scene whose client has a bound token and sends a good proof with it, but for a change.
func boundScene(tb testing.TB, mode mcpauth.DPoP, change func(s *Scene, r *http.Request)) *Scene {
	s := newScene(tb).issuer(func(i *mcpauth.Issuer) { i.DPoP = mode })
	s.Token = s.AS.BoundToken(clientKey, mcpauthtest.Claims{"aud": s.Resource, "scope": "mcp:read"})
	s.request = with(func(s *Scene, r *http.Request) {
		if mode != mcpauth.DPoPOff {
			r.Header.Set("Authorization", "DPoP "+s.Token)
		}
		r.Header.Set("DPoP", clientKey.Proof(http.MethodPost, s.Resource, s.Token, nil))
		if change != nil {
			change(s, r)
		}
	})
	return s
}

// proved is a scene whose client makes its proofs for a method and a URL, "" for the right one, with further claims.
func proved(tb testing.TB, method, url string, claims mcpauthtest.Claims) *Scene {
	return boundScene(tb, mcpauth.DPoPAccepted, func(s *Scene, r *http.Request) {
		if url == "" {
			url = s.Resource
		}
		r.Header.Set("DPoP", clientKey.Proof(method, url, s.Token, claims))
	})
}
