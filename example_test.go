package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A server of mcp-go, protected. A request without a token is told where to
// get one and what to ask for.
func Example() {
	mcpServer := server.NewMCPServer("dashboards", "1.0.0")
	mcpHandler := server.NewStreamableHTTPServer(mcpServer, server.WithStateLess(true))
	mux := http.NewServeMux()

	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Scopes:   []string{"analytics:data:read"},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"query_usage":    mcpauth.Scopes("analytics:data:read"),
			"edit_dashboard": mcpauth.Scopes("dashboard:modify"),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("/", auth.Wrap(mcpHandler))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("POST", "https://mcp.example.com/mcp", nil))
	fmt.Println(answer.Code)
	for part := range strings.SplitSeq(answer.Header().Get("WWW-Authenticate"), ", ") {
		fmt.Println(part)
	}
	// Output:
	// 401
	// Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	// scope="analytics:data:read"
}

// Every mistake is reported at once, with the field, its value and the fix.
func ExampleNew_incorrect() {
	_, err := mcpauth.New(mcpauth.Config{
		Resource: "http://mcp.example.com/mcp",
		Issuers: []mcpauth.Issuer{{
			URL:        "https://login.example.com",
			Algorithms: []string{"HS256"},
		}},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"query_usage": mcpauth.Scopes("analytics data"),
			"whoami":      {},
		}},
		Scopes: []string{"offline_access"},
	})
	fmt.Println(err)
	// Output:
	// mcpauth: Config.Resource = "http://mcp.example.com/mcp": must be https
	// mcpauth: Config.Scopes[0] = "offline_access": offline_access concerns the client and the authorization server only: remove it
	// mcpauth: Config.Policy.Tools["query_usage"] = "analytics data": "analytics data" is not a scope: use printable ASCII without space, quote and backslash (RFC 6749 section 3.3)
	// mcpauth: Config.Policy.Tools["whoami"] = "nobody": an empty requirement refuses everybody: write Authenticated() if any valid token will do, or remove it
	// mcpauth: Config.Issuers[0].Algorithms[0] = "HS256": not an asymmetric signature algorithm: choose from RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519
}

// Rules are plain maps; what is not listed is refused.
func ExampleRules() {
	rules := mcpauth.Rules{
		Tools: map[string]mcpauth.Requirement{
			"whoami":         mcpauth.Authenticated(),
			"query_usage":    mcpauth.AnyScope("analytics:data:read", "analytics:admin"),
			"edit_dashboard": mcpauth.Scopes("dashboard:read", "dashboard:modify"),
			"admin_*":        mcpauth.Scopes("admin"),
			"*":              mcpauth.Scopes("tool:{name}:execute"),
		},
		Resources: map[string]mcpauth.Requirement{
			"db://{table}": mcpauth.Scopes("db:read"),
		},
	}
	for _, call := range []mcpauth.Call{
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "whoami"},
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "query_usage"},
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "edit_dashboard"},
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "admin_delete"},
		{Method: "tools/call", Kind: mcpauth.KindTool, Name: "codegen"},
		{Method: "resources/read", Kind: mcpauth.KindResource, Name: "db://users"},
		{Method: "resources/read", Kind: mcpauth.KindResource, Name: "db://users/passwords"},
		{Method: "prompts/get", Kind: mcpauth.KindPrompt, Name: "summary"},
		{Method: "tools/list", Kind: mcpauth.KindMethod},
	} {
		requirement, err := rules.Require(context.Background(), call)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(call.Method, call.Name, "->", requirement)
	}
	// Output:
	// tools/call whoami -> any valid token
	// tools/call query_usage -> (analytics:data:read or analytics:admin)
	// tools/call edit_dashboard -> dashboard:read and dashboard:modify
	// tools/call admin_delete -> admin
	// tools/call codegen -> tool:codegen:execute
	// resources/read db://users -> db:read
	// resources/read db://users/passwords -> nobody
	// prompts/get summary -> nobody
	// tools/list  -> any valid token
}

