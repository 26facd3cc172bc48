// Package jsonrpc reads the body of an MCP request: which method it calls, on
// what. It refuses every body that two honest JSON readers could read
// differently, because the handler behind it has a reader of its own.
package jsonrpc

import "github.com/seed-1e292522/mcpauth/internal/strictjson"

// Kind is what a message is, by the members it has (JSON-RPC 2.0 sections 4
// and 5).
type Kind uint8

// The kinds of messages.
const (
	Request      Kind = iota // method and id
	Notification             // method, no id
	Response                 // id and either result or error, no method; an error may lack its id
)

// FieldState says whether a member was there.
type FieldState uint8

// The states of a [Field].
const (
	Absent FieldState = iota
	String            // a string
	Other             // a value that is not a string; of Name, URI and TaskID null too, elsewhere null is Absent
)

// Field is a member that names something when it is a string.
type Field struct {
	Value string
	State FieldState
}

// Message is one JSON-RPC message. Byte slices alias the body.
type Message struct {
	Kind      Kind
	ID        []byte // as written: a JSON string or integer; nil when absent
	Method    string // empty in a response
	HasParams bool
	HasMeta   bool // params._meta is there

	// Name, URI and TaskID are params.name, params.uri and params.taskId.
	Name, URI, TaskID Field
	Arguments         []byte  // params.arguments as written, an object; nil when absent or null
	Ref               Ref     // params.ref of completion/complete
	Listen            *Listen // params.notifications of subscriptions/listen; nil when absent
	Version           Field   // params._meta["io.modelcontextprotocol/protocolVersion"]
	Cursor            Cursor  // params.cursor
}

// Cursor says where a list goes on. Null is Absent.
type Cursor struct {
	Value    []byte // decoded, of a string
	State    FieldState
	From, To int // where it stands in the body
}

// Ref is what a completion is asked for. A ref that is not an object is
// Present with all fields Absent.
type Ref struct {
	Present         bool
	Type, Name, URI Field
}

// Listen is what a subscription asks for.
type Listen struct {
	ToolsListChanged      bool
	PromptsListChanged    bool
	ResourcesListChanged  bool
	ResourceSubscriptions []string // resource URIs
	TaskIDs               []string
	// Unknown says that something else is asked for too: a member not listed
	// here, or a value that is not an object.
	Unknown bool
}

// bodyLimits bounds the whole text: arguments may carry data, and each member
// costs a little memory to find duplicates by. Lone surrogates are refused in
// arguments too: rules may depend on arguments, and where some readers keep a
// lone surrogate, others see U+FFFD.
var bodyLimits = strictjson.Limits{Depth: strictjson.MaxDepth, Members: maxMembers, StrictStrings: true}

// maxMembers bounds the members of a body, and maxKnown the members of the envelope, params, _meta, ref and
// notifications together.
const (
	maxMembers = 100_000
	maxKnown   = 10_000
)

// Limits of a message.
const (
	maxMethod  = 256     // bytes
	maxName    = 512     // bytes; also of a task id, a version and a ref's type
	maxURI     = 8 << 10 // bytes
	maxID      = 256     // bytes of a string id, decoded
	maxEntries = 1000    // of each list in params.notifications
	// maxIntegerID is the largest magnitude below which every reader that
	// keeps numbers as float64 still tells integers apart (RFC 7493 section
	// 2.2).
	maxIntegerID     = 1<<53 - 1
	maxIntegerDigits = 16
)
