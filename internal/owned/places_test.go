package owned

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	ahead func(step string) // does something in front of it
}

func (f *faulty) step(do, key string) error {
	step := do + " " + f.names[key]
	if f.ahead != nil {
		f.ahead(step)
	}
	if f.fails == do || f.fails == step {
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
	if ttl == time.Millisecond {
		if err := f.step("free", key); err != nil {
			return []byte("what another one has written"), err
		}
	} else if err := f.step("swap", key); err != nil {
		old, _ := f.Memory.Get(ctx, key)
		return old, err
	}
	return f.Memory.Swap(ctx, key, value, ttl)
}

func (f *faulty) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (int64, bool, error) {
	do := "add"
	switch {
	case n >= ended:
		do = "end"
	case n >= started:
		do = "start"
	}
	if err := f.step(do, key); err != nil {
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
	week := time.Now().Unix() / (7 * 24 * 60 * 60)
	b.keys = map[string]string{
		"old": name(shared.Task, "old"), "new": name(shared.Task, "new"), "of another": name(shared.Task, "of another"),
		"client's count": b.tasks.common.countName(b.by.Key(), week), "principal's count": b.tasks.common.countName(principal, week),
		"client's last count": b.tasks.common.countName(b.by.Key(), week-1), "principal's last count": b.tasks.common.countName(principal, week-1),
		"client's next count": b.tasks.common.countName(b.by.Key(), week+1),
		"client's place":      name(shared.Place, b.by.Key(), "0"), "principal's place": name(shared.Place, principal, "0"),
	}
	b.names = map[string]string{}
	for known, key := range b.keys {
		b.names[key] = known
	}
	b.begins("old", nil)
	b.counts("client's count", maxOwnTasks-1)
	return b
}

// counts has a count go on by n.
func (b *placeBed) counts(name string, n int64) {
	_, _, err := b.Memory.Add(b.Context(), b.keys[name], n, math.MaxInt64, time.Hour)
	require.NoError(b, err)
}

// counted is how many places a count has counted.
func (b *placeBed) counted(name string) int64 {
	total, err := strconv.ParseInt(b.holds(name), 10, 64)
	require.NoError(b, err)
	return total % started
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
		"get old", "delete old", "free principal's place", "put new",
		"end client's last count", "end principal's last count", "start client's count", "start principal's count",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			switch step {
			case "swap principal's place":
				b.counts("principal's count", maxPrincipalTasks-1)
			case "end client's last count", "start client's count", "end principal's last count", "start principal's count":
				for _, count := range []string{"client's count", "principal's count"} {
					require.NoError(t, b.Memory.Delete(t.Context(), b.keys[count]))
				}
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
			time.Sleep(time.Millisecond) // what is freed is there for so long
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

// TestTakenBetween_STORE_05: a place that is taken between the look at it and its being given back is kept, by one task that takes both places of an older
// one, and by two that take one each.
func TestTakenBetween_STORE_05(t *testing.T) {
	for _, of := range []string{"client's place", "principal's place"} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			b.counts("principal's count", maxPrincipalTasks-1)
			b.ahead = func(step string) {
				switch step {
				case "swap " + of:
					time.Sleep(10 * time.Millisecond)
				case "free " + of:
					time.Sleep(20 * time.Millisecond)
				}
			}
			b.begins("new", nil)
			time.Sleep(time.Millisecond)
			for _, place := range []string{"client's place", "principal's place"} {
				assert.True(t, strings.HasPrefix(b.holds(place), b.keys["new"]+" "), "%s is taken late: %s", of, place)
			}
			assert.Empty(t, b.holds("old"))
			time.Sleep(taskLife - time.Second)
			assert.NotEmpty(t, b.holds(of))
			time.Sleep(time.Second)
			assert.Empty(t, b.holds(of), "it ends like any other")
		})
	}
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			b.counts("principal's count", maxPrincipalTasks-1)
			b.ahead = func(step string) {
				if step == "free client's place" {
					b.ahead = nil
					b.begins("new", nil) // takes it
					if fails {
						b.fails = "swap client's place"
					}
				}
			}
			other := b.by
			other.ClientID = "other"
			err := b.tasks.Begin(t.Context(), other, "of another", testCall{})
			time.Sleep(time.Millisecond)
			if fails {
				require.ErrorIs(t, err, errStep)
				assert.Empty(t, b.holds("of another"))
				return
			}
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(b.holds("client's place"), b.keys["new"]+" "))
			assert.True(t, strings.HasPrefix(b.holds("principal's place"), b.keys["of another"]+" "))
			assert.Empty(t, b.holds("old"))
		})
	}
}

