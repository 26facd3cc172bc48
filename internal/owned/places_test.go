package owned

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/shared"
)

var errStep = errors.New("the step has failed")

// faulty is a store of which one step fails. What it would have returned stands beside the error.
type faulty struct {
	*shared.Memory
	names map[string]string // for tests, of keys
	fails string            // as in "get mine", or "get" for all
}

func (f *faulty) step(do, key string) error {
	if f.fails == do || f.fails == do+" "+f.names[key] {
		return fmt.Errorf("%w: %s", errStep, f.names[key])
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) {
	value, _ := f.Memory.Get(ctx, key)
	return value, f.step("get", key)
}

func (f *faulty) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := f.step("put", key); err != nil {
		return []byte("what another one has written"), err
	}
	return f.Memory.PutIfAbsent(ctx, key, value, ttl)
}

func (f *faulty) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if err := f.step("swap", key); err != nil {
		old, _ := f.Memory.Get(ctx, key)
		return old, err
	}
	return f.Memory.Swap(ctx, key, value, ttl)
}

func (f *faulty) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (int64, bool, error) {
	if err := f.step("add", key); err != nil {
		return 1, true, err
	}
	return f.Memory.Add(ctx, key, n, limit, ttl)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.step("delete", key); err != nil {
		return err
	}
	return f.Memory.Delete(ctx, key)
}

// placeBed is a store in which the next task of one caller takes the client's place of its task "old", and the second one of the principal.
type placeBed struct {
	*testing.T
	*faulty
	tasks *Tasks[string]
	by    Caller
	keys  map[string]string // by the names for tests
}

func newPlaceBed(t *testing.T) *placeBed {
	b := &placeBed{T: t, faulty: &faulty{Memory: shared.NewMemory()}, by: user("u")}
	b.tasks = commonTasks(t, b.faulty)
	name, principal := b.tasks.common.space.Name, "principal "+b.by.PrincipalKey()
	b.keys = map[string]string{
		"old": name(shared.Task, "old"), "new": name(shared.Task, "new"), "of another": name(shared.Task, "of another"),
		"client's count": name(shared.Count, b.by.Key()), "principal's count": name(shared.Count, principal),
		"client's place": name(shared.Place, b.by.Key(), "0"), "principal's place": name(shared.Place, principal, "0"),
	}
	b.names = map[string]string{}
	for known, key := range b.keys {
		b.names[key] = known
	}
	b.begins("old", nil)
	_, _, err := b.Add(t.Context(), b.keys["client's count"], maxOwnTasks-1, maxOwnTasks, time.Hour)
	require.NoError(t, err)
	return b
}

func (b *placeBed) begin(id string, arguments []byte) error {
	return b.tasks.Begin(b.Context(), b.by, id, testCall{Call: "echo", Arguments: arguments})
}

func (b *placeBed) begins(id string, arguments []byte) {
	b.Helper()
	require.NoError(b, b.begin(id, arguments))
}

// holds is what the store has by one of the names for tests.
func (b *placeBed) holds(name string) string {
	value, err := b.Memory.Get(b.Context(), b.keys[name])
	require.NoError(b, err)
	return string(value)
}

// TestStoreSteps_STORE_05_STORE_07: whichever step of the store fails, and whatever stands beside the error, no entry is written for which no place
// was taken; the task is known to this process, and is its owner's when the store answers again.
func TestStoreSteps_STORE_05_STORE_07(t *testing.T) {
	for _, step := range []string{
		"get new", "add client's count", "add principal's count", "swap client's place", "swap principal's place",
		"get old", "delete old", "get principal's place", "delete principal's place", "put new",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			if step == "swap principal's place" {
				_, _, err := b.Add(t.Context(), b.keys["principal's count"], maxPrincipalTasks-1, maxPrincipalTasks, time.Hour)
				require.NoError(t, err)
			}
			b.fails = step
			err := b.begin("new", nil)
			require.ErrorIs(t, err, ErrLate, step)
			require.ErrorIs(t, err, errStep, step)
			assert.Empty(t, b.holds("new"), step)
			b.fails = ""
			began, own, err := b.tasks.Of(t.Context(), b.by, "new")
			require.NoError(t, err, step)
			assert.True(t, own, step)
			assert.Equal(t, testCall{Call: "echo"}, began, step)
			assert.NotEmpty(t, b.holds("new"), step)
		})
	}
}

// TestBothFail_STORE_07: of two steps that fail at once the operator is always told in the same order.
func TestBothFail_STORE_07(t *testing.T) {
	for step, names := range map[string]string{"add": "count", "swap": "place"} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			b.names[b.tasks.common.space.Name(shared.Place, "principal "+b.by.PrincipalKey(), "1")] = "principal's place"
			b.fails = step
			require.EqualError(t, b.begin("new", nil), fmt.Sprintf("%s: %s: client's %s\n%[2]s: principal's %[3]s", ErrLate, errStep, names))
		})
	}
}

