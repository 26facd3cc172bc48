package bench

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/bench/internal/fixture"
)

// BenchmarkRefuse is what strangers cost: whole requests that are refused.
// "signature" is the one that must be checked to be known; "scope" and
// "duplicate-member" have a good token, seen before.
func BenchmarkRefuse(b *testing.B) {
	for _, c := range refusals() {
		b.Run("what="+c.name, func(b *testing.B) { drive(b, c.request(b)) })
	}
}

type refusal struct {
	name, token string
	body        []byte
	status      int
}

func (c refusal) request(b *testing.B) func(int) bool {
	b.Helper()
	return serving(b, newMiddleware(b, nil).Wrap(fixture.Served), c.token, c.body, c.status)
}

func refusals() []refusal {
	good := known()
	changed := func(name string, value any) string {
		return issuer.Mint("RS256", func(claims map[string]any) { claims[name] = value })
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(good, ".")[1] + ".AA"
	duplicate := []byte(strings.Replace(string(smallBody), `"id":7`, `"id":7,"id":8`, 1))
	return []refusal{
		{"no-token", "", smallBody, http.StatusUnauthorized},
		{"garbage-1KB", strings.Repeat("A", 1<<10), smallBody, http.StatusUnauthorized},
		{"garbage-14KB", strings.Repeat("A", 14<<10), smallBody, http.StatusUnauthorized},
		{"dots-14KB", strings.Repeat(".", 14<<10), smallBody, http.StatusUnauthorized},
		{"alg-none", none, smallBody, http.StatusUnauthorized},
		{"alg-unknown", issuer.MintAs("RS256", "HS256", "RS256", nil), smallBody, http.StatusUnauthorized},
		{"issuer", changed("iss", "https://other.example.com"), smallBody, http.StatusUnauthorized},
		{"audience", changed("aud", "https://other.example.com"), smallBody, http.StatusUnauthorized},
		{"expired", changed("exp", time.Now().Add(-time.Hour).Unix()), smallBody, http.StatusUnauthorized},
		{"unknown-kid", issuer.MintAs("RS256", "RS256", "nobody", nil), smallBody, http.StatusUnauthorized},
		{"signature", issuer.Forge("RS256"), smallBody, http.StatusUnauthorized},
		{"scope", good, fixture.Body("delete_tenant", "structure", 300, false), http.StatusForbidden},
		{"duplicate-member", good, duplicate, http.StatusBadRequest},
	}
}
