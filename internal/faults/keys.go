package faults

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// keys are mistakes and outages of the key set.
var keys = []Fault{
	{
		Name: "the key set is empty", Cause: "keys-none", Status: 503,
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.JWKS, mcpauthtest.Empty) },
	}, {
		Name: "nothing stands where the metadata says that the keys are", Cause: "keys-not-found", Status: 503, Mentions: []string{"AS/jwks", "status 404"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.JWKS, mcpauthtest.NotFound) },
	}, {
		Name: "a web page stands where the keys should", Cause: "keys-not-json", Status: 503, Mentions: []string{"AS/jwks"},
		Setup: func(tb testing.TB) *Scene { return broken(tb, mcpauthtest.JWKS, mcpauthtest.HTML) },
	}, {
		Name: "the keys were rotated during an outage of the key set", Cause: "key-unknown-outage", Status: 503,
		Mentions: []string{`\"k2\"`, "last fetched", "status 503", "k1"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			s.before = func(s *Scene) {
				s.send(s.ToolCall("echo"))
				s.AS.Rotate(mcpauthtest.NewKey("k2", "RS256"))
				s.AS.Break(mcpauthtest.JWKS, mcpauthtest.Down)
				s.claims(nil)
			}
			return s
		},
	}, {
		Name: "the token is signed with a key of another environment", Cause: "key-unknown", Status: 401, Mentions: []string{`\"other\"`, "k1"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			published := s.AS.Keys()
			s.AS.Rotate(mcpauthtest.NewKey("other", "RS256"))
			s.claims(nil)
			s.AS.Rotate(published...)
			return s
		},
	}, {
		Name: "a cache in front of the key set has an old copy", Cause: "key-unsettled", Status: 503, Mentions: []string{`\"k2\"`, "k1"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			old := keySet(s.AS.Keys()[0].JWK())
			s.AS.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			s.AS.PublishKeySet(old)
			s.AS.Header(mcpauthtest.JWKS, "Age", "300")
			return s.claims(nil)
		},
	}, {
		Name: "the key is published for encryption only", Cause: "key-unusable", Status: 401, Mentions: []string{"use is not sig"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			wrong := s.AS.Keys()[0].JWK()
			wrong["use"] = "enc"
			s.AS.PublishKeySet(keySet(wrong, mcpauthtest.NewKey("k2", "ES256").JWK()))
			return s
		},
	}, {
		Name: "the key is published for another algorithm", Cause: "key-algorithm", Status: 401, Mentions: []string{"RS256"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			other := s.AS.Keys()[0].JWK()
			other["alg"] = "PS256"
			s.AS.PublishKeySet(keySet(other))
			return s
		},
	}, {
		Name: "two environments use one key id for different keys", Cause: "signature", Status: 401, Mentions: []string{"k1"},
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			other := mcpauthtest.NewKey("staging", "RS256").JWK()
			other["kid"] = "k1"
			s.AS.PublishKeySet(keySet(other))
			return s
		},
	}, {
		Name: "after a rotation the issuer refreshes tokens under the old key id", Cause: "signature", Status: 401, Mentions: []string{"k1"},
		Setup: func(tb testing.TB) *Scene { // as Ory Hydra 2.3 does
			s := newScene(tb)
			next := mcpauthtest.NewKey("k2", "RS256")
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[1])
			if err != nil {
				tb.Fatal(err)
			}
			s.Token = next.Sign(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, string(payload))
			s.AS.PublishKeySet(keySet(next.JWK(), s.AS.Keys()[0].JWK()))
			return s
		},
	}, {
		Name: "the keys say no algorithm", Cause: "", Status: 200,
		Setup: func(tb testing.TB) *Scene {
			s := newScene(tb)
			silent := s.AS.Keys()[0].JWK()
			delete(silent, "alg")
			s.AS.PublishKeySet(keySet(silent))
			return s
		},
	},
}

func keySet(all ...map[string]any) string {
	raw, _ := json.Marshal(map[string]any{"keys": all})
	return string(raw)
}