// A rule may depend on the arguments. What it does not understand needs the
// most: here every environment that is not known to be harmless.
func ExamplePolicyFunc() {
	policy := mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
		if call.Kind != mcpauth.KindTool || call.Name != "deploy" {
			return mcpauth.Requirement{}, nil // nobody
		}
		// A map takes names exactly as they are written, as the tool will; a
		// struct would also take "Environment".
		var arguments map[string]any
		if err := json.Unmarshal(call.Arguments, &arguments); err != nil {
			return mcpauth.Requirement{}, err
		}
		switch arguments["environment"] {
		case "dev", "staging":
			return mcpauth.Scopes("deploy"), nil
		}
		return mcpauth.Scopes("deploy", "deploy:prod"), nil
	})
	for _, arguments := range []string{`{"environment":"dev"}`, `{"environment":"prod"}`, `{"environment":"PROD"}`, `{"Environment":"dev"}`, `{}`} {
		requirement, err := policy.Require(context.Background(), mcpauth.Call{
			Method: "tools/call", Kind: mcpauth.KindTool, Name: "deploy", Arguments: json.RawMessage(arguments),
		})
		fmt.Println(arguments, "->", requirement, err)
	}
	// Output:
	// {"environment":"dev"} -> deploy <nil>
	// {"environment":"prod"} -> deploy and deploy:prod <nil>
	// {"environment":"PROD"} -> deploy and deploy:prod <nil>
	// {"Environment":"dev"} -> deploy and deploy:prod <nil>
	// {} -> deploy and deploy:prod <nil>
}

// A tool handler finds the caller in its context. The keys of this issuer are
// given, so that nothing is fetched.
func ExampleFromContext() {
	key := mcpauthtest.NewKey("k1", "ES256")
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com", Keys: key.PEM()}},
		Policy:   mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"whoami": mcpauth.Authenticated()}},
	})
	if err != nil {
		log.Fatal(err)
	}

	mcpServer := server.NewMCPServer("example", "1.0.0")
	mcpServer.AddTool(mcp.NewTool("whoami"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, ok := mcpauth.FromContext(ctx)
		if !ok {
			return mcp.NewToolResultError("the server is not wrapped"), nil
		}
		fmt.Println(caller.Subject, "through", caller.ClientID, "may", caller.Scopes)
		return mcp.NewToolResultText("you are " + caller.Subject), nil
	})
	handler := auth.Wrap(server.NewStreamableHTTPServer(mcpServer, server.WithStateLess(true)))

	request := httptest.NewRequest("POST", "https://mcp.example.com/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+key.Sign(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, fmt.Sprintf(
		`{"iss":"https://login.example.com","aud":"https://mcp.example.com/mcp","sub":"alice","client_id":"editor","scope":"notes:read","iat":%d,"exp":%d}`,
		time.Now().Unix(), time.Now().Add(time.Minute).Unix())))
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	// Output:
	// alice through editor may [notes:read]
	// 200
}

// The decision can be asked for without a request: to filter a list, in
// another transport, or in a test of the policy.
func ExampleMiddleware_Authorize() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"read_note":   mcpauth.Scopes("notes:read"),
			"delete_note": mcpauth.Scopes("notes:read", "notes:delete"),
		}},
		Implies: map[string][]string{"notes:admin": {"notes:read", "notes:delete"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, scope := range []string{"notes:read", "notes:admin"} {
		caller := &mcpauth.Principal{Subject: "alice", Scopes: []string{scope}}
		for _, tool := range []string{"read_note", "delete_note", "print_note"} {
			call := mcpauth.Call{Method: "tools/call", Kind: mcpauth.KindTool, Name: tool}
			err := auth.Authorize(context.Background(), caller, call)
			var denied *mcpauth.DeniedError
			switch {
			case err == nil:
				fmt.Println(scope, tool, "allowed")
			case errors.As(err, &denied):
				fmt.Println(scope, tool, denied.Status, denied.Code, denied.Scopes, errors.Is(err, mcpauth.ErrForbidden))
			}
		}
	}
	// Output:
	// notes:read read_note allowed
	// notes:read delete_note 403 insufficient_scope [notes:read notes:delete] false
	// notes:read print_note 403  [] true
	// notes:admin read_note allowed
	// notes:admin delete_note allowed
	// notes:admin print_note 403  [] true
}
