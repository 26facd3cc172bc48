package identity

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/between"
)

type contextKey struct{}

var errGone, errExpired = errors.New("gone"), errors.New("expired")

func TestContext(t *testing.T) {
	newContext := func() (*Context, context.CancelCauseFunc) {
		parent, cancel := context.WithCancelCause(context.WithValue(context.Background(), contextKey{}, "kept"))
		t.Cleanup(func() { cancel(nil) })
		return &Context{Context: parent, Principal: "u"}, cancel
	}
	t.Run("carries", func(t *testing.T) {
		c, _ := newContext()
		for range 2 { // before and after somebody waits for its end
			assert.Equal(t, "u", FromContext(c))
			assert.Equal(t, "kept", c.Value(contextKey{}))
			require.NoError(t, c.Err())
			_ = c.Done()
		}
		assert.Nil(t, FromContext(&Context{Context: context.Background()}), "before the token was verified")
		assert.Equal(t, "v", FromContext(NewContext(c, "v")), "the nearest")
		assert.Equal(t, "mcpauth.", AliasPrefix, "session ids that are in use begin with it")
	})
	t.Run("ends with its parent", func(t *testing.T) {
		c, cancel := newContext()
		cancel(errGone)
		require.ErrorIs(t, c.Err(), context.Canceled)
		<-c.Done()
		assert.Equal(t, errGone, context.Cause(c))
	})
	t.Run("ends before its parent", func(t *testing.T) {
		c, _ := newContext()
		derived, stop := context.WithCancel(c)
		defer stop()
		c.Cancel(errExpired)
		<-derived.Done()
		assert.Equal(t, errExpired, context.Cause(derived))
		require.ErrorIs(t, c.Err(), context.Canceled)
		require.NoError(t, c.Context.Err())
	})
	t.Run("ends with the request", func(t *testing.T) {
		c, _ := newContext()
		done := c.Done()
		c.End()
		<-done
		assert.Equal(t, context.Canceled, context.Cause(c))
	})
	t.Run("has room for who stands between", func(t *testing.T) {
		c, _ := newContext()
		_, ok := c.Value(between.Key{}).(*between.Room)
		assert.True(t, ok)
	})
	t.Run("ends once for all who ask at one time", func(t *testing.T) {
		for range 100 {
			c, _ := newContext()
			var started, asked sync.WaitGroup
			done := make([]<-chan struct{}, 8)
			started.Add(len(done))
			c.mu.Lock() // so that they meet
			for i := range done {
				asked.Go(func() {
					started.Done()
					done[i] = c.Done()
				})
			}
			started.Wait()
			for range len(done) {
				runtime.Gosched()
			}
			c.mu.Unlock()
			asked.Wait()
			for _, other := range done {
				require.Equal(t, done[0], other, "one that nobody closes")
			}
		}
	})
	t.Run("has ended before anybody asked", func(t *testing.T) {
		c, _ := newContext()
		c.End()
		require.ErrorIs(t, c.Err(), context.Canceled)
		<-c.Done()
	})
}
