package sealed

import (
	"context"
	"crypto/sha256"
	"encoding/json"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/owned"
)

// The methods whose results may ask for input, and whose retries bring a state (MCP 2026-07-28, Multi Round-Trip
// Requests, Supported Requests).
const (
	toolCall     = "tools/call"
	promptGet    = "prompts/get"
	resourceRead = "resources/read"
)

// Tool is the call of a tool. The arguments are those that the handler was given: JSON
// ([json.RawMessage]), as the official SDK has them, or what encoding/json makes an object of, as mcp-go has them; nil
// for none.
func Tool(name string, arguments any) mcpauth.Call {
	return mcpauth.Call{Method: toolCall, Kind: mcpauth.KindTool, Name: name, Arguments: raw(arguments)}
}

// Prompt is the call for a prompt, with arguments as in [Tool].
func Prompt(name string, arguments any) mcpauth.Call {
	return mcpauth.Call{Method: promptGet, Kind: mcpauth.KindPrompt, Name: name, Arguments: raw(arguments)}
}

// Resource is the call for a resource.
func Resource(uri string) mcpauth.Call {
	return mcpauth.Call{Method: resourceRead, Kind: mcpauth.KindResource, Name: uri}
}

// unreadable are arguments that no call can have.
var unreadable = json.RawMessage("?")

func raw(arguments any) json.RawMessage {
	switch text := arguments.(type) {
	case json.RawMessage:
		return text
	case []byte:
		return text
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		return unreadable
	}
	return text
}

// binding is what a state is bound to, beside the resource and the time: digests, so that it has one length whatever the
// call is, and nothing of it can be read.
type binding struct{ principal, client, call, arguments [sha256.Size]byte }

// bind finds out what a state of a call is bound to.
func bind(ctx context.Context, call *mcpauth.Call) (b binding, problem Kind) {
	p, ok := mcpauth.FromContext(ctx)
	if !ok || p.Subject == "" {
		return b, NoPrincipal
	}
	if !hasRounds(call.Method) || call.Name == "" {
		return b, NoCall
	}
	arguments := []byte(call.Arguments)
	if len(arguments) == 0 || string(arguments) == "null" {
		arguments = []byte("{}") // which handlers do not tell apart
	}
	if arguments[0] != '{' {
		return b, NoCall
	}
	text, err := canonical(arguments)
	if err != nil {
		return b, NoCall
	}
	b.principal = sha256.Sum256([]byte(p.Key()))
	b.client = sha256.Sum256([]byte(p.ClientID))
	b.call = sha256.Sum256(owned.AppendField(owned.AppendField(nil, call.Method), call.Name))
	b.arguments = sha256.Sum256(text)
	return b, ""
}

func hasRounds(method string) bool {
	return method == toolCall || method == promptGet || method == resourceRead
}
