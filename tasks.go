package mcpauth

import (
	"bytes"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/overhear"
	"github.com/seed-1e292522/mcpauth/internal/owned"
)

// Bounds of what is remembered of tasks. A client that begins more for its principal than
// its share loses its own, the longest unused first; when all together are too many,
// the one who holds most does. A forgotten task belongs to nobody.
const (
	maxOwnTasks         = 1000    // of one principal and client
	maxOwnTaskArguments = 4 << 20 // bytes, of the calls that began them
	maxTaskMemory       = 64 << 20
	maxOwedMemory       = 16 << 20                // of the calls whose answer has not come
	taskOverhead        = maxTaskMemory / 100_000 // bytes of a task beside its arguments; measured: 275, and 463 with an owner of its own

	maxTaskID        = 512      // bytes; no request can name a longer one
	maxTaskArguments = 64 << 10 // bytes, of the call that began it
)

// tasks remembers who began which task with which call. A task id cannot carry a MAC
// as a session id does: it stands in bodies, which are passed on byte by byte.
type tasks struct {
	known *owned.Store[begunTask]
	owed  *owedAnswers
}

// begunTask is how a task was begun: by which call, and under which alias if
// that had no session.
type begunTask struct {
	call  Call
	alias string
}

func newTasks() tasks {
	known := owned.New[begunTask](owned.Limits{
		Overhead: taskOverhead, Entries: maxOwnTasks, Size: maxOwnTaskArguments, All: maxTaskMemory,
	})
	return tasks{known: known, owed: newOwedAnswers()}
}

// begin remembers a task, and reports why it cannot. An id that another principal has begun is
// nobody's: the handler may have begun to count anew, and whose task it is by now cannot be known. A call with more
// arguments than we can keep begins a task that nobody can use: without them, a
// policy that looks at arguments could later ask for less than it did.
func (t tasks) begin(id string, p *Principal, call Call, alias string) error {
	switch {
	case len(id) > maxTaskID:
		return overhear.ErrLongID
	case len(call.Arguments) > maxTaskArguments:
		return errLongArguments
	}
	call.Arguments = bytes.Clone(call.Arguments)
	t.known.Add(p.Key(), callerKey(p), id, begunTask{call, alias}, len(call.Arguments))
	if _, ok := t.of(id, p); !ok {
		return errOthersTask
	}
	return nil
}

// of returns how a task of the principal's was begun.
func (t tasks) of(id string, p *Principal) (begunTask, bool) { return t.known.Get(p.Key(), id) }

// addTaskCalls adds to the calls of a request those that began the tasks which
// it names. The refusal is for after the policy has said yes.
func (m *Middleware) addTaskCalls(x *exchange) (notOwn *refusal.Refusal) {
	x.calls, notOwn = m.withTaskCalls(x.calls, x.principal)
	return notOwn
}

// withTaskCalls lets a principal use only the tasks that it began here, and
// only while it may make the calls that began them: these are added to the
// calls on tasks. The refusal is the same for somebody else's task and for one
// that never was. Requests, lists and notifications are all decided by it.
func (m *Middleware) withTaskCalls(calls []Call, p *Principal) (all []Call, notOwn *refusal.Refusal) {
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
			notOwn = refusal.New(refusal.UnknownTask, "taskId", call.Name, "a task that this principal began here")
			continue
		}
		all = append(all, began.call)
	}
	return all, notOwn
}

// isTaskMethod reports whether a method is one on tasks, of any revision or of none.
func isTaskMethod(method string) bool { return strings.HasPrefix(method, "tasks/") }
