package shared

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMemoryAdd_STORE_01: a count goes up to its limit, and lives as long as its first step says.
func TestMemoryAdd_STORE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := m.Swap(t.Context(), "text", []byte("no number"), time.Hour)
		require.NoError(t, err)
		for _, row := range []struct {
			name     string
			ctx      context.Context
			key      string
			n, limit int64
			ttl      time.Duration
			total    int64
			ok       bool
			err      string
		}{
			{"the first", t.Context(), "k", 1, 3, 10 * time.Second, 1, true, ""},
			{"as much as there may be", t.Context(), "k", 2, 3, time.Hour, 3, true, ""},
			{"more than that", t.Context(), "k", 1, 3, time.Hour, 3, false, ""},
			{"nothing", t.Context(), "k", 0, 9, time.Hour, 0, false, "nothing to add"},
			{"for no time", t.Context(), "k", 1, 9, 0, 0, false, "an entry cannot live for 0s"},
			{"no count", t.Context(), "text", 1, 9, time.Hour, 0, false, "the entry is no count"},
			{"for one who has gone", over, "k", 1, 9, time.Hour, 0, false, "context canceled"},
		} {
			total, ok, err := m.Add(row.ctx, row.key, row.n, row.limit, row.ttl)
			assert.Equal(t, []any{row.total, row.ok}, []any{total, ok}, row.name)
			if row.err == "" {
				assert.NoError(t, err, row.name)
			} else {
				assert.EqualError(t, err, row.err, row.name)
			}
		}
		for _, want := range []int64{3, 1} {
			time.Sleep(10*time.Second - 1)
			total, _, err := m.Add(t.Context(), "k", 1, 3, time.Hour)
			assert.NoError(t, err)
			assert.Equal(t, want, total, "later steps do not make it live longer")
		}
		assert.ErrorIs(t, m.Delete(over, "k"), context.Canceled)
	})
}

// TestMemoryBounds_STORE_01: what fits to the byte has room, and a byte more has none.
func TestMemoryBounds_STORE_01(t *testing.T) {
	for _, row := range []struct{ key, value string }{{"r:k", strings.Repeat("v", 100)}, {"c:k", "1"}} {
		cost := 200 + len(row.key) + len(row.value)
		for over, want := range []error{nil, ErrFull} {
			m := NewMemory()
			m.size, m.others = 64<<20-cost+over, 0
			if !isRevocation(row.key) {
				m.size, m.others = 0, 48<<20-cost+over
			}
			_, err := m.PutIfAbsent(t.Context(), row.key, []byte(row.value), time.Hour)
			assert.Equal(t, want, err, row.key)
			if !isRevocation(row.key) && want != nil {
				total, ok, err := m.Add(t.Context(), row.key, 1, 9, time.Hour)
				assert.Equal(t, []any{int64(0), false, ErrFull}, []any{total, ok, err})
			}
		}
	}
}

// TestMemorySweep_STORE_01: what is over is there for nobody, and is forgotten when somebody asks for it or within ten seconds.
func TestMemorySweep_STORE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		put := func(key string, want int) {
			t.Helper()
			_, err := m.PutIfAbsent(t.Context(), key, []byte("v"), time.Second)
			require.NoError(t, err)
			assert.Len(t, m.entries, want, key)
		}
		put("a", 1)
		time.Sleep(10*time.Second - 1)
		put("b", 2)
		time.Sleep(time.Nanosecond)
		put("c", 2)
		time.Sleep(10*time.Second - 1)
		put("d", 3)
		time.Sleep(time.Second)
		put("e", 1)
		time.Sleep(time.Second)
		value, err := m.Get(t.Context(), "e")
		assert.NoError(t, err)
		assert.Nil(t, value)
		assert.Empty(t, m.entries)
		assert.Zero(t, m.size)
	})
}
