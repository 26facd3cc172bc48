package mcpauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// era is the generation of the protocol that a request speaks.
type era uint8

const (
	legacy era = 1 << iota // up to 2025-11-25: initialize, sessions
	modern                 // from 2026-07-28 on: stateless, self-describing headers
)

// modernVersion is the first revision of the modern era.
const modernVersion = "2026-07-28"

// method is what is known of a JSON-RPC method of MCP.
type method struct {
	eras    era
	kind    Kind
	target  target
	named   bool // modern requests repeat the target in Mcp-Name
	refused bool // has no rule unless the policy gives one
}

// target says where in params a method's target stands.
type target uint8

const (
	byMethod target = iota // the method is its own target
	byName
	byURI
	byTask
)

// of returns the target of a message.
func (t target) of(m *jsonrpc.Message) jsonrpc.Field {
	switch t {
	case byName:
		return m.Name
	case byURI:
		return m.URI
	}
	return m.TaskID
}

// What has no JSON-RPC method of its own: a client's answer to a request of
// the server, a stream of the server's own, and the end of a session.
const (
	responseMethod = "$response"
	streamMethod   = "$sse"
	endMethod      = "$session.delete"
)

// methods are the methods that a client may send, of all revisions from
// 2025-03-26 to 2026-07-28. Everything else is unknown.
var methods = map[string]method{
	"initialize":                         {eras: legacy, kind: KindMethod},
	"notifications/initialized":          {eras: legacy, kind: KindMethod},
	"ping":                               {eras: legacy, kind: KindMethod},
	responseMethod:                       {eras: legacy, kind: KindMethod},
	streamMethod:                         {eras: legacy, kind: KindMethod},
	endMethod:                            {eras: legacy, kind: KindMethod},
	"server/discover":                    {eras: modern, kind: KindMethod},
	"tools/list":                         {eras: legacy | modern, kind: KindMethod},
	"prompts/list":                       {eras: legacy | modern, kind: KindMethod},
	"resources/list":                     {eras: legacy | modern, kind: KindMethod},
	"resources/templates/list":           {eras: legacy | modern, kind: KindMethod},
	"tools/call":                         {eras: legacy | modern, kind: KindTool, target: byName, named: true},
	"prompts/get":                        {eras: legacy | modern, kind: KindPrompt, target: byName, named: true},
	"resources/read":                     {eras: legacy | modern, kind: KindResource, target: byURI, named: true},
	"resources/subscribe":                {eras: legacy, kind: KindResource, target: byURI},
	"resources/unsubscribe":              {eras: legacy, kind: KindResource, target: byURI},
	"completion/complete":                {eras: legacy | modern}, // of the kind of its reference
	"logging/setLevel":                   {eras: legacy, kind: KindMethod},
	"subscriptions/listen":               {eras: modern, kind: KindMethod}, // by its entries
	"tasks/get":                          {eras: legacy | modern, kind: KindMethod, target: byTask, named: true, refused: true},
	"tasks/cancel":                       {eras: legacy | modern, kind: KindMethod, target: byTask, named: true, refused: true},
	"tasks/update":                       {eras: modern, kind: KindMethod, target: byTask, named: true, refused: true},
	"tasks/result":                       {eras: legacy, kind: KindMethod, target: byTask, refused: true},
	"tasks/list":                         {eras: legacy, kind: KindMethod, refused: true},
	"notifications/cancelled":            {eras: legacy, kind: KindMethod},
	"notifications/progress":             {eras: legacy, kind: KindMethod},
	"notifications/roots/list_changed":   {eras: legacy, kind: KindMethod},
	"notifications/elicitation/complete": {eras: legacy, kind: KindMethod},
}

// isPseudo reports whether a name stands for what has no method.
func isPseudo(method string) bool {
	return method == responseMethod || method == streamMethod || method == endMethod
}

// isNotification reports whether a method is named as notifications are: nobody
// carries anything out because of one, and it asks for nothing.
func isNotification(method string) bool { return strings.HasPrefix(method, "notifications/") }

// isMisnamed reports whether a message has the name of something else: of what has
// no method, or, asking for an answer, of a notification that nobody knows.
func isMisnamed(msg *jsonrpc.Message) bool {
	if msg.Kind == jsonrpc.Request && isNotification(msg.Method) {
		_, known := methods[msg.Method]
		return !known
	}
	return isPseudo(msg.Method)
}

// wasRemoved reports whether only revisions before 2026-07-28 have the method.
func wasRemoved(name string) bool { return methods[name].eras == legacy }

// isHandshake reports whether a method needs a valid token and nothing else,
// whatever the policy: a client that is refused here takes the server for one
// of another protocol, and asks for no consent.
func isHandshake(method string) bool {
	switch method {
	case "initialize", "notifications/initialized", "ping", responseMethod, streamMethod, endMethod:
		return true
	}
	return false
}

// isHandshake reports whether the call is the method itself and no target that
// somebody put beside its name.
func (c *Call) isHandshake() bool { return c.Kind == KindMethod && isHandshake(c.Method) }

