package identity

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-1e292522/mcpauth/internal/between"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// Context is that of an admitted request: that of the request as
// it came, with the caller in it. It can be ended before its parent, when the
// token expires, but the parts for that are made only for who asks for them:
// most handlers of a short call never do.
type Context struct {
	context.Context
	Principal any             // nil before the token was verified
	Onward    *onward.Request // the request itself

	room between.Room

	mu     sync.Mutex // for making the two below
	own    context.Context
	cancel context.CancelCauseFunc
	isMade atomic.Bool // they are there, and do not change any more
	ended  atomic.Bool // the request is over
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} {
	c.make()
	return c.own.Done()
}

// Err implements [context.Context].
func (c *Context) Err() error {
	switch {
	case c.isMade.Load():
		return c.own.Err()
	case c.ended.Load():
		return context.Canceled
	}
	return c.Context.Err()
}

// Value implements [context.Context]. The package context finds the parent of a
// derived context by a value of its own, so that one is asked which may have it.
func (c *Context) Value(k any) any {
	switch k {
	case any(key{}):
		return c.Principal
	case any(between.Key{}):
		return &c.room
	}
	switch {
	case onward.IsKey(k):
		return c.Onward
	case c.isMade.Load():
		return c.own.Value(k)
	}
	return c.Context.Value(k)
}

// make makes what can be ended before the parent.
func (c *Context) make() {
	if c.isMade.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isMade.Load() {
		return
	}
	c.own, c.cancel = context.WithCancelCause(c.Context)
	c.isMade.Store(true)
	if c.ended.Load() {
		c.cancel(nil)
	}
}

// Cancel ends the context for a reason.
func (c *Context) Cancel(cause error) {
	c.make()
	c.cancel(cause)
}

// End is called when the request is over.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	if c.isMade.Load() {
		c.cancel(nil)
	}
}
