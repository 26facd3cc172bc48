package mcpauth

import (
	"bytes"
	"container/list"
	"strings"
	"sync"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// Bounds of what is remembered of tasks: the ones not used for longest are
// forgotten first, and a forgotten task belongs to nobody.
const (
	maxTasks         = 100_000
	maxTaskID        = 512      // bytes; no request can name a longer one
	maxTaskArguments = 64 << 10 // bytes, of the call that began it
	maxTaskMemory    = 64 << 20 // bytes, of all such arguments
	maxTaskResult    = 64 << 10 // bytes; a longer result names no task
)

// tasks remembers who began which task with which call. A task id cannot carry a MAC
// as a session id does: it stands in bodies, which are passed on byte by byte.
type tasks struct {
	mu     sync.Mutex
	byID   map[string]*list.Element
	recent list.List // of *task, the latest first
	held   int       // bytes of arguments
}

type task struct {
	id    string
	owner string // Principal.Key
	call  Call   // that began it
}

// begin remembers a task. An id that is known keeps its owner. A call with more
// arguments than we can keep begins a task that nobody can use: without them, a
// policy that looks at arguments could later ask for less than it did.
func (t *tasks) begin(id string, p *Principal, call Call) {
	if len(id) > maxTaskID || len(call.Arguments) > maxTaskArguments {
		return
	}
	call.Arguments = bytes.Clone(call.Arguments)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[id] != nil {
		return
	}
	t.byID[id] = t.recent.PushFront(&task{id: id, owner: p.Key(), call: call})
	t.held += len(call.Arguments)
	for t.recent.Len() > maxTasks || t.held > maxTaskMemory {
		oldest := t.recent.Remove(t.recent.Back()).(*task)
		delete(t.byID, oldest.id)
		t.held -= len(oldest.call.Arguments)
	}
}

// of returns the call that began a task of the principal's.
func (t *tasks) of(id string, p *Principal) (Call, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := t.byID[id]
	if found == nil || found.Value.(*task).owner != p.Key() {
		return Call{}, false
	}
	t.recent.MoveToFront(found)
	return found.Value.(*task).call, true
}

// addTaskCalls adds to the calls of a request those that began the tasks which
// it names. The refusal is for after the policy has said yes.
func (m *Middleware) addTaskCalls(x *exchange) (notOwn *DeniedError) {
	x.calls, notOwn = m.withTaskCalls(x.calls, x.principal)
	return notOwn
}

// withTaskCalls lets a principal use only the tasks that it began here, and
// only while it may make the calls that began them: these are added to the
// calls on tasks. The refusal is the same for somebody else's task and for one
// that never was. Requests, lists and notifications are all decided by it.
func (m *Middleware) withTaskCalls(calls []Call, p *Principal) (all []Call, notOwn *DeniedError) {
	all = calls
	if !m.bindsTasks {
		return all, nil
	}
	for _, call := range calls {
		if !isTaskMethod(call.Method) || call.Name == "" {
			continue
		}
		began, ok := m.tasks.of(call.Name, p)
		if !ok {
			notOwn = deny(errUnknownTask, "taskId", call.Name, "a task that this principal began here")
			continue
		}
		all = append(all, began)
	}
	return all, notOwn
}

// isTaskMethod reports whether a method is one on tasks, of any revision or of none.
func isTaskMethod(method string) bool { return strings.HasPrefix(method, "tasks/") }

// beginsTask looks at the result of a call for a task that it began: in the
// member task (2025-11-25), or in the result itself (tasks extension).
func beginsTask(member string, raw []byte) (id string, ok bool) {
	switch member {
	case "task":
		raw = lookup(raw, []string{"taskId"})
	case "taskId":
	default:
		return "", false
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	r := strictjson.NewReader(raw, claimLimits)
	s, err := r.String()
	return string(s), err == nil && len(s) > 0
}