// TestStoreAsked_STORE_07: that nobody knows is no answer, and nobody's task. What no request can name is not asked for.
func TestStoreAsked_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlaceBed(t)
		b.fails = "get old"
		began, own, err := b.tasks.Of(t.Context(), b.by, "old")
		require.ErrorIs(t, err, errStep)
		assert.False(t, own)
		assert.Empty(t, began)
		long := strings.Repeat("i", maxTaskID)
		b.names[b.tasks.common.space.Name(shared.Task, long+"i")], b.fails = "long", "get long"
		_, own, err = b.tasks.Of(t.Context(), b.by, long+"i")
		require.NoError(t, err)
		assert.False(t, own)
		b.begins(long, nil)
		_, own, err = b.tasks.Of(t.Context(), b.by, long)
		require.NoError(t, err)
		assert.True(t, own, "as long as it may be")
	})
}

// TestPlaceTaken_STORE_05: who takes a place deletes what had it, and the other place of that, if they still are what they were.
func TestPlaceTaken_STORE_05(t *testing.T) {
	for name, tt := range map[string]struct {
		change string // what another task has by now
		left   []string
	}{
		"as it was":                          {"", nil},
		"the id is that of another task":     {"old", []string{"old"}},
		"the place of another task":          {"principal's place", []string{"principal's place"}},
		"the place that is taken is another": {"client's place", []string{"old", "principal's place"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			if tt.change != "" {
				_, err := b.Swap(t.Context(), b.keys[tt.change], []byte(b.keys["of another"]+" 0123456789abcdef "+b.keys["of another"]), time.Hour)
				require.NoError(t, err)
			}
			b.begins("new", nil)
			var left []string
			for _, one := range []string{"old", "principal's place"} {
				if b.holds(one) != "" {
					left = append(left, one)
				}
			}
			assert.Equal(t, tt.left, left, name)
			assert.True(t, strings.HasPrefix(b.holds("client's place"), b.keys["new"]+" "), name)
		})
	}
}

// TestPlacesOfSize_STORE_05: a task takes one place for each 4 KiB of arguments, of its client and of its principal.
func TestPlacesOfSize_STORE_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]int{0: 1, 1: 1, 4194: 1, 4195: 2, 8388: 2, 8389: 3, maxTaskArguments: 16} {
			b := newPlaceBed(t)
			b.begins("new", bytes.Repeat([]byte("a"), size))
			assert.Equal(t, strconv.Itoa(maxOwnTasks+want), b.holds("client's count"), size)
			assert.Equal(t, strconv.Itoa(1+want), b.holds("principal's count"), size)
		}
	})
}

// TestCountLife_STORE_06: what counts the places outlives them, lest a new count gives away those in use, and ends for who has gone.
func TestCountLife_STORE_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &placeBed{T: t, faulty: &faulty{Memory: shared.NewMemory()}, by: user("u")}
		b.tasks = commonTasks(t, b.faulty)
		b.keys = map[string]string{"count": b.tasks.common.space.Name(shared.Count, b.by.Key())}
		b.begins("first", nil)
		time.Sleep(taskLife - time.Second)
		b.begins("second", nil)
		for _, id := range []string{"first", "second"} {
			_, own, err := b.tasks.Of(t.Context(), b.by, id)
			require.NoError(t, err)
			assert.True(t, own, id)
		}
		assert.Equal(t, "2", b.holds("count"))
		time.Sleep(24*time.Hour + time.Second)
		assert.Empty(t, b.holds("count"), "eight days after the first")
	})
}

// TestNoJSON_STORE_07: a call that cannot be written down is stored as no other.
func TestNoJSON_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlaceBed(t)
		tasks := NewTasks[chan int](b.tasks.common.space)
		for _, id := range []string{"new", "old"} {
			before := b.holds(id)
			err := tasks.Begin(t.Context(), b.by, id, Begun[chan int]{})
			require.ErrorIs(t, err, ErrLate, id)
			assert.Equal(t, before, b.holds(id), id)
		}
	})
}

// TestLate_STORE_07: what waits for the store is a copy, and an id of two is nobody's, whatever their calls are.
func TestLate_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlaceBed(t)
		arguments := []byte(`{"a":1}`)
		b.fails = "put new"
		require.ErrorIs(t, b.begin("new", arguments), ErrLate)
		arguments[5] = '2'
		b.fails = ""
		began, own, err := b.tasks.Of(t.Context(), b.by, "new")
		require.NoError(t, err)
		assert.True(t, own)
		assert.Equal(t, `{"a":1}`, string(began.Arguments))

		b.fails = "put of another"
		require.ErrorIs(t, b.tasks.Begin(t.Context(), user("v"), "of another", testCall{}), ErrLate)
		err = b.tasks.Begin(t.Context(), b.by, "of another", testCall{})
		require.ErrorIs(t, err, ErrOthersTask)
		require.NotErrorIs(t, err, ErrLate)
	})
}
