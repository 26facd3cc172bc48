package configfile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/configfile"
)

// A file says who may call which tool. What depends on the arguments of a call stands beside it, in code: here
// the scope for the region of an export.
func Example_policyInCode() {
	config, err := configfile.Parse("mcpauth.json", []byte(`{
		"resource": "https://mcp.example.com/mcp",
		"issuers": [{"url": "https://login.example.com"}],
		"rules": {"tools": {"export": ["reports:read"]}}
	}`))
	if err != nil {
		panic(err)
	}
	rules, err := config.Policy.(mcpauth.Rules).Compile()
	if err != nil {
		panic(err)
	}
	config.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
		requirement, err := rules.Require(ctx, call)
		if err == nil && call.Kind == mcpauth.KindTool && call.Name == "export" && call.Arguments != nil {
			var arguments map[string]any
			if err = json.Unmarshal(call.Arguments, &arguments); arguments["region"] == "eu" {
				requirement.AllOf = append(requirement.AllOf[:len(requirement.AllOf):len(requirement.AllOf)], "region:eu")
			}
		}
		return requirement, err
	})
	auth, err := mcpauth.New(config)
	if err != nil {
		panic(err)
	}
	caller := &mcpauth.Principal{Issuer: "https://login.example.com", Subject: "ada", Scopes: []string{"reports:read"}}
	for _, arguments := range []string{`{"region": "us"}`, `{"region": "eu"}`} {
		err := auth.Authorize(context.Background(), caller, mcpauth.Call{
			Method: "tools/call", Kind: mcpauth.KindTool, Name: "export", Arguments: json.RawMessage(arguments)})
		fmt.Println(arguments, err)
	}
	// Output:
	// {"region": "us"} <nil>
	// {"region": "eu"} mcpauth: insufficient scope: tool "export", got "reports:read", expected reports:read region:eu
}

// A server that a file configures, and that adds what is code.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	err = os.WriteFile(filepath.Join(dir, "mcpauth.json"), []byte(`{
		"resource": "https://mcp.example.com/mcp",
		"issuers": [{"url": "https://login.example.com"}],
		"rules": {"tools": {"export": ["reports:read"]}}
	}`), 0o600)
	if err != nil {
		panic(err)
	}
	before, _ := os.Getwd()
	if err = os.Chdir(dir); err != nil {
		panic(err)
	}
	defer func() { _ = os.Chdir(before) }()

	auth, err := configfile.New("mcpauth.json", func(c *mcpauth.Config) { c.Logger = slog.Default() })
	if err != nil {
		panic(err)
	}
	fmt.Println(auth.MetadataURL())
	// Output: https://mcp.example.com/.well-known/oauth-protected-resource/mcp
}

// Every mistake is told at once, with its place.
func ExampleParse_mistakes() {
	_, err := configfile.Parse("mcpauth.json", []byte(`{
  "resource": "https://mcp.example.com/mcp",
  "issuers": [{"url": "http://login.example.com"}],
  "rules": {"tools": {"read": [], "write": "admin"}}
}`))
	fmt.Println(err)
	// Output:
	// mcpauth.json:3:23: issuers[0].url: "http://login.example.com": must be https
	// mcpauth.json:4:23: rules.tools["read"]: "nobody": an empty requirement refuses everybody: write "authenticated" if any valid token will do, or remove it
	// mcpauth.json:4:44: rules.tools["write"]: "admin": write a list of scopes, an object with all and any, or the word "authenticated" for any valid token
}
