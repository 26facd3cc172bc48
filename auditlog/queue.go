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
	maxBatch   = 256 // records that a queue hands on at once
	queueShare = 8   // of the places that are left, one caller may have this part

	// A sink that fails is tried again: the records wait, and so do those behind them.
	minRetry = 50 * time.Millisecond
	maxRetry = 2 * time.Second
)

// Queue is a bounded buffer in front of a sink that may be slow. Its Write
// never waits: a record finds room, or is refused with [ErrFull]. What was
// accepted is handed on in order, in batches, and again if the sink fails,
// so that an outage of the sink loses nothing before the queue is full.
//
// It is full for each caller apart. Beyond its size there are as many places again, of
// which no principal may have more than an eighth of those that are left: one that floods
// the queue fills its size, and everybody else still finds room. Records without
// a principal are one caller's.
type Queue struct {
	sink    Sink
	waiting chan Record  // of twice the size
	pending atomic.Int64 // accepted and not yet written
	refused atomic.Uint64
	retries atomic.Uint64

	mu     sync.Mutex     // who has it sends, and closes
	held   map[caller]int // records in waiting
	closed bool
	stop   context.CancelFunc
	done   chan struct{}
}

// caller is the principal of a record; zero for none.
type caller struct {
	issuer, subject string
	machine         bool
}

func callerOf(r *Record) caller { return caller{r.Issuer, r.Subject, r.Machine} }

// NewQueue starts a queue for size records, 4096 if size is not positive, and as
// many again that no one caller can fill. It runs one goroutine until [Queue.Close].
func NewQueue(sink Sink, size int) *Queue {
	if size <= 0 {
		size = 4096
	}
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{sink: sink, waiting: make(chan Record, 2*size), held: map[caller]int{}, stop: stop, done: make(chan struct{})}
	go q.run(ctx)
	return q
}

// Write accepts all of the records or, with [ErrFull], those that find room.
func (q *Queue) Write(records ...Record) (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	for i := range records {
		owner := callerOf(&records[i])
		if !q.hasRoom(owner) {
			q.refused.Add(1)
			err = ErrFull
			continue
		}
		q.held[owner]++
		q.pending.Add(1)
		q.waiting <- records[i] // there is a place, and nobody else sends
	}
	return err
}

// hasRoom reports whether there is a place for one more record of a caller's.
func (q *Queue) hasRoom(owner caller) bool {
	left := cap(q.waiting) - len(q.waiting)
	return left > cap(q.waiting)/2 || q.held[owner] < (left+queueShare-1)/queueShare
}

// taken gives the places of a batch back.
func (q *Queue) taken(batch []Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range batch {
		owner := callerOf(&batch[i])
		if q.held[owner]--; q.held[owner] <= 0 {
			delete(q.held, owner)
		}
	}
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
		q.taken(batch)
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