// TestStepsOfATask_STORE_05: what one task asks of the store, in the usual case, as the first one of a week, and when it takes the place of an older one.
func TestStepsOfATask_STORE_05(t *testing.T) {
	for name, tt := range map[string]struct {
		by     string
		before []string
		want   string
	}{
		"usual":           {"v", []string{"another"}, "add add get put swap swap"},
		"first of a week": {"v", nil, "add add end end get put start start swap swap"},
		"takes a place":   {"u", nil, "add add delete free get get put swap swap"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			b.by = user(tt.by)
			for _, id := range tt.before {
				b.begins(id, nil)
			}
			var mu sync.Mutex
			var steps []string
			b.ahead = func(step string) {
				mu.Lock()
				defer mu.Unlock()
				do, _, _ := strings.Cut(step, " ")
				steps = append(steps, do)
			}
			b.begins("new", nil)
			slices.Sort(steps)
			assert.Equal(t, tt.want, strings.Join(steps, " "), name)
		})
	}
}

// TestPlacesOfSize_STORE_05: a task takes one place for each 4 KiB of arguments, of its client and of its principal.
func TestPlacesOfSize_STORE_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]int{0: 1, 1: 1, 4194: 1, 4195: 2, 8388: 2, 8389: 3, maxTaskArguments: 16} {
			b := newPlaceBed(t)
			b.begins("new", bytes.Repeat([]byte("a"), size))
			assert.Equal(t, int64(maxOwnTasks+want), b.counted("client's count"), size)
			assert.Equal(t, int64(1+want), b.counted("principal's count"), size)
		}
	})
}

// TestCountLife_STORE_06: a week's count outlives the next week, which goes on from it, and ends for who has gone.
func TestCountLife_STORE_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlaceBed(t)
		time.Sleep(15*24*time.Hour - time.Second)
		assert.EqualValues(t, maxOwnTasks, b.counted("client's count"))
		assert.EqualValues(t, 1, b.counted("principal's count"))
		time.Sleep(time.Second)
		for name := range b.keys {
			assert.Empty(t, b.holds(name), name)
		}
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

// TestWeeks_STORE_05_STORE_06: of each caller's tasks that are younger than a week there are the latest thousand, and of its principal's the latest
// four thousand, whichever week it is and for how long it has begun none.
func TestWeeks_STORE_05_STORE_06(t *testing.T) {
	for name, tt := range map[string]struct {
		every          time.Duration
		clients, tasks int
		most           int // of the latest
	}{
		"many":            {every: 9 * time.Minute, clients: 1, tasks: 2300, most: maxOwnTasks},
		"of many clients": {every: 90 * time.Second, clients: 5, tasks: 5500, most: maxPrincipalTasks},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tasks, of := commonTasks(t, shared.NewMemory()), user("u")
				has := func(i int) bool {
					_, own, err := tasks.Of(t.Context(), of, strconv.Itoa(i))
					require.NoError(t, err)
					return own
				}
				for i := range tt.tasks {
					of.ClientID = strconv.Itoa(i % tt.clients)
					require.NoError(t, tasks.Begin(t.Context(), of, strconv.Itoa(i), testCall{}))
					require.Equal(t, i >= tt.most-1, has(i-tt.most+1), "%d: the oldest that is to be there", i)
					require.False(t, has(i-tt.most), "%d: the one before", i)
					time.Sleep(tt.every)
				}
			})
		})
	}
}

