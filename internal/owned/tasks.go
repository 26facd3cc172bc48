package owned

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-1e292522/mcpauth/internal/shared"
)

// Bounds of what is remembered of tasks. A client that begins more for its principal than
// its share loses its own, the longest unused first; when all together are too many,
// the one who holds most does. A forgotten task belongs to nobody.
const (
	maxOwnTasks         = 1000    // of one principal and client
	maxPrincipalTasks   = 4000    // of one principal, in a store
	maxOwnTaskArguments = 4 << 20 // bytes, of the calls that began them
	maxTaskMemory       = 64 << 20
	maxOwedMemory       = 16 << 20                // of the calls whose answer has not come
	taskOverhead        = maxTaskMemory / 100_000 // bytes of a task beside its arguments; measured: 275, and 463 with an owner of its own

	maxTaskID        = 512      // bytes; no request can name a longer one
	maxTaskArguments = 64 << 10 // bytes, of the call that began it
)

// Why a task that begins is nobody's.
var (
	ErrLongID        = errors.New("the id of the task is longer than 512 bytes")
	ErrLongArguments = errors.New("the call that began it has arguments of more than 64 KiB, and the policy may look at them")
	ErrOthersTask    = errors.New("its id is that of a task that another principal or another call began, and belongs to neither from now on; or there is no room for it")
)

// Begun is how a task was begun, or will be: by which call, with which arguments, and under which alias if in no session.
type Begun[C comparable] struct {
	Call      C
	Arguments []byte
	Alias     string
}

// Tasks remembers who began which task with which call, and which calls have not had the answer in which
// one may begin. A task id cannot carry a MAC as a session id does: it stands in bodies, which
// are passed on byte by byte. It is safe for concurrent use.
type Tasks[C comparable] struct {
	begun  *Store[Begun[C]]
	common common[C] // if it has a space: what all replicas know

	late *Store[lateTask[C]] // that the store has not taken

	mu   sync.Mutex // for two steps in owed
	owed *Store[owedAnswer[C]]
}

// lateTask is a task that waits for the store, and who has begun it.
type lateTask[C comparable] struct {
	Begun[C]
	by Caller
}

// owedAnswer is a call whose answer may come on a later stream of its session, or several by one name,
// of which nobody can say which is answered.
type owedAnswer[C comparable] struct {
	Begun[C]
	several bool
}

// NewTasks returns tasks that this process remembers, or, with a space, all that share that.
func NewTasks[C comparable](space *shared.Space) *Tasks[C] {
	limits := Limits{Overhead: taskOverhead, Entries: maxOwnTasks, Size: maxOwnTaskArguments, All: maxTaskMemory}
	t := &Tasks[C]{begun: New[Begun[C]](limits), late: New[lateTask[C]](limits), common: common[C]{space}}
	limits.All = maxOwedMemory
	t.owed = New[owedAnswer[C]](limits)
	return t
}

// Begin remembers a task, and reports why it cannot. An id that another principal or another call has begun is
// nobody's: the handler may have begun to count anew, and which task it is by now cannot be known. A call with more
// arguments than we can keep begins a task that nobody can use: without them, a
// policy that looks at arguments could later ask for less than it did.
func (t *Tasks[C]) Begin(ctx context.Context, c Caller, id string, began Begun[C]) error {
	switch {
	case len(id) > maxTaskID:
		return ErrLongID
	case len(began.Arguments) > maxTaskArguments:
		return ErrLongArguments
	}
	if t.IsCommon() {
		return t.beginInCommon(ctx, c, id, began)
	}
	began.Arguments = bytes.Clone(began.Arguments)
	t.begun.Add(c.PrincipalKey(), c.Key(), id, began, len(began.Arguments))
	first, ok := t.begun.Get(c.PrincipalKey(), id)
	if ok && first.isThe(began) {
		return nil
	}
	t.begun.Disown(c.PrincipalKey(), id)
	return ErrOthersTask
}

// beginInCommon is Begin where there is a store. A task that it does not take waits here until it is used: its owner has its id
// by then.
func (t *Tasks[C]) beginInCommon(ctx context.Context, c Caller, id string, began Begun[C]) error {
	err := t.common.begin(ctx, c, id, began)
	if err == nil || errors.Is(err, ErrOthersTask) {
		return err
	}
	began.Arguments = bytes.Clone(began.Arguments)
	t.late.Add(c.PrincipalKey(), c.Key(), id, lateTask[C]{began, c}, len(began.Arguments))
	if first, ok := t.late.Get(c.PrincipalKey(), id); !ok || !first.isThe(began) {
		t.late.Disown(c.PrincipalKey(), id)
		return ErrOthersTask
	}
	return fmt.Errorf("%w: %w", ErrLate, err)
}

// IsCommon reports whether replicas remember tasks together.
func (t *Tasks[C]) IsCommon() bool { return t.common.space != nil }

// Of returns how a task of the principal's was begun, by whichever client. The error says that nobody knows.
func (t *Tasks[C]) Of(ctx context.Context, c Caller, id string) (began Begun[C], own bool, err error) {
	if !t.IsCommon() {
		began, own = t.begun.Get(c.PrincipalKey(), id)
		return began, own, nil
	}
	if len(id) > maxTaskID {
		return began, false, nil
	}
	if late, is := t.late.Get(c.PrincipalKey(), id); is {
		if err := t.common.begin(ctx, late.by, id, late.Begun); err != nil && !errors.Is(err, ErrOthersTask) {
			return began, false, err
		}
		t.late.Take(c.PrincipalKey(), id)
	}
	return t.common.of(ctx, c, id)
}

// Await remembers a call until its answer is heard, by the name of that.
func (t *Tasks[C]) Await(c Caller, answer string, call Begun[C]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, known := t.owed.Take(c.PrincipalKey(), answer)
	if len(call.Arguments) > maxTaskArguments || known && (old.several || !old.isThe(call)) {
		t.owed.Add(c.PrincipalKey(), c.Key(), answer, owedAnswer[C]{several: true}, 0)
		return
	}
	call.Arguments = bytes.Clone(call.Arguments)
	t.owed.Add(c.PrincipalKey(), c.Key(), answer, owedAnswer[C]{Begun: call}, len(call.Arguments))
}

// Answered returns the call that awaits the answer, if that is one and known. It awaits it no more.
func (t *Tasks[C]) Answered(c Caller, answer string) (call Begun[C], known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	owed, known := t.owed.Take(c.PrincipalKey(), answer)
	return owed.Begun, known && !owed.several
}

// isThe reports whether two calls are one that was sent twice, each time under whatever alias.
func (b Begun[C]) isThe(other Begun[C]) bool {
	return b.Call == other.Call && bytes.Equal(b.Arguments, other.Arguments)
}
