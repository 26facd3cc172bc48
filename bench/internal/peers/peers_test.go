package peers_test

import (
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
	"github.com/seed-1e292522/mcpauth/bench/internal/peers"
)

// A peer that accepts everything, or reads less than the others, would look
// fast. The refusals are the least that one expects of all of them.
func TestPeers(t *testing.T) {
	issuer := fixture.NewIssuer()
	defer issuer.Close()
	for _, peer := range peers.All {
		for _, alg := range fixture.Algorithms {
			t.Run(peer.Name+"/"+alg, func(t *testing.T) {
				verify, err := peer.New(t.Context(), peers.Source{Issuer: issuer.URL, JWKSURL: issuer.JWKSURL, Audience: fixture.Resource, Alg: alg})
				if err != nil {
					t.Fatal(err)
				}
				who, err := verify(t.Context(), issuer.Mint(alg, nil))
				if err != nil {
					t.Fatal(err)
				}
				if who.Subject == "" || len(who.Scopes) != 3 || time.Until(who.Expiry) < 50*time.Minute {
					t.Errorf("read %+v", who)
				}
				change := func(name string, value any) string {
					return issuer.Mint(alg, func(claims map[string]any) { claims[name] = value })
				}
				for name, token := range map[string]string{
					"signature": issuer.Forge(alg),
					"issuer":    change("iss", "https://other.example.com"),
					"audience":  change("aud", []string{"https://other.example.com"}),
					"expired":   change("exp", time.Now().Add(-time.Hour).Unix()),
				} {
					if _, err := verify(t.Context(), token); err == nil {
						t.Errorf("accepted: %s", name)
					}
				}
			})
		}
	}
}
