package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/auditlog"
)

// A sink that takes ten seconds for each batch stalls nobody: what does not
// fit is dropped and counted, or refused.
func TestSlowSink_AUDIT_07(t *testing.T) {
	for _, row := range []struct {
		name       string
		failClosed bool
		served     int
		status     int // of the requests without a record
	}{
		{"AUDIT-07 drop", false, 200, http.StatusOK},
		{"AUDIT-07 fail closed", true, 101, http.StatusServiceUnavailable}, // one is with the sink, a hundred wait
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &memory{before: func() error { time.Sleep(10 * time.Second); return nil }}
				queue := auditlog.NewQueue(sink, 100)
				s := newServer(t, queue, auditlog.Options{FailClosed: row.failClosed})
				token := s.token(nil)
				var statuses []int
				var waits []time.Duration
				for range 200 {
					begun := time.Now()
					statuses = append(statuses, s.call(token, "echo"))
					waits = append(waits, time.Since(begun))
					synctest.Wait()
				}
				slices.Sort(waits)
				assert.Zero(t, waits[len(waits)-1], "the slowest of 200")
				assert.Equal(t, row.served, s.ran)
				assert.Equal(t, row.status, statuses[199])
				assert.EqualValues(t, 99, s.audit.Lost())
				assert.EqualValues(t, 99, queue.Refused())
				assert.Equal(t, 101, queue.Pending())
				require.NoError(t, queue.Close(t.Context()))
				assert.Len(t, sink.all(), 101)
				assert.Zero(t, queue.Pending())
			})
		})
	}
}

// A refusal that cannot be recorded stays the refusal that it is.
func TestFailClosedKeepsRefusals_AUDIT_07(t *testing.T) {
	sink := &memory{before: func() error { return errors.New("disk full") }}
	s := newServer(t, sink, auditlog.Options{FailClosed: true})
	assert.Equal(t, http.StatusUnauthorized, s.call("", "echo"))
	assert.Equal(t, http.StatusServiceUnavailable, s.call(s.token(nil), "echo"))
	assert.Zero(t, s.ran)
	sink.before = func() error { panic("bug") }
	assert.Equal(t, http.StatusServiceUnavailable, s.call(s.token(nil), "echo"), "a panic is no record")
	sink.before = nil
	assert.Equal(t, http.StatusOK, s.call(s.token(nil), "echo"))
	assert.EqualValues(t, 3, s.audit.Lost())
}

// A sink that fails for a while loses nothing, and keeps the order.
func TestQueueRetries_AUDIT_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, begun := 30*time.Second, time.Now()
		sink := &memory{before: func() error {
			switch gone := time.Since(begun); {
			case gone < down/2:
				return errors.New("down")
			case gone < down:
				panic("worse")
			}
			return nil
		}}
		queue := auditlog.NewQueue(sink, 0)
		for i := range 1000 {
			require.NoError(t, queue.Write(auditlog.Record{ID: fmt.Sprint(i)}))
		}
		time.Sleep(time.Minute)
		require.Len(t, sink.all(), 1000)
		for i, r := range sink.all() {
			assert.Equal(t, fmt.Sprint(i), r.ID)
		}
		assert.Greater(t, queue.Retries(), uint64(5))
		assert.Less(t, queue.Retries(), uint64(30), "a failing sink is not hammered")
		require.NoError(t, queue.Close(t.Context()))
		assert.ErrorIs(t, queue.Write(auditlog.Record{}), auditlog.ErrClosed)
		require.NoError(t, queue.Close(t.Context()), "twice")
	})
}

// Close does not wait longer than it may, and says how much is lost.
func TestQueueCloseGivesUp_AUDIT_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := auditlog.NewQueue(&memory{before: func() error { return errors.New("down") }}, 10)
		require.NoError(t, queue.Write(make([]auditlog.Record, 7)...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, queue.Close(ctx), context.DeadlineExceeded)
		assert.Equal(t, 7, queue.Pending())
	})
}
