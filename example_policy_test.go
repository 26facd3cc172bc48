package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/registered"
)

// newAuth completes a configuration as all of these examples do.
func newAuth(config mcpauth.Config) *mcpauth.Middleware {
	config.Resource = "https://mcp.example.com/mcp"
	if config.Issuers == nil {
		config.Issuers = []mcpauth.Issuer{{URL: "https://login.example.com"}}
	}
	auth, err := mcpauth.New(config)
	if err != nil {
		log.Fatal(err)
	}
	return auth
}

// Methods without a target have rules of their own; those on tasks are refused unless they are listed.
func ExampleRules_methods() {
	rules := mcpauth.Rules{
		Methods: map[string]mcpauth.Requirement{
			"resources/list":     mcpauth.Scopes("db:read"),
			"vendor/diagnostics": mcpauth.Scopes("support"),
		},
	}
	tasks := mcpauth.Rules{
		Methods: map[string]mcpauth.Requirement{
			"tasks/get":    mcpauth.Authenticated(),
			"tasks/cancel": mcpauth.Authenticated(),
			"tasks/update": mcpauth.Authenticated(), // since 2026-07-28
			"tasks/result": mcpauth.Authenticated(), // before it
			"tasks/list":   mcpauth.Authenticated(), // before it
		},
	}
	for _, method := range []string{"resources/list", "tools/list", "vendor/diagnostics", "vendor/reset", "tasks/get"} {
		call := mcpauth.Call{Method: method, Kind: mcpauth.KindMethod}
		requirement, err := rules.Require(context.Background(), call)
		withTasks, errTasks := tasks.Require(context.Background(), call)
		fmt.Println(method, "->", requirement, err, "->", withTasks, errTasks)
	}
	// Output:
	// resources/list -> db:read <nil> -> any valid token <nil>
	// tools/list -> any valid token <nil> -> any valid token <nil>
	// vendor/diagnostics -> support <nil> -> nobody <nil>
	// vendor/reset -> nobody <nil> -> nobody <nil>
	// tasks/get -> nobody <nil> -> any valid token <nil>
}

// A scope that includes others, over any number of steps, meets what they meet. It is not what a client is
// told to ask for.
func ExampleConfig_implies() {
	config := mcpauth.Config{
		Implies: map[string][]string{
			"notes:admin": {"notes:write"},
			"notes:write": {"notes:read"},
		},
	}
	config.Policy = mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"read_note": mcpauth.Scopes("notes:read")}}
	auth := newAuth(config)
	for _, scope := range []string{"notes:admin", "profile"} {
		err := auth.Authorize(context.Background(), &mcpauth.Principal{Subject: "alice", Scopes: []string{scope}}, tool("read_note"))
		var denied *mcpauth.DeniedError
		if errors.As(err, &denied) {
			fmt.Println(scope, denied.Status, denied.Scopes)
		} else {
			fmt.Println(scope, "allowed")
		}
	}
	// Output:
	// notes:admin allowed
	// profile 403 [notes:read]
}

type policy struct{ rules mcpauth.Policy } // what Rules.Compile has made

func (p policy) Require(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
	if call.Kind == mcpauth.KindTool && call.Name == "deploy" {
		return requireDeploy(call)
	}
	return p.rules.Require(ctx, call)
}

func requireDeploy(call mcpauth.Call) (mcpauth.Requirement, error) {
	var arguments map[string]any
	if err := json.Unmarshal(call.Arguments, &arguments); err != nil {
		return mcpauth.Requirement{}, err
	}
	if arguments["environment"] == "dev" {
		return mcpauth.Scopes("deploy"), nil
	}
	return mcpauth.Scopes("deploy", "deploy:prod"), nil
}

// One exception in code, and rules for everything else.
func ExamplePolicy() {
	rules, err := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"status": mcpauth.Authenticated()}}.Compile()
	if err != nil {
		log.Fatal(err)
	}
	p := policy{rules}
	dev, prod := tool("deploy"), tool("deploy")
	dev.Arguments, prod.Arguments = json.RawMessage(`{"environment":"dev"}`), json.RawMessage(`{"environment":"prod"}`)
	for _, call := range []mcpauth.Call{dev, prod, tool("status"), tool("other"), {Method: "tools/list", Kind: mcpauth.KindMethod}} {
		requirement, err := p.Require(context.Background(), call)
		fmt.Println(call.Method, call.Name, string(call.Arguments), "->", requirement, err)
	}
	// Output:
	// tools/call deploy {"environment":"dev"} -> deploy <nil>
	// tools/call deploy {"environment":"prod"} -> deploy and deploy:prod <nil>
	// tools/call status  -> any valid token <nil>
	// tools/call other  -> nobody <nil>
	// tools/list   -> any valid token <nil>
}

