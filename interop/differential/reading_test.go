package differential

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
)

const versionMember = "io.modelcontextprotocol/protocolVersion"

// reading is everything in a body that decides what happens: kind, method, id
// and the targets. Absent strings are told from other values, as a reader that
// keeps JSON values can; a typed reader cannot, see [typed].
type reading struct {
	Kind                       jsonrpc.Kind
	Method                     string
	ID                         string // canonical; "" when absent
	Name, URI, TaskID, Version jsonrpc.Field
	RefType, RefName, RefURI   jsonrpc.Field
	Arguments                  string // canonical; "" when absent or null
	Listen                     string // of params.notifications what the SDKs know of; "" when absent
	ListenMore                 string // and the rest, which the middleware refuses or has rules for
}

// gateReading is what our own reader sees.
func gateReading(body []byte) (reading, error) {
	m, err := jsonrpc.Parse(body)
	if err != nil {
		return reading{}, err
	}
	r := reading{
		Kind: m.Kind, Method: m.Method, ID: canonicalRaw(m.ID),
		Name: m.Name, URI: m.URI, TaskID: m.TaskID, Version: m.Version,
		RefType: m.Ref.Type, RefName: m.Ref.Name, RefURI: m.Ref.URI,
		Arguments: canonicalRaw(m.Arguments),
	}
	if l := m.Listen; l != nil {
		r.Listen = listenText(l.ToolsListChanged, l.PromptsListChanged, l.ResourcesListChanged, l.ResourceSubscriptions)
		r.ListenMore = fmt.Sprintf("%t %q", l.Unknown, l.TaskIDs)
	}
	return r, nil
}

func listenText(tools, prompts, resources bool, uris []string) string {
	return fmt.Sprintf("%t %t %t %q", tools, prompts, resources, uris)
}

// valueReading is what an honest server sees in a parsed body that kept its
// JSON values (nil, bool, json.Number, string, []any, map[string]any).
func valueReading(v any) (r reading, err error) {
	m, ok := v.(map[string]any)
	if !ok || m["jsonrpc"] != "2.0" {
		return r, fmt.Errorf("no JSON-RPC 2.0 message")
	}
	method, hasMethod := m["method"]
	id, hasID := m["id"]
	switch {
	case hasMethod && hasID:
		r.Kind = jsonrpc.Request
	case hasMethod:
		r.Kind = jsonrpc.Notification
	default:
		r.Kind = jsonrpc.Response
	}
	if hasMethod {
		if r.Method, ok = method.(string); !ok {
			return r, fmt.Errorf("method is no string")
		}
	}
	if hasID && id != nil {
		r.ID = canonical(id)
	}
	params, _ := m["params"].(map[string]any)
	ref, _ := params["ref"].(map[string]any)
	meta, _ := params["_meta"].(map[string]any)
	r.Name, r.URI, r.TaskID = member(params, "name"), member(params, "uri"), member(params, "taskId")
	r.RefType, r.RefName, r.RefURI = some(member(ref, "type"), ref["type"]), some(member(ref, "name"), ref["name"]), some(member(ref, "uri"), ref["uri"])
	r.Version = some(member(meta, versionMember), meta[versionMember])
	if arguments := params["arguments"]; arguments != nil {
		r.Arguments = canonical(arguments)
	}
	if listen := params["notifications"]; listen != nil {
		r.Listen, r.ListenMore = valueListen(listen)
	}
	return r, nil
}

func valueListen(v any) (known, more string) {
	m, ok := v.(map[string]any)
	unknown := !ok
	for name := range m {
		switch name {
		case "toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds":
		default:
			unknown = true
		}
	}
	list := func(name string) (out []string) {
		elements, _ := m[name].([]any)
		for _, e := range elements {
			s, _ := e.(string)
			out = append(out, s)
		}
		return out
	}
	flag := func(name string) bool { return m[name] == true }
	known = listenText(flag("toolsListChanged"), flag("promptsListChanged"), flag("resourcesListChanged"), list("resourceSubscriptions"))
	return known, fmt.Sprintf("%t %q", unknown, list("taskIds"))
}

