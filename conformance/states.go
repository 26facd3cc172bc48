package conformance

import (
	"encoding/json"
	"slices"
)

// stateChecks present the state of a call that asks for input changed, to another person and in another call. Which of
// the tools asks is found out by calling them as a client that can be asked anything.
func stateChecks() []check {
	const (
		mrtr  = "MCP Multi Round-Trip Requests, Server Requirements"
		needs = needToken | needTools | needModern
		fix   = "protect requestState by an AEAD or a MAC over the principal, the method, its parameters and a time, and refuse what does not verify " +
			"(in Go: package sealed of mcpauth)"
	)
	return []check{
		{id: "state.works", title: "a state comes back to the call that it was made for", severity: Low, needs: needs,
			rule: mrtr, requirement: "STATE-16", fix: "accept the state that was given out, from the same person, for the same call",
			run: func(s *suite) verdict {
				return s.withState(func(a *asked) verdict { return s.accepted(a.again(s.control, a.state, a.arguments)) })
			}},
		{id: "state.changed", title: "a changed state is refused", severity: Medium, needs: needs,
			rule: mrtr, requirement: "STATE-16", fix: fix, run: func(s *suite) verdict {
				return s.withState(func(a *asked) verdict { return s.noState(a, a.again(s.control, a.changed(), a.arguments)) })
			}},
		{id: "state.foreign", title: "another person's state is refused", severity: Medium, needs: needs,
			rule: mrtr, requirement: "STATE-16", fix: fix, run: func(s *suite) verdict {
				return s.withState(func(a *asked) verdict {
					return s.asOther(func(token string) verdict { return s.noState(a, a.again(token, a.state, a.arguments)) })
				})
			}},
		{id: "state.other-arguments", title: "the state of a call with other arguments is refused", severity: Medium, needs: needs,
			rule: mrtr, requirement: "STATE-16", fix: fix, run: func(s *suite) verdict {
				return s.withState(func(a *asked) verdict {
					other := map[string]json.RawMessage{"mcpauth-check": json.RawMessage("1")}
					_ = json.Unmarshal(a.arguments, &other)
					changed := json.RawMessage(encoded(other))
					if first := s.send(a.first(s.control, changed)); !first.served() {
						return notRun("a call with one more argument gets %s", first)
					}
					return s.noState(a, a.again(s.control, a.state, changed))
				})
			}},
	}
}

// asked is a call to which the target has answered that it needs input.
type asked struct {
	tool      string
	arguments json.RawMessage
	state     string
	answers   map[string]any // to its questions
}

// anyClient can be asked anything.
const anyClient = `{"elicitation":{"form":{}},"sampling":{},"roots":{}}`

// withState makes a new call that asks for input, with a state of its own, and tries something with it.
func (s *suite) withState(try func(*asked) verdict) verdict {
	for _, tool := range s.target.Tools {
		a := &asked{tool: tool.Name, arguments: tool.Arguments, answers: map[string]any{}}
		if len(a.arguments) == 0 {
			a.arguments = json.RawMessage("{}")
		}
		var result struct {
			ResultType    string `json:"resultType"`
			RequestState  string `json:"requestState"`
			InputRequests map[string]struct {
				Method string `json:"method"`
			} `json:"inputRequests"`
		}
		answer := s.send(a.first(s.control, a.arguments))
		if json.Unmarshal(answer.rpc.Result, &result) != nil || result.ResultType != "input_required" || result.RequestState == "" {
			continue
		}
		for key, question := range result.InputRequests {
			a.answers[key] = answerTo(question.Method)
		}
		a.state = result.RequestState
		return try(a)
	}
	return notRun("none of the tools asks for input with a requestState")
}

// answerTo is what a client answers that is asked.
func answerTo(method string) any {
	switch method {
	case "sampling/createMessage":
		return map[string]any{"role": "assistant", "model": "mcpauth-check", "content": map[string]any{"type": "text", "text": "mcpauth-check"}}
	case "roots/list":
		return map[string]any{"roots": []any{}}
	}
	return map[string]any{"action": "accept", "content": map[string]any{}}
}

func (a *asked) first(token string, arguments json.RawMessage) request {
	return a.call(token, map[string]any{"arguments": arguments})
}

// again is the retry.
func (a *asked) again(token, state string, arguments json.RawMessage) request {
	return a.call(token, map[string]any{"arguments": arguments, "requestState": state, "inputResponses": a.answers})
}

func (a *asked) call(token string, params map[string]any) request {
	var meta map[string]json.RawMessage
	_ = json.Unmarshal([]byte(modernMeta), &meta)
	meta["io.modelcontextprotocol/clientCapabilities"] = json.RawMessage(anyClient)
	params["name"], params["_meta"] = a.tool, meta
	return modern(token, "tools/call", a.tool, encoded(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
}

// changed is the state with another character in the middle: at the end, some bits of base64 mean nothing.
func (a *asked) changed() string {
	state := []rune(a.state)
	i := len(state) / 2
	letters := []rune("abcdefghijklmnopqrstuvwxyz")
	state[i] = letters[(slices.Index(letters, state[i])+1)%len(letters)]
	return string(state)
}

// noState is the verdict for a state that must not be accepted. A target that asks anew, where it goes on with
// the good state, has not accepted it either.
func (s *suite) noState(a *asked, r request) verdict {
	answer := s.send(r)
	switch {
	case !answer.served():
		return passed
	case answer.asks() && !s.send(a.again(s.control, a.state, a.arguments)).asks():
		return passed
	}
	return failed("got %s, expected an error", answer)
}

// asks reports whether an answer asks for input.
func (a *answer) asks() bool {
	var result struct {
		ResultType string `json:"resultType"`
	}
	return json.Unmarshal(a.rpc.Result, &result) == nil && result.ResultType == "input_required"
}
