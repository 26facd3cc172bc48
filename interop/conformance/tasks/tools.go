package main

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// tool is a fixture of the suite. After delay it comes to result, or to err;
// before that it waits for the answers to asks.
type tool struct {
	sync     bool // never a task
	required bool // never without one
	delay    time.Duration
	asks     []string
	err      object
	isError  bool
}

var tools = map[string]tool{
	"greet":               {sync: true},
	"slow_compute":        {}, // delay is an argument
	"failing_job":         {required: true, delay: time.Second, isError: true},
	"protocol_error_job":  {required: true, delay: time.Second / 2, err: object{"code": -32603, "message": "the job panicked"}},
	"confirm_delete":      {required: true, asks: []string{"confirm"}},
	"multi_input":         {required: true, asks: []string{"first", "second"}},
	"test_tool_with_task": {required: true}, // asks before it becomes a task
}

func listed() (all []object) {
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		all = append(all, object{"name": name, "description": "A fixture of the conformance suite.", "inputSchema": object{"type": "object"}})
	}
	return all
}

// call runs a tool: at once, or as a task.
func (s *server) call(r *request) (object, *failure) {
	name := r.Params.Name
	fixture, ok := tools[name]
	switch {
	case !ok:
		return nil, unknownTool
	case fixture.sync:
		return text("Hello, "+r.Params.Arguments.Name+"!", false), nil
	case fixture.required && !r.knowsTasks():
		return nil, unnegotiated
	}
	if name == "slow_compute" {
		fixture.delay = time.Duration(r.Params.Arguments.Seconds * float64(time.Second))
		if fixture.delay == 0 || !r.knowsTasks() {
			time.Sleep(fixture.delay)
			return text("computed", false), nil
		}
	}
	said := name + " is done"
	if name == "test_tool_with_task" {
		if len(r.Params.Responses) == 0 {
			return object{"resultType": "input_required", "requestState": "round-1", "inputRequests": asking("user_name")}, nil
		}
		said = "done for " + repeated(r.Params.Responses)
	}
	return s.begin(fixture, said), nil
}

// text is the result of a tool.
func text(said string, isError bool) object {
	result := object{"resultType": "complete", "content": []object{{"type": "text", "text": said}}}
	if isError {
		result["isError"] = true
	}
	return result
}

// asking is a set of questions for the user, one for each key.
func asking(keys ...string) object {
	questions := object{}
	for _, key := range keys {
		questions[key] = object{"method": "elicitation/create", "params": object{
			"mode": "form", "message": "What about " + key + "?",
			"requestedSchema": object{"type": "object", "properties": object{key: object{"type": "string"}}},
		}}
	}
	return questions
}

// repeated is what the user answered.
func repeated(responses map[string]map[string]any) string {
	said, err := json.Marshal(responses)
	if err != nil {
		panic(err) // it was JSON a moment ago
	}
	return string(said)
}