// some takes a member that is null for one that is absent.
func some(f jsonrpc.Field, v any) jsonrpc.Field {
	if v == nil {
		return jsonrpc.Field{}
	}
	return f
}

func member(object map[string]any, name string) jsonrpc.Field {
	switch v, ok := object[name]; s := v.(type) {
	case string:
		return jsonrpc.Field{Value: s, State: jsonrpc.String}
	default:
		if ok {
			return jsonrpc.Field{State: jsonrpc.Other}
		}
		return jsonrpc.Field{}
	}
}

// typed is what a reader sees that decodes into the types of an SDK: for each
// method some members, and absent is the same as empty. A nil pointer is a
// member which the reader does not read in this message.
type typed struct {
	Kind                               jsonrpc.Kind
	Method, ID                         string
	Name, URI, TaskID, Version         *string
	RefType, RefName, RefURI           *string
	Arguments, PromptArguments, Listen *string
}

// differs names the first thing that an SDK sees otherwise than the gate, or
// returns "".
func (t *typed) differs(gate *reading) string {
	if t.Kind == jsonrpc.Notification && t.Method == "" && gate.Kind == jsonrpc.Response {
		return "" // an error without an id is taken for a notification of nothing, which does nothing
	}
	if t.Kind != gate.Kind {
		return fmt.Sprintf("kind: %d, gate: %d", t.Kind, gate.Kind)
	}
	if t.Method != gate.Method || t.ID != gate.ID {
		return fmt.Sprintf("method %q id %s, gate: %q %s", t.Method, t.ID, gate.Method, gate.ID)
	}
	for _, c := range []struct {
		member string
		theirs *string
		ours   string
	}{
		{"name", t.Name, gate.Name.Value}, {"uri", t.URI, gate.URI.Value}, {"taskId", t.TaskID, gate.TaskID.Value},
		{"version", t.Version, gate.Version.Value}, {"ref.type", t.RefType, gate.RefType.Value},
		{"ref.name", t.RefName, gate.RefName.Value}, {"ref.uri", t.RefURI, gate.RefURI.Value},
		{"arguments", t.Arguments, gate.Arguments},
		{"prompt arguments", t.PromptArguments, promptArguments(gate.Arguments)},
		{"notifications", t.Listen, cmp.Or(gate.Listen, listenText(false, false, false, nil))},
	} {
		if c.theirs != nil && *c.theirs != c.ours {
			return fmt.Sprintf("%s: %q, gate: %q", c.member, *c.theirs, c.ours)
		}
	}
	return ""
}

// promptArguments is how a map from string to string, which is what both SDKs
// have for a prompt's arguments, shows them: null is the empty string.
func promptArguments(arguments string) string {
	if arguments == "" {
		return "{}"
	}
	return strings.NewReplacer(":z,", `:",`, ":z}", `:"}`).Replace(arguments)
}

// canonicalRaw is canonical for JSON text of which there is no doubt.
func canonicalRaw(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "not JSON: " + string(raw)
	}
	return canonical(v)
}

// canonical writes a JSON value in the one form that readers of all languages
// can write too: z, t, f, # and the bits of the float64, " and the UTF-8 in
// hexadecimal, arrays in [,] and objects in {:,} sorted by name.
func canonical(v any) string {
	switch v := v.(type) {
	case nil:
		return "z"
	case bool:
		if v {
			return "t"
		}
		return "f"
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64) // out of range is infinite, as elsewhere
		return canonical(f)
	case float64:
		if v == 0 {
			v = 0 // JSON's -0 is an integer to some
		}
		return fmt.Sprintf("#%016x", math.Float64bits(v))
	case string:
		return `"` + hex.EncodeToString([]byte(v))
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = canonical(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for name, e := range v {
			parts = append(parts, hex.EncodeToString([]byte(name))+":"+canonical(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("no JSON value: %T", v)
}
