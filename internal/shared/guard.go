package shared

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what a store may cost.
const (
	callTimeout = 250 * time.Millisecond // of one call, whatever the store does
	maxLeft     = 64                     // calls that were left behind and have not returned; beyond that one failure is enough
	maxFailures = 5                      // in a row; then the store is not asked
	firstPause  = time.Second            // for so long; and twice as long after each probe that fails
	maxPause    = 30 * time.Second
)

// ErrDown is the error of a store that is not asked because it has not answered lately.
var ErrDown = errors.New("the store has not answered lately, and is asked again in a while")

var (
	errSlow  = errors.New("the store does not answer")
	errEnded = errors.New("the store has ended its goroutine")
)

// Guard asks a store, and waits for none of its calls longer than a quarter of a second. After five
// failures in a row it asks no more, but for one probe at a time: whoever comes meanwhile has an error at once. It is
// safe for concurrent use.
type Guard struct {
	store Store
	tell  func(err error) // nil: it answers again

	mu       sync.Mutex
	left     int // calls left behind
	failures int // in a row; those of calls that were under way together are one
	noted    int // failures, ever
	pause    time.Duration
	until    time.Time // when the next probe may go
	probing  bool
}

// NewGuard guards a store. tell is told why it is not asked any more, and, with nil, that it answers again.
func NewGuard(store Store, tell func(err error)) *Guard { return &Guard{store: store, tell: tell} }

// answer is what any call returns.
type answer struct {
	value []byte
	total int64
	ok    bool
	err   error
}

// outcome is what one call tells of the store.
type outcome int

const (
	unknown outcome = iota // who asked has gone
	good
	bad
)

// ask makes a call, and leaves it behind when its time is over.
func (g *Guard) ask(ctx context.Context, call func(context.Context) answer) answer {
	if ctx.Err() != nil {
		return answer{err: context.Cause(ctx)}
	}
	turn, ok := g.enter()
	if !ok {
		return answer{err: ErrDown}
	}
	inner, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errEnded}
		defer func() {
			if r := recover(); r != nil {
				a = answer{err: fmt.Errorf("the store has panicked with a %T", r)}
			}
			done <- a
		}()
		a = call(inner)
	}()
	select {
	case a := <-done:
		g.leave(turn, judged(ctx, a.err), a.err)
		return a
	case <-inner.Done():
	}
	g.abandon(done)
	if ctx.Err() != nil {
		g.leave(turn, unknown, nil)
		return answer{err: context.Cause(ctx)}
	}
	g.leave(turn, bad, errSlow)
	return answer{err: errSlow}
}

// judged is what an error says of the store: of one who has gone meanwhile, nothing.
func judged(ctx context.Context, err error) outcome {
	switch {
	case err == nil:
		return good
	case ctx.Err() != nil:
		return unknown
	}
	return bad
}

// enter reports whether the store may be asked, and whether that is a probe.
func (g *Guard) enter() (t turn, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.noted = g.noted
	switch {
	case g.failures < maxFailures:
		return t, true
	case g.probing || time.Now().Before(g.until):
		return t, false
	}
	g.probing, t.probe = true, true
	return t, true
}

// turn is one call.
type turn struct {
	probe bool
	noted int // failures, ever, when it began
}

// leave takes note of what a call has shown.
func (g *Guard) leave(t turn, o outcome, err error) {
	if told, is := g.note(t, o, err); is {
		g.tell(told)
	}
}

func (g *Guard) note(t turn, o outcome, err error) (told error, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.probe {
		g.probing = false
	}
	switch wasDown := g.failures >= maxFailures; {
	case o == unknown, wasDown && !t.probe: // it was under way before
		return nil, false
	case o == good:
		g.failures, g.pause = 0, 0
		return nil, wasDown
	case t.probe:
		g.pause = min(2*g.pause, maxPause)
	case t.noted < g.noted && g.left < maxLeft: // what failed is what has failed another one meanwhile: one request may make many
		return nil, false
	default:
		g.noted++
		if g.failures++; g.failures < maxFailures && g.left < maxLeft {
			return nil, false
		}
		g.failures, g.pause = maxFailures, firstPause
	}
	g.until = time.Now().Add(g.pause)
	return err, !t.probe
}

// abandon counts a call that was left behind, until it returns.
func (g *Guard) abandon(done <-chan answer) {
	g.mu.Lock()
	g.left++
	g.mu.Unlock()
	go func() {
		<-done
		g.mu.Lock()
		g.left--
		g.mu.Unlock()
	}()
}
