package onbehalf_test

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// A tool that asks an API for the customers of the user who calls it.
func Example() {
	_ = os.Setenv("MCP_SECRET", "from a safe place") // which an operator does
	issuer := mcpauth.Issuer{URL: "https://login.example.com", AllowTokenExchange: true}

	exchanger, err := onbehalf.New(onbehalf.Config{
		Issuer: "https://login.example.com",
		Client: clientauth.SecretBasic("mcp-server", os.Getenv("MCP_SECRET")),
		Targets: map[string]onbehalf.Target{
			"crm": {Resource: "https://crm.example.com", Scopes: []string{"crm.read"}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{issuer},
		Policy: exchanger.Policy(mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"customers": mcpauth.Scopes("crm:use"),
		}}, map[string]string{"customers": "crm"}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	customers := func(ctx context.Context) error {
		response, err := exchanger.Client(ctx, "crm").Get("https://crm.example.com/customers")
		if err != nil {
			_ = exchanger.Answer(ctx, err, false) // what to answer the client
			return err
		}
		return response.Body.Close()
	}
	http.Handle("/", auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = customers(r.Context()) })))
	fmt.Println(customers(context.Background())) // no request, and so nobody to ask for
	// Output: Get "https://crm.example.com/customers": onbehalf: crm: not available: this is not the context of a request behind mcpauth.Middleware.Wrap whose mcpauth.Issuer.AllowTokenExchange is set
}
