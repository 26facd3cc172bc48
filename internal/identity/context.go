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

	mu    sync.Mutex // for making own
	own   atomic.Pointer[cancelable]
	ended atomic.Bool // the request is over
}

type cancelable struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} { return c.made().ctx.Done() }

// Err implements [context.Context].
func (c *Context) Err() error {
	if own := c.own.Load(); own != nil {
		return own.ctx.Err()
	}
	if c.ended.Load() {
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
	if onward.IsKey(k) {
		return c.Onward
	}
	if own := c.own.Load(); own != nil {
		return own.ctx.Value(k)
	}
	return c.Context.Value(k)
}

func (c *Context) made() *cancelable {
	if own := c.own.Load(); own != nil {
		return own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.own.Load()
	if own == nil {
		own = new(cancelable)
		own.ctx, own.cancel = context.WithCancelCause(c.Context)
		c.own.Store(own)
		if c.ended.Load() {
			own.cancel(nil)
		}
	}
	return own
}

// Cancel ends the context for a reason.
func (c *Context) Cancel(cause error) { c.made().cancel(cause) }

// End is called when the request is over.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	if own := c.own.Load(); own != nil {
		own.cancel(nil)
	}
}
