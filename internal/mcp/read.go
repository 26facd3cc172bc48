package mcp

import (
	"errors"
	"net/http"
	"slices"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Request is what one HTTP request is, beside the calls that it makes.
type Request struct {
	Era   Era
	Tells bool   // it is a notification, and asks for nothing
	ID    []byte // raw JSON, nil when there is none to answer to
	Pages []Page // of lists that are to go on
}

// Page is the cursor of a request for more of a list.
type Page struct {
	List   string // the list method
	Cursor jsonrpc.Cursor
}

// Call is one operation.
type Call struct {
	Method    string
	Kind      Kind
	Name      string // the target; "" if it is the method itself
	Arguments []byte // of a tool or a prompt, as written
}

// Read finds out what a request asks for: from the body of a POST, after the headers that repeat
// parts of it were found to agree, and from the verb of the two others, which exist in the legacy
// era only. A header can cause a refusal and nothing else. A request for an endpoint of the HTTP+SSE
// transport is tagged. The calls are appended to room, which costs no memory where that is enough, and
// neither do the names that are known; a refusal may come with those in front of what it is about.
func Read(r *http.Request, body []byte, tagged bool, names jsonrpc.Names, room []Call) (req Request, calls []Call, denied *refusal.Refusal) {
	switch {
	case r.Method == http.MethodGet:
		req.Era, calls = Legacy, append(room, Call{Method: Stream, Kind: Itself})
		_, denied = Version(r.Header)
	case r.Method == http.MethodDelete:
		req.Era, calls = Legacy, append(room, Call{Method: endSession, Kind: Itself})
		_, denied = Version(r.Header)
	case jsonrpc.IsBatch(body):
		calls, denied = req.readBatch(r.Header, body, room)
	default:
		calls, denied = req.readMessage(r.Header, body, tagged, names, room)
	}
	return req, calls, denied
}

// readMessage reads a body of one message.
func (req *Request) readMessage(h http.Header, body []byte, tagged bool, names jsonrpc.Names, room []Call) (calls []Call, denied *refusal.Refusal) {
	msg, err := names.Parse(body)
	if err != nil {
		return nil, req.refuseBody(err)
	}
	req.ID = msg.ID
	known := methods[msg.Method] // looked up once: of no era if it is none
	if req.Era, denied = agree(h, &msg, known, tagged); denied != nil {
		return nil, denied
	}
	req.Tells = msg.Kind == jsonrpc.Notification && IsNotification(msg.Method)
	switch {
	case msg.Kind == jsonrpc.Response && req.Era == Modern:
		req.ID = nil
		return nil, refusal.New(refusal.InvalidRequest, "a response", "", "a request: since "+modernVersion+" clients send no responses")
	case msg.Kind == jsonrpc.Response:
		req.ID, msg.Method = nil, Response
	case isMisnamed(&msg):
		return nil, unknownMethod(req.Era, msg.Method)
	case req.Era == Modern && known.eras == Legacy && !req.Tells: // whatever its params are: they may lack what it once needed
		return nil, unknownMethod(req.Era, msg.Method)
	}
	req.addPage(&msg)
	return appendCalls(room, &msg, known)
}

// readBatch reads a JSON-RPC batch. Its elements are calls of one request: all
// of them are allowed, or none is made, and one challenge is for all.
func (req *Request) readBatch(h http.Header, body []byte, room []Call) (calls []Call, denied *refusal.Refusal) {
	req.Era = Legacy
	if denied := checkRepeated(h["Mcp-Method"], h["Mcp-Name"]); denied != nil {
		return nil, denied
	}
	version, denied := Version(h)
	if denied != nil {
		return nil, denied
	}
	if len(h["Mcp-Protocol-Version"]) > 0 && version != batchVersion {
		return nil, refusal.New(refusal.InvalidRequest, "a batch", "", "one message: only revision "+batchVersion+" has batches")
	}
	messages, err := jsonrpc.ParseBatch(body)
	if err != nil {
		return nil, req.refuseBody(err)
	}
	calls = slices.Grow(room, len(messages))
	for i := range messages {
		msg := &messages[i]
		switch {
		case msg.Method == "initialize":
			return calls, refusal.New(refusal.InvalidRequest, "initialize in a batch", "", "initialize alone")
		case msg.Version.State != jsonrpc.Absent:
			return calls, refusal.New(refusal.InvalidRequest, "a message of "+modernVersion+" in a batch", "", "one message")
		}
		if isMisnamed(msg) {
			return calls, unknownMethod(Legacy, msg.Method)
		}
		if msg.Kind == jsonrpc.Response {
			msg.Method = Response
		}
		req.addPage(msg)
		if calls, denied = appendCalls(calls, msg, methods[msg.Method]); denied != nil {
			return nil, denied
		}
	}
	return calls, nil
}

// refuseBody answers a body that cannot be read, with its id if there is no
// doubt about it.
func (req *Request) refuseBody(err error) *refusal.Refusal {
	reason, e := refusal.InvalidRequest, &jsonrpc.Error{}
	if errors.As(err, &e) && e.Code == jsonrpc.CodeParse {
		reason = refusal.UnreadableBody
	}
	req.ID = e.ID
	return refusal.For(reason, "", err)
}

// isMisnamed reports whether a message has the name of something else: of what has
// no method, or, asking for an answer, of a notification that nobody knows.
func isMisnamed(msg *jsonrpc.Message) bool {
	if msg.Kind == jsonrpc.Request && IsNotification(msg.Method) {
		_, known := methods[msg.Method]
		return !known
	}
	return msg.Method == Response || msg.Method == Stream || msg.Method == endSession
}

// addPage notes the cursor of a message. An empty one is none.
func (req *Request) addPage(msg *jsonrpc.Message) {
	c := &msg.Cursor
	if c.State == jsonrpc.Absent || c.State == jsonrpc.String && len(c.Value) == 0 {
		return
	}
	if list := ListOf(msg.Method, msg.TaskID.Value); list != "" {
		req.Pages = append(req.Pages, Page{list, *c})
	}
}

// appendCalls appends the operations of a message: one, but for subscriptions.
func appendCalls(calls []Call, msg *jsonrpc.Message, known method) ([]Call, *refusal.Refusal) {
	switch msg.Method {
	case "completion/complete":
		return completionCall(calls, msg)
	case Listen:
		return listenCalls(calls, msg)
	}
	call := Call{Method: msg.Method, Kind: Itself}
	if known.eras == 0 && msg.TaskID.State != jsonrpc.Absent && IsTask(msg.Method) {
		known = method{kind: Itself, target: byTask} // whatever it is, it is done to a task, and that has an owner
	}
	if known.target != byMethod {
		target := known.target.of(msg)
		if target.State != jsonrpc.String || target.Value == "" {
			return nil, refusal.New(refusal.InvalidParams, msg.Method, "", "its target as a string in params")
		}
		call.Kind, call.Name = known.kind, target.Value
	}
	if call.Kind == Tool || call.Kind == Prompt {
		call.Arguments = msg.Arguments
	}
	return append(calls, call), nil
}

// completionCall: completing an argument of a prompt or a resource template
// needs what the prompt or the template needs.
func completionCall(calls []Call, msg *jsonrpc.Message) ([]Call, *refusal.Refusal) {
	ref := &msg.Ref
	call := Call{Method: msg.Method}
	var target jsonrpc.Field
	switch {
	case ref.Present && ref.Type.Value == "ref/prompt" && ref.URI.State == jsonrpc.Absent:
		call.Kind, target = Prompt, ref.Name
	case ref.Present && ref.Type.Value == "ref/resource" && ref.Name.State == jsonrpc.Absent:
		call.Kind, target = Resource, ref.URI
	}
	if target.State != jsonrpc.String || target.Value == "" {
		return nil, refusal.New(refusal.InvalidParams, msg.Method, "", "params.ref with type ref/prompt and name, or type ref/resource and uri")
	}
	call.Name = target.Value
	return append(calls, call), nil
}

// listenCalls: a subscription needs what reading each of its objects needs.
func listenCalls(calls []Call, msg *jsonrpc.Message) ([]Call, *refusal.Refusal) {
	calls = append(calls, Call{Method: msg.Method, Kind: Itself})
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
			calls = append(calls, Call{Method: list.method, Kind: Itself})
		}
	}
	calls = slices.Grow(calls, len(listen.ResourceSubscriptions)+len(listen.TaskIDs))
	for _, uri := range listen.ResourceSubscriptions {
		calls = append(calls, Call{Method: "resources/read", Kind: Resource, Name: uri})
	}
	for _, id := range listen.TaskIDs {
		calls = append(calls, Call{Method: "tasks/get", Kind: Itself, Name: id})
	}
	return calls, nil
}
