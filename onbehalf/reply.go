package onbehalf

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Form says what an [Answer] is.
type Form string

// The forms of an answer to tools/call.
const (
	ToolResult    Form = "tool result"    // a result with isError
	InputRequired Form = "input required" // the result of a modern server that asks its client for something
	RPCError      Form = "error"          // a JSON-RPC error: code, message and data
)

// Answer is what to answer a tool call with that had no token.
type Answer struct {
	Form Form
	JSON json.RawMessage // the result, or the error
	Text string          // of the result or the message of the error, for handlers that make their own
	URL  string          // where the user agrees, "" for none
}

// Answer says what to answer the client whose call failed with err, in the one of three forms that it can act on. A
// modern client says with each request whether it can open URLs for its user. Of an older one the handler's
// session knows (capabilities.elicitation.url of initialize), and elicitsURLs tells it here; false is always safe.
//
// A modern client calls again with the answer of its user: one who declines is not asked again, which is known by
// the name of the request, "consent", in JSON that a handler makes itself too. One of 2025-11-25 calls again by itself, and that of the official SDK only when it is told of notifications/elicitation/complete.
//
// The page that [Target].Consent names has to establish who the user is: its URL authenticates nobody, and may
// be opened by somebody else than the caller.
func (e *Exchanger) Answer(ctx context.Context, err error, elicitsURLs bool) Answer {
	failed := (*Error)(nil)
	if !errors.As(err, &failed) {
		failed = &Error{Kind: Refused}
	}
	a := Answer{Form: ToolResult, Text: words[failed.Kind]}
	client := clientOf(ctx, elicitsURLs)
	switch failed.Kind {
	case MoreScope:
		a.JSON = client.result(a.Text, failed.Scopes)
		return a
	case Interaction:
		if !client.declined {
			a.URL = e.consent(ctx, failed)
		}
	}
	switch {
	case a.URL == "":
		a.JSON = client.result(a.Text, nil)
	case client.elicits && client.modern:
		a.Form, a.JSON = InputRequired, encode(map[string]any{"resultType": "input_required", "inputRequests": map[string]any{
			consentID: map[string]any{"method": "elicitation/create", "params": elicitation{Mode: "url", Message: a.Text, URL: a.URL}},
		}})
	case client.elicits:
		a.Form, a.JSON = RPCError, encode(map[string]any{"code": -32042, "message": a.Text, "data": map[string]any{
			"elicitations": []elicitation{{Mode: "url", ID: rand.Text(), Message: a.Text, URL: a.URL}},
		}})
	default:
		a.JSON = client.result(a.Text+": "+a.URL, nil)
	}
	return a
}

type elicitation struct {
	Mode    string `json:"mode"`
	ID      string `json:"elicitationId,omitempty"`
	Message string `json:"message"`
	URL     string `json:"url"`
}

// consent asks the operator's function. Where it fails there is no page.
func (e *Exchanger) consent(ctx context.Context, failed *Error) string {
	t := e.targets[failed.Target]
	if t == nil || t.Consent == nil {
		return ""
	}
	raw, err := t.Consent(ctx, failed)
	u, bad := url.Parse(raw)
	if err == nil && (bad != nil || u.Scheme != "https" && e.endpointURL(raw) == nil || u.Hostname() == "") {
		err = errors.New("not an https URL")
	}
	if err != nil {
		e.complain(t, "Target.Consent gives no page for the user", err.Error())
		return ""
	}
	return raw
}

// client is what the caller's client can do.
type client struct {
	modern, elicits bool
	declined        bool     // the user has been asked, and wants to hear no more of it
	metadata        string   // URL of that of this server
	scopes          []string // that it would forget when it asks for others
}

func clientOf(ctx context.Context, elicitsURLs bool) (c client) {
	c.elicits = elicitsURLs
	_ = onward.Look(ctx, func(facts onward.Facts) {
		c.modern, c.metadata = facts.Modern, facts.MetadataURL
		if p, _ := facts.Principal.(*mcpauth.Principal); p != nil && !c.modern {
			c.scopes = slices.Clone(p.Scopes)
		}
		if c.modern {
			c.elicits, c.declined = declares(facts.Body)
		}
	})
	return c
}

// consentID names what a modern client is asked for.
const consentID = "consent"

// declares reports whether a modern request says that its client opens URLs, and that its user has declined to.
// Clients call again with every answer, a no included, and would be asked again as often.
func declares(body []byte) (elicits, declined bool) {
	var request struct {
		Params struct {
			Meta struct {
				Capabilities struct {
					Elicitation struct {
						URL json.RawMessage `json:"url"`
					} `json:"elicitation"`
				} `json:"io.modelcontextprotocol/clientCapabilities"`
			} `json:"_meta"`
			Responses map[string]struct {
				Action string `json:"action"`
			} `json:"inputResponses"`
		} `json:"params"`
	}
	err := json.Unmarshal(body, &request)
	answer, answered := request.Params.Responses[consentID]
	return err == nil && bytes.HasPrefix(request.Params.Meta.Capabilities.Elicitation.URL, []byte("{")), answered && answer.Action != "accept"
}

// result is a tool result that says no, with a challenge for hosts that look for one.
func (c *client) result(text string, scopes []string) json.RawMessage {
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	var result struct {
		Type    string              `json:"resultType,omitempty"`
		Content []content           `json:"content"`
		IsError bool                `json:"isError"`
		Meta    map[string][]string `json:"_meta,omitempty"`
	}
	result.Content, result.IsError = []content{{"text", text}}, true
	if c.modern {
		result.Type = "complete"
	}
	if len(scopes) > 0 {
		for _, scope := range scopes {
			if !slices.Contains(c.scopes, scope) {
				c.scopes = append(c.scopes, scope)
			}
		}
		result.Meta = map[string][]string{"mcp/www_authenticate": {challenge.Format("Bearer",
			challenge.Param{Name: "error", Value: "insufficient_scope"},
			challenge.Param{Name: "scope", Value: challenge.JoinScopes(c.scopes)},
			challenge.Param{Name: "resource_metadata", Value: c.metadata})}}
	}
	return encode(result)
}

func encode(v any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // texts always can be
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