// request is what one HTTP request asks for.
type request struct {
	era   era
	tells bool   // it is a notification, and asks for nothing
	id    []byte // raw JSON, nil when there is none to answer to
	calls []Call
	one   [1]Call // room for the usual one
	pages []page  // of lists that are to go on
}

// read turns the body into calls, after the headers that repeat parts of it
// were found to agree. The decision is made from the body alone.
func (req *request) read(h http.Header, body []byte, tagged bool) (denied *refusal.Refusal) {
	msg, err := jsonrpc.Parse(body)
	if err != nil {
		req.id, denied = refuseBody(err)
		return denied
	}
	req.id = msg.ID
	if req.era, denied = agree(h, &msg, tagged); denied != nil {
		return denied
	}
	req.tells = msg.Kind == jsonrpc.Notification && strings.HasPrefix(msg.Method, "notifications/")
	switch {
	case msg.Kind == jsonrpc.Response && req.era == modern:
		req.id = nil
		return refusal.New(refusal.InvalidRequest, "a response", "", "a request: since "+modernVersion+" clients send no responses")
	case msg.Kind == jsonrpc.Response:
		req.id, msg.Method = nil, responseMethod
	case isMisnamed(&msg):
		return unknownMethod(req.era, msg.Method)
	case req.era == modern && wasRemoved(msg.Method) && !req.tells: // whatever its params are: they may lack what it once needed
		return unknownMethod(req.era, msg.Method)
	}
	req.addPage(&msg)
	req.calls, denied = callsOf(&msg, req.one[:0])
	return denied
}

// refuseBody answers a body that cannot be read, with its id if there is no
// doubt about it.
func refuseBody(err error) (id []byte, denied *refusal.Refusal) {
	reason, e := refusal.InvalidRequest, &jsonrpc.Error{}
	if errors.As(err, &e) && e.Code == jsonrpc.CodeParse {
		reason = refusal.UnreadableBody
	}
	return e.ID, refusal.For(reason, "", err)
}

// callsOf appends the operations of a message: one, but for subscriptions.
func callsOf(msg *jsonrpc.Message, calls []Call) ([]Call, *refusal.Refusal) {
	switch msg.Method {
	case "completion/complete":
		return completionCall(msg, calls)
	case "subscriptions/listen":
		return listenCalls(msg, calls)
	}
	call := Call{Method: msg.Method, Kind: KindMethod}
	known, ok := methods[msg.Method]
	if !ok && msg.TaskID.State != jsonrpc.Absent && isTaskMethod(msg.Method) {
		known = method{kind: KindMethod, target: byTask} // whatever it is, it is done to a task, and that has an owner
	}
	if known.target != byMethod {
		target := known.target.of(msg)
		if target.State != jsonrpc.String || target.Value == "" {
			return nil, refusal.New(refusal.InvalidParams, msg.Method, "", "its target as a string in params")
		}
		call.Kind, call.Name = known.kind, target.Value
	}
	if call.Kind == KindTool || call.Kind == KindPrompt {
		call.Arguments = msg.Arguments
	}
	return append(calls, call), nil
}

// completionCall: completing an argument of a prompt or a resource template
// needs what the prompt or the template needs.
func completionCall(msg *jsonrpc.Message, calls []Call) ([]Call, *refusal.Refusal) {
	ref := &msg.Ref
	call := Call{Method: msg.Method}
	var target jsonrpc.Field
	switch {
	case ref.Present && ref.Type.Value == "ref/prompt" && ref.URI.State == jsonrpc.Absent:
		call.Kind, target = KindPrompt, ref.Name
	case ref.Present && ref.Type.Value == "ref/resource" && ref.Name.State == jsonrpc.Absent:
		call.Kind, target = KindResource, ref.URI
	}
	if target.State != jsonrpc.String || target.Value == "" {
		return nil, refusal.New(refusal.InvalidParams, msg.Method, "", "params.ref with type ref/prompt and name, or type ref/resource and uri")
	}
	call.Name = target.Value
	return append(calls, call), nil
}

// listenCalls: a subscription needs what reading each of its objects needs.
func listenCalls(msg *jsonrpc.Message, calls []Call) ([]Call, *refusal.Refusal) {
	calls = append(calls, Call{Method: msg.Method, Kind: KindMethod})
	listen := msg.Listen
	if listen == nil {
		return calls, nil
	}
	if listen.Unknown {
		return nil, refusal.New(refusal.Forbidden, "params.notifications has a member that is not understood", "",
			"toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions, taskIds")
	}
	for _, list := range []struct {
		wanted bool
		method string
	}{{listen.ToolsListChanged, "tools/list"}, {listen.PromptsListChanged, "prompts/list"}, {listen.ResourcesListChanged, "resources/list"}} {
		if list.wanted {
			calls = append(calls, Call{Method: list.method, Kind: KindMethod})
		}
	}
	for _, uri := range listen.ResourceSubscriptions {
		calls = append(calls, Call{Method: "resources/read", Kind: KindResource, Name: uri})
	}
	for _, id := range listen.TaskIDs {
		calls = append(calls, Call{Method: "tasks/get", Kind: KindMethod, Name: id})
	}
	return calls, nil
}
