// Package onbehalf lets a tool call another API in the name of the user whose request it serves. The
// user's token for the MCP server is of no use there and must not be passed on: the authorization
// server exchanges it for one that is, by RFC 8693 or by Microsoft Entra's on-behalf-of grant.
//
//	exchanger, err := onbehalf.New(onbehalf.Config{
//		Issuer: "https://login.example.com", // of which mcpauth.Issuer.AllowTokenExchange is set
//		Client: clientauth.SecretBasic("mcp-server", secret),
//		Targets: map[string]onbehalf.Target{
//			"crm": {Resource: "https://api.example.com", Scopes: []string{"crm.read"}},
//		},
//	})
//	...
//	response, err := exchanger.Client(ctx, "crm").Get("https://api.example.com/customers")
//
// ctx is that of the request, as the handler got it. When the request is over nothing is exchanged
// any more, whoever kept the context. Work that goes on after it takes its token while the request lasts.
//
// Tokens are remembered for each principal and inbound token, no longer than either of the two is good
// and ten minutes at most. What goes wrong is an *[Error], whose text may be shown to anybody:
// [Exchanger.Policy] and [Exchanger.Answer] make of it what a client can act on.
package onbehalf
