package main

import (
	"encoding/json"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// round is what one result asks for. The state goes out with it and must come
// back as it was.
type round struct {
	state          string
	elicit, sample []string
	roots          bool
	capable        bool // asks for nothing that the client cannot give
}

// fixtures are the tools, by the end of their names: one round after another.
var fixtures = map[string][]round{
	"elicitation":     {{elicit: []string{"user_name"}}},
	"sampling":        {{sample: []string{"capital_question"}}},
	"list_roots":      {{roots: true}},
	"request_state":   {{elicit: []string{"confirm"}, state: "request_state"}},
	"multiple_inputs": {{elicit: []string{"user_name"}, sample: []string{"greeting"}, roots: true, state: "multiple_inputs"}},
	"multi_round":     {{elicit: []string{"step1"}, state: "round=1"}, {elicit: []string{"step2"}, state: "round=2"}},
	"tampered_state":  {{elicit: []string{"confirm"}, state: "tampered_state"}},
	"capabilities":    {{elicit: []string{"user_name"}, sample: []string{"greeting"}, roots: true, capable: true}},
}

var errTampered = errors.New("invalid requestState")

// answer asks for the next round, or for the same one again when answers are
// missing, and is done after the last.
func answer(rounds []round, came mcp.MultiRoundTripParams, meta *mcp.Meta) (*mcp.CallToolResult, error) {
	for i, r := range rounds {
		if came.RequestState != r.state {
			continue
		}
		switch {
		case !r.answered(came.InputResponses):
			return ask(r, meta).ToolResult(), nil
		case i+1 < len(rounds):
			return ask(rounds[i+1], meta).ToolResult(), nil
		default:
			return mcp.NewToolResultText("state-ok: " + text(came.InputResponses)), nil
		}
	}
	if came.RequestState == "" {
		return ask(rounds[0], meta).ToolResult(), nil
	}
	return nil, errTampered
}

// answered reports whether everything that was asked for has come.
func (r round) answered(came mcp.InputResponses) bool {
	if r.capable {
		return len(came) > 0
	}
	for _, key := range r.elicit {
		if said := server.ElicitationResponse(came, key); said == nil || said.Action != mcp.ElicitationResponseActionAccept {
			return false
		}
	}
	for _, key := range r.sample {
		if server.SamplingResponse(came, key) == nil {
			return false
		}
	}
	return !r.roots || server.RootsResponse(came, "client_roots") != nil
}

// ask is the result that asks for the input of a round.
func ask(r round, meta *mcp.Meta) *server.InputRequestBuilder {
	b := server.NewInputRequestBuilder(r.state)
	can := meta.ClientCapabilities()
	if can == nil {
		can = &mcp.ClientCapabilities{}
	}
	for _, key := range r.elicit {
		if !r.capable || can.Elicitation != nil {
			b.Elicit(key, mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: "What about " + key + "?", RequestedSchema: map[string]any{
				"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}},
			}})
		}
	}
	for _, key := range r.sample {
		if !r.capable || can.Sampling != nil {
			b.Sample(key, mcp.CreateMessageParams{MaxTokens: 100, Messages: []mcp.SamplingMessage{
				{Role: mcp.RoleUser, Content: mcp.NewTextContent("What is the capital of France?")},
			}})
		}
	}
	if r.roots && (!r.capable || can.Roots != nil) {
		b.Roots("client_roots")
	}
	return b
}

// text is any value as JSON, so that what came in can be seen to come out.
func text(v any) string {
	said, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(said)
}
