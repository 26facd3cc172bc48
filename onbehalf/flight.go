package onbehalf

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// flightTimeout bounds one exchange, whatever the transport does.
const flightTimeout = 5 * time.Second

// flights are the exchanges under way: one for each key.
type flights struct {
	mu    sync.Mutex
	byKey map[key]*flight
}

// flightPlan is what an exchange needs.
type flightPlan struct {
	from   inbound
	target *target
	at     place
	begun  time.Time
}

// flight is one exchange. It belongs to all who wait for it, and to nobody else: its context is none of theirs.
type flight struct {
	waiting int // under flights.mu
	cancel  context.CancelFunc
	done    chan struct{}
	token   *oauth2.Token // what follows may be read when it is done
	err     *Error
}

// fly joins the exchange under way or begins one, and waits for it as long as ctx allows.
func (e *Exchanger) fly(ctx context.Context, plan flightPlan) (*oauth2.Token, *Error) {
	f := e.join(plan)
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		e.leave(f, plan.from.key)
		return nil, &Error{Target: plan.target.name, Kind: Over, cause: context.Cause(ctx)}
	}
}

func (e *Exchanger) join(plan flightPlan) *flight {
	e.flights.mu.Lock()
	defer e.flights.mu.Unlock()
	if f := e.flights.byKey[plan.from.key]; f != nil {
		f.waiting++
		return f
	}
	if e.flights.byKey == nil {
		e.flights.byKey = map[key]*flight{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), flightTimeout)
	plan.begun = time.Now()
	f := &flight{waiting: 1, cancel: cancel, done: make(chan struct{})}
	e.flights.byKey[plan.from.key] = f
	context.AfterFunc(ctx, func() { // the transport need not come back
		e.land(f, plan, &answer{failed: errLate, outage: true})
	})
	go func() { e.land(f, plan, e.exchange(ctx, plan)) }()
	return f
}

var errLate = errors.New("no answer in time")

// leave gives up a flight with its last waiter. Nobody can join it then.
func (e *Exchanger) leave(f *flight, k key) {
	e.flights.mu.Lock()
	defer e.flights.mu.Unlock()
	if f.waiting--; f.waiting == 0 && e.flights.byKey[k] == f {
		delete(e.flights.byKey, k)
		f.cancel()
	}
}

// land ends a flight, once, and remembers what it has brought before anybody can begin another. Whoever
// comes after a failed one tries for himself.
func (e *Exchanger) land(f *flight, plan flightPlan, a *answer) {
	e.flights.mu.Lock()
	if e.flights.byKey[plan.from.key] != f {
		e.flights.mu.Unlock()
		return
	}
	now := time.Now()
	f.token, f.err = e.judge(plan, a, now)
	if n := (&entry{key: plan.from.key, token: f.token, err: f.err, dies: a.dies}); !n.dies.IsZero() {
		e.memory.put(n, now)
	}
	delete(e.flights.byKey, plan.from.key)
	e.flights.mu.Unlock()
	e.tell(plan, f.err, a)
	close(f.done)
	f.cancel()
}

// exchange makes a failure of a panic, which would end the process here: it may come out of a transport or a
// function that is not ours. What it says may be anything, and is not shown.
func (e *Exchanger) exchange(ctx context.Context, plan flightPlan) (a *answer) {
	a = &answer{failed: errors.New("the goroutine has ended"), outage: true} // runtime.Goexit
	defer func() {
		if recovered := recover(); recovered != nil {
			a.failed = fmt.Errorf("panic with a %T", recovered)
		}
	}()
	return e.ask(ctx, plan)
}
