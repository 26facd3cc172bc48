package mcpauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

// The authorization server hands out tokens that only it can read: it is asked about them. The secret of
// this server's client there is missing here, and New says so.
func ExampleIntrospection() {
	_, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers: []mcpauth.Issuer{{
			URL: "https://login.example.com",
			Introspect: &mcpauth.Introspection{
				Client: clientauth.SecretBasic("mcp-server", os.Getenv("EXAMPLE_INTROSPECTION_SECRET")),
			},
		}},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"forecast": mcpauth.Scopes("weather:read")}},
	})
	fmt.Println(err)
	// Output:
	// mcpauth: Config.Issuers[0].Introspect.Client = "mcp-server": the secret is empty: give the one that the authorization server has issued
}

// Tokens that are bound to a key of the client are accepted with a proof, and others as before: clients are
// told of both schemes.
func ExampleDPoP() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com", DPoP: mcpauth.DPoPAccepted}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"forecast": mcpauth.Scopes("weather:read")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	response := httptest.NewRecorder()
	auth.Wrap(http.NotFoundHandler()).ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/mcp", nil))
	for _, challenge := range response.Header().Values("WWW-Authenticate") {
		fmt.Println(challenge)
	}
	// Output:
	// Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	// DPoP resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"
}