// Clients that act for themselves may only read, whatever their scopes are.
func ExamplePolicyFunc_caller() {
	rules, err := mcpauth.Rules{Tools: map[string]mcpauth.Requirement{
		"read_note": mcpauth.Scopes("notes:read"), "write_note": mcpauth.Scopes("notes:write"),
	}}.Compile()
	if err != nil {
		log.Fatal(err)
	}
	auth := newAuth(mcpauth.Config{
		Policy: mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
			caller, ok := mcpauth.FromContext(ctx)
			if call.Kind != mcpauth.KindMethod && call.Name != "read_note" && (!ok || caller.Client) {
				return mcpauth.Requirement{}, nil // nobody
			}
			return rules.Require(ctx, call)
		}),
	})
	for _, client := range []bool{false, true} {
		caller := &mcpauth.Principal{Subject: "alice", Client: client, Scopes: []string{"notes:read", "notes:write"}}
		fmt.Println(client, auth.Authorize(context.Background(), caller, tool("read_note")) == nil,
			auth.Authorize(context.Background(), caller, tool("write_note")) == nil)
	}
	// Output:
	// false true true
	// true true false
}

// Two ways to tell of a tool those who may not call it yet: in the list, and in a result where others get 403.
func ExampleRequirement() {
	shown := mcpauth.Requirement{AllOf: []string{"dashboard:modify"}, Visible: true}
	inBand := mcpauth.Requirement{AllOf: []string{"dashboard:modify"}, InBand: true}

	var t exampleTB // in a test: t
	defer t.done()
	issuer := mcpauthtest.NewIssuerAt(&t, "https://login.example.com")
	auth := newAuth(mcpauth.Config{
		Issuers: []mcpauth.Issuer{issuer.Config()}, Transport: issuer.Transport(),
		Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"edit": shown, "publish": inBand}},
	})
	mcpServer := server.NewMCPServer("dashboards", "1.0.0")
	mcpServer.AddTool(mcp.NewTool("edit"), nil)
	mcpServer.AddTool(mcp.NewTool("publish"), nil)
	handler := auth.Wrap(server.NewStreamableHTTPServer(mcpServer, server.WithStateLess(true)))

	for _, message := range []string{`"tools/list"`, `"tools/call","params":{"name":"edit"}`, `"tools/call","params":{"name":"publish"}`} {
		r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":`+message+`}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+issuer.TokenFor("https://mcp.example.com/mcp", "profile"))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Body)
		fmt.Println(message, w.Code)
		for _, part := range []string{`"name":"edit"`, `"name":"publish"`, `"isError":true`, `"mcp/www_authenticate"`} {
			if strings.Contains(string(body), part) {
				fmt.Println("    with", part)
			}
		}
	}
	// Output:
	// "tools/list" 200
	//     with "name":"edit"
	// "tools/call","params":{"name":"edit"} 403
	// "tools/call","params":{"name":"publish"} 200
	//     with "isError":true
	//     with "mcp/www_authenticate"
}

// Whether rules and server fit together, both ways.
func ExampleMiddleware_Coverage() {
	mcpServer := server.NewMCPServer("dashboards", "1.0.0")
	mcpServer.AddTool(mcp.NewTool("query_usage"), nil)
	handler := server.NewStreamableHTTPServer(mcpServer)
	auth := newAuth(mcpauth.Config{Policy: mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"query_usages": mcpauth.Authenticated()}}})
	ctx := context.Background()

	has, err := registered.By(ctx, handler) // the handler that Wrap is given; or gosdk.Registered(ctx, server)
	if err == nil {
		err = auth.Coverage(has).Err()
	}
	fmt.Println(err)
	// Output:
	// mcpauth: no token can reach tool "query_usage": no rule is about it, but one nearly is: tools["query_usages"]
	// mcpauth: the rule tools["query_usages"] is about nothing that the server has: correct its name, or remove it
}
