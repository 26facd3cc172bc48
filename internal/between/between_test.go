package between

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// roomy is the context of a request that has a room.
type roomy struct {
	context.Context
	room Room
}

func (c *roomy) Value(k any) any {
	if k == any(Key{}) {
		return &c.room
	}
	return c.Context.Value(k)
}

func TestRoom_ISOL_01(t *testing.T) {
	ctx := &roomy{Context: t.Context()}
	first, second := New(ctx), New(ctx)
	assert.Same(t, &ctx.room.writer, first)
	assert.NotSame(t, first, second, "the room is given to one")
	assert.NotSame(t, New(t.Context()), New(t.Context()))
}

// counted counts what it is asked.
type counted struct{ headers, writes, flushes int }

func (c *counted) WriteHeader(*Writer, int) { c.headers++ }
func (c *counted) Write(_ *Writer, data []byte) (int, error) {
	c.writes++
	return len(data), nil
}
func (c *counted) FlushError(*Writer) error {
	c.flushes++
	return nil
}

func TestWriter_ISOL_01(t *testing.T) {
	hook, recorder := &counted{}, httptest.NewRecorder()
	w := New(t.Context())
	w.ResponseWriter, w.Hook = recorder, hook
	w.WriteHeader(200)
	_, err := w.Write([]byte("x"))
	assert.NoError(t, err)
	w.Flush()
	assert.NoError(t, http.NewResponseController(w).Flush())
	assert.Equal(t, counted{1, 1, 2}, *hook)
	assert.Equal(t, http.ResponseWriter(recorder), w.Unwrap())
	assert.Empty(t, recorder.Body.String(), "nothing passes but by the hook")
	_, flushes := any(&w.Writer).(http.Flusher)
	assert.False(t, flushes)
}
