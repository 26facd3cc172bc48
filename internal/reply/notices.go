package reply

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// What a stream tells of may be for some only: notifications that name a resource or a task. They are
// judged here, on every stream and in the event stream of every answer, by the method
// as a reader decodes it. All others name nothing that has a rule: that a list has changed, how
// far one's own request has come, and what a server's log says, which is the server's own words.

// notice is a notification about something that not everybody may know of.
type notice struct {
	method string
	naming string // member of params that says what it is about
	use    string // method that its receiver must be allowed to call on that
}

var notices = []notice{
	{"notifications/resources/updated", "uri", "resources/read"},
	{"notifications/tasks", "taskId", "tasks/get"},
	{"notifications/tasks/status", "taskId", "tasks/get"},
}

// hear takes out of a message, or out of a batch, the notifications that are not for this
// receiver. Nothing may be left: nil. Some readers find a notification behind a byte order mark, behind another JSON
// text, or in an array in a batch: what has one there that is not for this caller is left out as a whole.
func (f *Filter) hear(data []byte) ([]byte, error) {
	text := bytes.TrimPrefix(data, byteOrderMark)
	start := skipJSONSpace(text, 0)
	if start == len(text) || text[start] != '[' || skipJSONSpace(text, max(skipJSONValue(text, start), 0)) < len(text) {
		may, err := f.mayHearAll(text)
		if f.dropped = !may; err != nil || !may {
			return nil, err
		}
		return data, nil
	}
	var kept [][]byte
	f.dropped = false
	for element := range jsonElements(text) {
		may, err := f.mayHearAll(element)
		if err != nil {
			return nil, err
		}
		if f.dropped = f.dropped || !may; may {
			kept = append(kept, element)
		}
	}
	switch {
	case !f.dropped:
		return data, nil
	case len(kept) == 0:
		return nil, nil // an empty batch is none
	}
	return slices.Concat([]byte{'['}, bytes.Join(kept, []byte{','}), []byte{']'}), nil
}

// mayHearAll reports whether the caller may hear all messages in a text, wherever they stand: it looks at each
// object that is not in another one.
func (f *Filter) mayHearAll(text []byte) (bool, error) {
	for i := 0; i < len(text); {
		switch text[i] {
		case '{':
			if may, err := f.mayHear(text[i:]); err != nil || !may {
				return false, err
			}
		case '"':
		default:
			i++
			continue
		}
		if i = skipJSONValue(text, i); i < 0 {
			return true, nil // cut off
		}
	}
	return true, nil
}

// mayHear reports whether the caller may hear a message. Since it subscribed, the policy
// may have changed.
func (f *Filter) mayHear(message []byte) (bool, error) {
	e := readEnvelope(message)
	for _, n := range notices {
		if !slices.Contains(e.methods, n.method) {
			continue
		}
		if may, err := f.asks(n.use, e.names(n.naming)); err != nil || !may {
			return false, err
		}
	}
	if !f.Replays || !mayRelate(message) {
		return true, nil
	}
	for _, id := range e.related() {
		if may, err := f.asks("tasks/get", id); err != nil || !may {
			return false, err
		}
	}
	return true, nil
}

// asks asks the receiver for as long as the request goes on.
func (f *Filter) asks(method, name string) (bool, error) {
	if err := f.goesOn(); err != nil {
		return false, err
	}
	return f.Receiver.Hears(method, name), f.goesOn()
}

// envelope is what a message says to any reader, also to one that ignores case or
// takes the first of two members.
type envelope struct {
	methods  []string
	params   [][]byte
	results  [][]byte
	isAnswer bool // it has a result or an error
}

func readEnvelope(message []byte) (e envelope) {
	for name, value := range jsonMembers(message) {
		switch {
		case strings.EqualFold(name, "method"):
			e.methods = append(e.methods, jsonText(value))
		case strings.EqualFold(name, "params"):
			e.params = append(e.params, value)
		case name == "result" || name == "error":
			e.isAnswer, e.results = true, append(e.results, value)
		}
	}
	return e
}

// names returns what params names, if there is no doubt about it; "" otherwise.
func (e *envelope) names(member string) string {
	if len(e.params) != 1 {
		return ""
	}
	return nameIn(e.params[0], member)
}

func nameIn(object []byte, member string) (text string) {
	found := 0
	for value := range membersNamed(object, member) {
		found++
		text = jsonText(value)
	}
	if found != 1 {
		return ""
	}
	return text
}

func mayName(object []byte, member string) bool {
	for range membersNamed(object, member) {
		return true
	}
	return false
}

// relatedTask is the member of _meta by which any message, a question to the client or a task's own
// result, may say which task it is about (2025-11-25, tasks, related task metadata).
const relatedTask = "io.modelcontextprotocol/related-task"

// related returns the tasks that a message says to be about.
func (e *envelope) related() (ids []string) {
	for _, object := range slices.Concat(e.params, e.results) {
		for meta := range membersNamed(object, "_meta") {
			for task := range membersNamed(meta, relatedTask) {
				if mayName(task, "taskId") {
					ids = append(ids, nameIn(task, "taskId"))
				}
			}
		}
	}
	return ids
}

// mayRelate is a quick look for relatedTask, whose case readers ignore. The piece that is looked for has no letter to which
// one outside of ASCII folds, and behind an escape anything may stand.
func mayRelate(text []byte) bool {
	return bytes.Contains(bytes.ToLower(text), []byte("/related-ta")) || bytes.IndexByte(text, '\\') >= 0
}

// membersNamed yields the members that some reader takes for the one of that name.
func membersNamed(object []byte, member string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for name, value := range jsonMembers(object) {
			if strings.EqualFold(name, member) && !yield(value) {
				return
			}
		}
	}
}

// isFree reports whether a message that has begun so is none that is judged: it may
// pass before its end is known.
func isFree(beginning []byte) bool {
	beginning = bytes.TrimPrefix(beginning, byteOrderMark)
	start := skipJSONSpace(beginning, 0)
	switch {
	case start == len(beginning) || beginning[start] == '[':
		return false
	case beginning[start] != '{':
		return bytes.IndexByte(beginning, '{') < 0 // no message so far
	case skipJSONValue(beginning, start) >= 0:
		return false // it is complete, and something comes behind it
	}
	e := readEnvelope(beginning)
	return e.isAnswer && len(e.methods) == 0 || len(e.methods) > 0 && e.methods[0] != "" &&
		!slices.ContainsFunc(notices, func(n notice) bool { return slices.Contains(e.methods, n.method) })
}
