// Package mcp says what each revision of MCP has, where a target stands, and which
// headers must agree with the body.
package mcp

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Era is a generation of the protocol, or a set of them.
type Era uint8

// The eras.
const (
	Legacy Era = 1 << iota // up to 2025-11-25: initialize, sessions
	Modern                 // from 2026-07-28 on: stateless, self-describing headers
)

// String returns the word for one era, "" for none.
func (e Era) String() string {
	switch e {
	case Legacy:
		return "legacy"
	case Modern:
		return "modern"
	}
	return ""
}

const (
	modernVersion = "2026-07-28" // the first revision of the modern era
	batchVersion  = "2025-03-26" // the only one with batches; a client that names no revision speaks it
)

// Kind is what a call is about, in the words of the public API.
type Kind string

// The kinds.
const (
	Tool     Kind = "tool"
	Prompt   Kind = "prompt"
	Resource Kind = "resource"
	Itself   Kind = "method" // the method itself, also one on a task
)

// What has no JSON-RPC method of its own: a client's answer to a request of
// the server, a stream of the server's own, and the end of a session.
const (
	Response   = "$response"
	Stream     = "$sse"
	endSession = "$session.delete"
)

// Methods that are more than their rule.
const (
	Listen    = "subscriptions/listen"    // begins a stream
	Cancelled = "notifications/cancelled" // gives up a request of the client's own
)

// method is what is known of a JSON-RPC method of MCP.
type method struct {
	eras    Era
	kind    Kind
	target  target
	named   bool // modern requests repeat the target in Mcp-Name
	list    bool // it asks for a list
	refused bool // has no rule unless the policy gives one
	scoped  bool // its results say in cacheScope who may keep them (2026-07-28, Caching)
}

// target says where in params a method's target stands.
type target uint8

const (
	byMethod target = iota // the method is its own target
	byName
	byURI
	byTask
)

// of returns the target of a message; of a kind that has no case here, none.
func (t target) of(m *jsonrpc.Message) jsonrpc.Field {
	switch t {
	case byName:
		return m.Name
	case byURI:
		return m.URI
	case byTask:
		return m.TaskID
	}
	return jsonrpc.Field{}
}

// methods are the methods that a client may send, of all revisions from
// 2025-03-26 to 2026-07-28. Everything else is unknown.
var methods = map[string]method{
	"initialize":                         {eras: Legacy, kind: Itself},
	"notifications/initialized":          {eras: Legacy, kind: Itself},
	"ping":                               {eras: Legacy, kind: Itself},
	Response:                             {eras: Legacy, kind: Itself},
	Stream:                               {eras: Legacy, kind: Itself},
	endSession:                           {eras: Legacy, kind: Itself},
	"server/discover":                    {eras: Modern, kind: Itself, scoped: true},
	"tools/list":                         {eras: Legacy | Modern, kind: Itself, list: true, scoped: true},
	"prompts/list":                       {eras: Legacy | Modern, kind: Itself, list: true, scoped: true},
	"resources/list":                     {eras: Legacy | Modern, kind: Itself, list: true, scoped: true},
	"resources/templates/list":           {eras: Legacy | Modern, kind: Itself, list: true, scoped: true},
	"tools/call":                         {eras: Legacy | Modern, kind: Tool, target: byName, named: true},
	"prompts/get":                        {eras: Legacy | Modern, kind: Prompt, target: byName, named: true},
	"resources/read":                     {eras: Legacy | Modern, kind: Resource, target: byURI, named: true, scoped: true},
	"resources/subscribe":                {eras: Legacy, kind: Resource, target: byURI},
	"resources/unsubscribe":              {eras: Legacy, kind: Resource, target: byURI},
	"completion/complete":                {eras: Legacy | Modern}, // of the kind of its reference
	"logging/setLevel":                   {eras: Legacy, kind: Itself},
	Listen:                               {eras: Modern, kind: Itself}, // by its entries
	"tasks/get":                          {eras: Legacy | Modern, kind: Itself, target: byTask, named: true, refused: true},
	"tasks/cancel":                       {eras: Legacy | Modern, kind: Itself, target: byTask, named: true, refused: true},
	"tasks/update":                       {eras: Modern, kind: Itself, target: byTask, named: true, refused: true},
	"tasks/result":                       {eras: Legacy, kind: Itself, target: byTask, refused: true},
	"tasks/list":                         {eras: Legacy, kind: Itself, list: true, refused: true},
	Cancelled:                            {eras: Legacy, kind: Itself},
	"notifications/progress":             {eras: Legacy, kind: Itself},
	"notifications/roots/list_changed":   {eras: Legacy, kind: Itself},
	"notifications/elicitation/complete": {eras: Legacy, kind: Itself},
}

// Names are those of the methods that are known, in order.
func Names() []string { return slices.Sorted(maps.Keys(methods)) }

// IsHandshake reports whether a method needs a valid token and nothing else,
// whatever the policy: a client that is refused here takes the server for one
// of another protocol, and asks for no consent.
func IsHandshake(method string) bool {
	switch method {
	case "initialize", "notifications/initialized", "ping", Response, Stream, endSession:
		return true
	}
	return false
}

// IsNotification reports whether a method is named as notifications are: nobody
// carries anything out because of one, and it asks for nothing.
func IsNotification(method string) bool { return strings.HasPrefix(method, "notifications/") }

// IsTask reports whether a method is one on tasks, of any revision or of none.
func IsTask(method string) bool { return strings.HasPrefix(method, "tasks/") }

// KindOf returns what calls of a method are about: "" for a completion, whose reference says it, and for
// what is not known.
func KindOf(method string) Kind { return methods[method].kind }

// IsFree reports whether a known method is its own target and needs a valid token only,
// unless the policy has a rule for it.
func IsFree(method string) bool {
	known := methods[method]
	return known.kind == Itself && !known.refused
}

// HasTargets reports whether a method is decided by what it is about, and never by a rule of its own.
func HasTargets(method string) bool {
	known, ok := methods[method]
	return ok && known.kind != Itself || method == Listen
}

// IsCacheable reports whether the results of a method say in cacheScope who may keep them; one
// that says nothing is for everybody.
func IsCacheable(method string) bool {
	return methods[method].scoped
}

// ListOf returns the list that a call asks for, "" for none. One on tasks that names none may list
// them, whatever it is called.
func ListOf(method, name string) string {
	switch {
	case methods[method].list:
		return method
	case IsTask(method) && name == "":
		return "tasks/list"
	}
	return ""
}

// CheckEra refuses a method that other revisions have.
func CheckEra(e Era, method string) *refusal.Refusal {
	if known, ok := methods[method]; ok && known.eras&e == 0 {
		return unknownMethod(e, method)
	}
	return nil
}

// CheckKnown refuses a method that no revision has.
func CheckKnown(e Era, method string) *refusal.Refusal {
	if _, known := methods[method]; !known {
		return unknownMethod(e, method)
	}
	return nil
}

// unknownMethod is 404 in the modern era. In the legacy one 404 means that
// the session is gone, and a client would begin a new one, again and again.
// To list a method of another revision in the policy would not help.
func unknownMethod(e Era, method string) *refusal.Refusal {
	reason, cause, want := refusal.Forbidden, "method-revision", "a method of the revisions up to 2025-11-25"
	if e == Modern {
		reason, want = refusal.UnknownMethod, "a method of "+modernVersion
	}
	if _, known := methods[method]; !known {
		cause, want = "method", want+", or one listed in the policy"
	}
	return refusal.New(reason, "method", method, want).Because(cause)
}
