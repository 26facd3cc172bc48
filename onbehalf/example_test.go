package onbehalf_test

import (
	"fmt"
	"net/http"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// A tool that asks an API for the customers of the user who calls it.
func Example() {
	exchanger, err := onbehalf.New(onbehalf.Config{
		Issuer: "https://login.example.com",
		Client: clientauth.SecretBasic("mcp-server", "from a safe place"),
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
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com", AllowTokenExchange: true}},
		Policy: exchanger.Policy(mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
			"customers": mcpauth.Scopes("crm:use"),
		}}, map[string]string{"customers": "crm"}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	http.Handle("/", auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := exchanger.Client(r.Context(), "crm").Get("https://crm.example.com/customers")
		if err != nil {
			_ = exchanger.Answer(r.Context(), err, false) // what to answer the client
		}
	})))
	fmt.Println("ready")
	// Output: ready
}
