package auditlog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull is what a [Queue] returns when it has no room. The record is not kept.
var ErrFull = errors.New("auditlog: the queue is full")

// ErrClosed is what a closed [Queue] or [File] returns.
var ErrClosed = errors.New("auditlog: closed")

const (
	maxBatch = 256 // records that a queue hands on at once

	// A sink that fails is tried again: the records wait, and so do those behind them.
	minRetry = 50 * time.Millisecond
	maxRetry = 2 * time.Second
)

// Queue is a bounded buffer in front of a sink that may be slow. Its Write
// never waits: a record finds room, or is refused with [ErrFull]. What was
// accepted is handed on in order, in batches, and again if the sink fails,
// so that an outage of the sink loses nothing before the queue is full.
type Queue struct {
	sink    Sink
	waiting chan Record
	pending atomic.Int64 // accepted and not yet written
	refused atomic.Uint64
	retries atomic.Uint64

	mu     sync.RWMutex // guards closed against the channel's closing
	closed bool
	stop   context.CancelFunc
	done   chan struct{}
}

// NewQueue starts a queue for size records, 4096 if size is not positive. It
// runs one goroutine until [Queue.Close].
func NewQueue(sink Sink, size int) *Queue {
	if size <= 0 {
		size = 4096
	}
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{sink: sink, waiting: make(chan Record, size), stop: stop, done: make(chan struct{})}
	go q.run(ctx)
	return q
}

// Write accepts all of the records or, with [ErrFull], as many as find room.
func (q *Queue) Write(records ...Record) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return ErrClosed
	}
	for i, record := range records {
		q.pending.Add(1)
		select {
		case q.waiting <- record:
		default:
			q.pending.Add(-1)
			q.refused.Add(uint64(len(records) - i))
			return ErrFull
		}
	}
	return nil
}

// Pending tells how many records are accepted and not yet written.
func (q *Queue) Pending() int { return int(q.pending.Load()) }

// Refused tells how many records found no room.
func (q *Queue) Refused() uint64 { return q.refused.Load() }

// Retries tells how often the sink has failed.
func (q *Queue) Retries() uint64 { return q.retries.Load() }

// Close accepts nothing more and waits until everything is written, or until
// ctx ends: then the error is that of ctx, and [Queue.Pending] records are lost.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	q.stop() // a sink that hangs is left behind, one that fails is not tried again
	return ctx.Err()
}

func (q *Queue) run(ctx context.Context) {
	defer close(q.done)
	batch := make([]Record, 0, maxBatch)
	for record := range q.waiting {
		batch = append(batch[:0], record)
	more:
		for len(batch) < maxBatch {
			select {
			case next, open := <-q.waiting:
				if !open {
					break more
				}
				batch = append(batch, next)
			default:
				break more
			}
		}
		if !q.deliver(ctx, batch) {
			return
		}
		q.pending.Add(-int64(len(batch)))
	}
}

// deliver writes until it works, or until nobody waits any more.
func (q *Queue) deliver(ctx context.Context, batch []Record) bool {
	for wait := minRetry; ; wait = min(2*wait, maxRetry) {
		if q.try(batch) {
			return true
		}
		q.retries.Add(1)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// try makes a failure of a panic, which would end the process here.
func (q *Queue) try(batch []Record) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return q.sink.Write(batch...) == nil
}
