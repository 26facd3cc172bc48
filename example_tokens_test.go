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
	_ = os.Unsetenv("INTROSPECTION_SECRET")
	issuer := mcpauth.Issuer{
		URL: "https://login.example.com",
		Introspect: &mcpauth.Introspection{
			Client: clientauth.SecretBasic("mcp-server", os.Getenv("INTROSPECTION_SECRET")),
		},
	}
	_, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{issuer},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"forecast": mcpauth.Scopes("weather:read")}},
	})
	fmt.Println(err)
	// Output:
	// mcpauth: Config.Issuers[0].Introspect.Client = "mcp-server": the secret is empty: give the one that the authorization server has issued
}

// Google's access tokens name the client that got them, and its scopes are mapped to those of the policy.
func ExampleIntrospection_tokeninfo() {
	issuer := mcpauth.Issuer{
		URL:        "https://accounts.google.com",
		Audiences:  []string{"000000000000-client.apps.googleusercontent.com"},
		Introspect: &mcpauth.Introspection{Tokeninfo: true, Prefix: "ya29."},
		Claims: mcpauth.ClaimMap{Roles: []string{"scope"}, RoleScopes: map[string][]string{
			"https://www.googleapis.com/auth/userinfo.email": {"mcp:read"},
		}},
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{issuer},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"forecast": mcpauth.Scopes("mcp:read")}},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) { // Google, here
			return answerOf(r, http.StatusOK, `{"aud":"000000000000-client.apps.googleusercontent.com","sub":"1234","exp":"9000000000",`+
				`"scope":"openid https://www.googleapis.com/auth/userinfo.email"}`), nil
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	request.Header.Set("Authorization", "Bearer ya29.example")
	caller, err := auth.Authenticate(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %q\n", caller.Subject, caller.Scopes)
	// Output: 1234 ["openid" "https://www.googleapis.com/auth/userinfo.email" "mcp:read"]
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
