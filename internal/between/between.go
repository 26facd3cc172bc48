// Package between lets a handler of ours stand between the wrapper and the handler behind it, and
// see the answer pass, without memory of its own: a request has room for one such writer in the memory
// that it takes anyway. It is the request's for good, so a handler that writes when the request is over finds its
// own writer, and not another request's.
package between

import (
	"context"
	"net/http"
	"sync/atomic"
)

// Hook is what stands between. It is called as the handler calls the [Writer], which it may give another Hook.
type Hook interface {
	WriteHeader(w *Writer, status int)
	Write(w *Writer, data []byte) (int, error)
	FlushError(w *Writer) error
}

// Writer is the writer that the handler is given. The embedded one is that in front.
type Writer struct {
	http.ResponseWriter
	Request *http.Request // as the handler is given it
	Hook    Hook
	Status  int16 // that has been sent, 0 for none

	taken atomic.Bool // of the room of a request
}

// WriteHeader implements [http.ResponseWriter].
func (w *Writer) WriteHeader(status int) { w.Hook.WriteHeader(w, status) }

// Write implements [http.ResponseWriter].
func (w *Writer) Write(data []byte) (int, error) { return w.Hook.Write(w, data) }

// Unwrap lets [http.ResponseController] reach the writer in front.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flusher is a Writer on one that can flush. Handlers ask for that by type.
type Flusher struct{ Writer }

// Flush implements [http.Flusher].
func (w *Flusher) Flush() { _ = w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *Flusher) FlushError() error { return w.Hook.FlushError(&w.Writer) }

// Room is where a request has a writer. Its zero value is free.
type Room struct{ writer Flusher }

// Key is what the [Room] of a request is called in its context.
type Key struct{}

// New returns a writer, in the room of the request if there is one that nobody has taken.
func New(ctx context.Context) *Flusher {
	if room, ok := ctx.Value(Key{}).(*Room); ok && room.writer.taken.CompareAndSwap(false, true) {
		return &room.writer
	}
	return new(Flusher)
}

// Body is the body of a request that the wrapper has read already.
type Body interface {
	// Borrow returns what has not been read, and does not read it. It must not be changed, nor looked at after
	// Return, which has to follow soon: the end of the request waits for it, because the memory is another's then.
	Borrow() []byte
	Return()
}
