// Command rounds is an mcp-go server with the fixtures that the conformance
// suite asks for to test what revision 2026-07-28 brought for tools: results
// that ask for input, arguments that travel in headers, and the whole of JSON
// Schema. The server that mcp-go publishes for the suite lacks them.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("rounds", "1.0.0", server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithElicitation())
	s.EnableSampling()
	for name, rounds := range fixtures {
		s.AddTool(mcp.NewTool("test_input_required_result_"+name, mcp.WithDescription("Asks for input in a result.")),
			func(_ context.Context, call mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return answer(rounds, call.Params.MultiRoundTripParams, call.Params.Meta)
			})
	}
	for name, schema := range schemas {
		s.AddTool(mcp.NewToolWithRawSchema(name, "A fixture of the conformance suite.", json.RawMessage(schema)),
			func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return mcp.NewToolResultText("called"), nil
			})
	}
	s.AddPrompt(mcp.NewPrompt("test_input_required_result_prompt", mcp.WithPromptDescription("Asks for input in a result.")), prompt)

	log.Fatal(http.ListenAndServe(os.Args[1], server.NewStreamableHTTPServer(s)))
}

// schemas are the tools that are tested for their schema alone.
var schemas = map[string]string{
	"test_x_mcp_header": `{"type":"object","properties":{
		"region":{"type":"string","description":"repeated in Mcp-Param-Region","x-mcp-header":"Region"},
		"level":{"type":"integer","description":"not repeated"}}}`,
	"json_schema_2020_12_tool": `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
		"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
		"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
			"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
		"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
		"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
		"then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}`,
}

func prompt(_ context.Context, get mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	said := server.ElicitationResponse(get.Params.InputResponses, "user_context")
	if said == nil {
		return ask(round{elicit: []string{"user_context"}}, nil).PromptResult(), nil
	}
	return mcp.NewGetPromptResult("With context.", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent("Context: "+text(said)))}), nil
}
