package redisstore_test

import (
	"crypto/tls"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/redisstore"
	"github.com/seed-1e292522/mcpauth/revoke"
)

// Replicas that remember tasks together, and ask one list of revoked tokens.
func Example() {
	key, password := []byte("32 bytes, of crypto/rand in truth"), "from a safe place"

	client := redis.NewClient(&redis.Options{Addr: "redis:6379", Username: "mcpauth", Password: password, TLSConfig: new(tls.Config)})
	store, err := redisstore.New(client, "mcpauth:") // of the module mcpauth/redisstore
	if err != nil {
		log.Fatal(err)
	}
	revoked, err := revoke.New(store, key)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"report": mcpauth.Scopes("reports:read")}},
		Revoked:  revoked.Revoked,

		SessionKey: key,   // 32 random bytes, the same in all
		Store:      store, // where all remember who began which task, and which proofs were used
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(auth.MetadataURL()) // nothing is asked of Redis before the first request
	// Output: https://mcp.example.com/.well-known/oauth-protected-resource/mcp
}
