package redisstore_test

import (
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/redisstore"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// Replicas that remember tasks together, and ask one list of revoked tokens.
func Example() {
	var sessionKey []byte // 32 random bytes, the same in all replicas
	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379"})
	store, err := redisstore.New(client, "mcpauth:")
	if err != nil {
		log.Fatal(err)
	}
	revoked, err := revoke.New(store, sessionKey)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:   "https://mcp.example.com/mcp",
		Issuers:    []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy:     mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"report": mcpauth.Scopes("reports:read")}},
		Revoked:    revoked.Revoked,
		SessionKey: sessionKey, Store: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth // auth.Wrap(mcpHandler)
}