// TestFewTasks_STORE_05_STORE_06: who has few tasks loses none before a week is over, whenever they began.
func TestFewTasks_STORE_05_STORE_06(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	synctest.Test(t, func(t *testing.T) {
		tasks, began := commonTasks(t, shared.NewMemory()), []time.Time{}
		for i := range 500 {
			require.NoError(t, tasks.Begin(t.Context(), user("u"), strconv.Itoa(i), testCall{}))
			began = append(began, time.Now())
			for j, at := range began {
				if time.Since(at) < taskLife {
					_, own, err := tasks.Of(t.Context(), user("u"), strconv.Itoa(j))
					require.NoError(t, err)
					require.True(t, own, "%d, begun %s ago, when %d has begun", j, time.Since(at), i)
				}
			}
			time.Sleep([]time.Duration{time.Minute, time.Hour, 20 * time.Hour, 100 * time.Hour, 200 * time.Hour}[r.IntN(5)])
		}
	})
}

// TestWeekBegins_STORE_05_STORE_06: of tasks that begin a week's count at once none takes the place of another, nor does one whose week is still the last one.
func TestWeekBegins_STORE_05_STORE_06(t *testing.T) {
	const slowest = 200 * time.Millisecond
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		var begins [8]time.Duration
		var adds [64]time.Duration
		for i := range begins {
			begins[i] = time.Duration(r.Int64N(int64(slowest)))
		}
		for i := range adds {
			adds[i] = time.Duration(r.Int64N(int64(slowest)))
		}
		synctest.Test(t, func(t *testing.T) {
			b := newPlaceBed(t)
			ids := []string{"0", "1", "2", "3", "4", "5", "6", "7"}
			time.Sleep(taskLife - time.Duration(time.Now().UnixNano())%taskLife - time.Second) // and they begin around the end of that
			switch round % 3 {
			case 0:
				b.begins("of the last week", nil)
				ids = append(ids, "of the last week")
			case 1: // one in the last week, whose steps are slow, and the others in this one
				b.by = user("who has begun none")
				begins[0], adds[1], adds[2] = 0, slowest-1, slowest-1
				for i := range begins[1:] {
					begins[1+i] = (slowest + begins[1+i]/2) / 2
				}
				for i := range adds[3:] {
					adds[3+i] /= 8
				}
			}
			time.Sleep(time.Second - slowest/2)
			var steps atomic.Int32
			b.ahead = func(step string) {
				if do, _, _ := strings.Cut(step, " "); do == "add" || do == "end" || do == "start" {
					time.Sleep(adds[int(steps.Add(1))%len(adds)])
				}
			}
			var all sync.WaitGroup
			for i, id := range ids[:8] {
				all.Go(func() {
					time.Sleep(begins[i])
					b.begins(id, nil)
				})
			}
			all.Wait()
			for _, id := range ids {
				_, own, err := b.tasks.Of(t.Context(), b.by, id)
				require.NoError(t, err)
				assert.True(t, own, "%d: %s", round, id)
			}
		})
	}
}

// TestTurns_STORE_05_STORE_07: while others start a week's count, end it and start the next one, each in front of us, a task waits for its turn. A store
// that does not count is none.
func TestTurns_STORE_05_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPlaceBed(t)
		require.NoError(t, b.Memory.Delete(t.Context(), b.keys["client's count"]))
		adds := 0
		b.ahead = func(step string) {
			if !strings.Contains(step, "client's") || !strings.HasSuffix(step, "count") {
				return
			}
			switch adds++; adds {
			case 2: // of its last count, to start this one
				b.counts("client's count", started)
			case 4:
				b.counts("client's count", ended)
			case 6:
				b.counts("client's next count", started)
			}
		}
		b.begins("new", nil)
		assert.Equal(t, 8, adds)
		assert.Equal(t, strconv.Itoa(started+2), b.holds("client's next count"))
		assert.EqualValues(t, 2, b.counted("principal's count"))
		for _, count := range []string{"client's count", "client's last count", "principal's count", "principal's last count"} {
			total, err := strconv.ParseInt(b.holds(count), 10, 64)
			require.NoError(t, err)
			assert.Less(t, total, int64(1<<52), count)
		}

		err := commonTasks(t, countless{shared.NewMemory()}).Begin(t.Context(), b.by, "new", testCall{})
		require.ErrorIs(t, err, ErrLate)
		require.ErrorIs(t, err, errCount)
	})
}

// countless is a store that adds nothing.
type countless struct{ *shared.Memory }

func (countless) Add(context.Context, string, int64, int64, time.Duration) (int64, bool, error) {
	return 0, false, nil
}
