package shared

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// weather is a store that does what it is told: nothing, for example.
type weather struct {
	*Memory
	mu    sync.Mutex
	get   func(context.Context) error // nil: it works
	asked int
}

func (w *weather) is(get func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.get = get
}

func (w *weather) Get(ctx context.Context, key string) ([]byte, error) {
	w.mu.Lock()
	w.asked++
	get := w.get
	w.mu.Unlock()
	if get != nil {
		if err := get(ctx); err != nil {
			return nil, err
		}
	}
	return w.Memory.Get(ctx, key)
}

func (w *weather) times() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

var errRefused = errors.New("connection refused")

func refuses(context.Context) error { return errRefused }

// deaf is a client library that knows no context.
func deaf(context.Context) error { time.Sleep(3 * time.Second); return errRefused }

// guarded is a guard before a store, and what it has told.
func guarded() (*Guard, *weather, *[]string) {
	w := &weather{Memory: NewMemory()}
	told := &[]string{}
	return NewGuard(w, func(err error) { *told = append(*told, fmt.Sprint(err)) }), w, told
}

// spent asks once, and returns how long that took in the bubble.
func spent(g *Guard) (time.Duration, error) {
	began := time.Now()
	_, err := g.Get(context.Background(), "k")
	return time.Since(began), err
}

// TestGuard_STORE_14: no call takes longer than 250 ms, and after five failures none takes any time; a probe a second later, two,
// four and at most thirty finds the store again.
func TestGuard_STORE_14(t *testing.T) {
	for name, tt := range map[string]struct {
		get  func(context.Context) error
		cost time.Duration
		want error
	}{
		"refuses":         {refuses, 0, errRefused},
		"deaf":            {deaf, callTimeout, errSlow},
		"heeds a context": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, callTimeout, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, w, told := guarded()
				w.is(tt.get)
				for i := range maxFailures {
					took, err := spent(g)
					require.Error(t, err, i)
					if tt.want != nil {
						assert.Equal(t, tt.want, err, i)
					}
					assert.Equal(t, tt.cost, took, i)
				}
				assert.Len(t, *told, 1)
				pause := firstPause
				for range 8 {
					for range 1000 {
						took, err := spent(g)
						require.Equal(t, ErrDown, err)
						require.Zero(t, took)
					}
					asked := w.times()
					time.Sleep(pause - time.Millisecond)
					_, err := spent(g)
					assert.Equal(t, ErrDown, err)
					assert.Equal(t, asked, w.times())
					time.Sleep(time.Millisecond)
					took, err := spent(g)
					assert.NotEqual(t, ErrDown, err)
					assert.Equal(t, tt.cost, took)
					assert.Equal(t, asked+1, w.times())
					pause = min(2*pause, maxPause)
				}
				assert.Len(t, *told, 1, "one line, however long it lasts")
				w.is(nil)
				time.Sleep(maxPause)
				_, err := spent(g)
				require.NoError(t, err)
				assert.Equal(t, []string{"<nil>"}, (*told)[1:])
				w.is(refuses) // anew: five failures, and a second
				for range maxFailures {
					_, err := spent(g)
					assert.Equal(t, errRefused, err)
				}
				_, err = spent(g)
				assert.Equal(t, ErrDown, err)
				time.Sleep(firstPause)
				_, err = spent(g)
				assert.Equal(t, errRefused, err)
				time.Sleep(10 * time.Second) // the deaf ones return
			})
		})
	}
}

// TestGuardFailures_STORE_14: failures count in a row only, and a caller who goes is none.
func TestGuardFailures_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, told := guarded()
		for range 20 {
			w.is(refuses)
			for range maxFailures - 1 {
				_, err := spent(g)
				assert.Equal(t, errRefused, err)
			}
			w.is(nil)
			_, err := spent(g)
			assert.NoError(t, err)
		}
		w.is(deaf)
		for range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := g.Get(ctx, "k")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		time.Sleep(5 * time.Second)
		w.is(nil)
		_, err := spent(g)
		assert.NoError(t, err)
		assert.Empty(t, *told)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		asked := w.times()
		_, err = g.Get(over, "k")
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		assert.Equal(t, asked, w.times(), "nobody waits for an answer")

		for name, call := range map[string]func() error{
			"PutIfAbsent": func() error { _, err := g.PutIfAbsent(over, "k", []byte("v"), time.Hour); return err },
			"Swap":        func() error { _, err := g.Swap(over, "k", []byte("v"), time.Hour); return err },
			"Add":         func() error { _, _, err := g.Add(over, "k", 1, 1, time.Hour); return err },
			"Delete":      func() error { return g.Delete(over, "k") },
		} {
			assert.ErrorIs(t, call(), context.Canceled, name)
		}

		var ctx context.Context
		w.is(func(inner context.Context) error { ctx = inner; return nil })
		_, err = spent(g)
		assert.NoError(t, err)
		assert.ErrorIs(t, ctx.Err(), context.Canceled, "what belongs to a call ends with it")

		for _, row := range []struct {
			ctx  context.Context
			err  error
			want outcome
		}{{t.Context(), nil, good}, {t.Context(), errRefused, bad}, {over, errRefused, unknown}, {over, nil, good}} {
			assert.Equal(t, row.want, judged(row.ctx, row.err))
		}
	})
}

// TestGuardTogether_STORE_14: calls that fail together have failed once, and do not keep a store from being asked; unless they are as
// many as may be left behind.
func TestGuardTogether_STORE_14(t *testing.T) {
	for _, row := range []struct {
		calls, then int // one after the other, that fail too
		down        bool
	}{{20, maxFailures - 2, false}, {20, maxFailures - 1, true}, {63, 0, false}, {64, 0, true}} {
		synctest.Test(t, func(t *testing.T) {
			g, w, told := guarded()
			w.is(deaf)
			var wait sync.WaitGroup
			for range row.calls {
				wait.Go(func() { _, _ = spent(g) })
			}
			wait.Wait()
			w.is(refuses)
			for range row.then {
				_, _ = spent(g)
			}
			assert.Equal(t, row.down, len(*told) > 0, "%v", row)
			_, err := spent(g)
			assert.Equal(t, row.down, errors.Is(err, ErrDown), "%v", row)
			time.Sleep(5 * time.Second)
		})
	}
}

// TestGuardReturned_STORE_14: calls that have been left behind and have returned since are none.
func TestGuardReturned_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, told := guarded()
		for range 2 {
			w.is(deaf)
			for range maxLeft - 1 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				_, _ = g.Get(ctx, "k")
				cancel()
			}
			time.Sleep(5 * time.Second)
		}
		w.is(refuses)
		_, err := spent(g)
		assert.Equal(t, errRefused, err)
		w.is(nil)
		_, err = spent(g)
		assert.NoError(t, err)
		assert.Empty(t, *told)
	})
}

// TestGuardBefore_STORE_14: what was under way before the store failed does not say that it is there again.
func TestGuardBefore_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, told := guarded()
		w.is(func(context.Context) error { time.Sleep(200 * time.Millisecond); return nil })
		var wait sync.WaitGroup
		wait.Go(func() {
			_, err := spent(g)
			assert.NoError(t, err)
		})
		synctest.Wait()
		w.is(refuses)
		for range maxFailures {
			_, _ = spent(g)
		}
		wait.Wait()
		_, err := spent(g)
		assert.Equal(t, ErrDown, err)
		assert.Equal(t, []string{errRefused.Error()}, *told)
	})
}

// TestGuardProbe_STORE_14: one asks whether the store is there again, and the others do not wait for that. A probe whose caller goes says
// nothing, and the next one is a probe.
func TestGuardProbe_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, told := guarded()
		w.is(refuses)
		for range maxFailures {
			_, _ = spent(g)
		}
		time.Sleep(firstPause)
		asked := w.times()
		w.is(func(ctx context.Context) error { time.Sleep(200 * time.Millisecond); return nil })
		var wait sync.WaitGroup
		var mu sync.Mutex
		results := map[error]int{}
		for range 100 {
			wait.Go(func() {
				_, err := spent(g)
				mu.Lock()
				defer mu.Unlock()
				results[err]++
			})
		}
		wait.Wait()
		assert.Equal(t, map[error]int{nil: 1, ErrDown: 99}, results)
		assert.Equal(t, asked+1, w.times())
		assert.Len(t, *told, 2)

		w.is(refuses)
		for range maxFailures {
			_, _ = spent(g)
		}
		time.Sleep(firstPause)
		w.is(deaf)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := g.Get(ctx, "k")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		w.is(nil)
		_, err = spent(g)
		assert.NoError(t, err)
		time.Sleep(5 * time.Second)
	})
}

// TestGuardLeft_STORE_14: beyond 64 calls that have not returned one failure is enough, and the count of goroutines stays where it is.
func TestGuardLeft_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, _ := guarded()
		release := make(chan struct{})
		never := func(context.Context) error { <-release; return nil }
		for i := range maxLeft {
			if i%(maxFailures-1) == maxFailures-2 {
				w.is(nil)
				_, err := spent(g)
				require.NoError(t, err)
			}
			w.is(never)
			_, err := spent(g)
			require.Equal(t, errSlow, err)
		}
		w.is(nil)
		time.Sleep(firstPause)
		_, err := spent(g) // the last one has reached the bound
		require.NoError(t, err)
		w.is(never)
		_, err = spent(g)
		assert.Equal(t, errSlow, err)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 1000 {
			_, err = spent(g)
			require.Equal(t, ErrDown, err)
		}
		assert.LessOrEqual(t, runtime.NumGoroutine(), before)
		close(release)
		time.Sleep(firstPause)
		_, err = spent(g)
		assert.NoError(t, err)
	})
}

// TestGuardPanics_STORE_14: a store that panics, or ends its goroutine, has failed.
func TestGuardPanics_STORE_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, w, told := guarded()
		w.is(func(context.Context) error { panic("secret words") })
		_, err := g.Get(t.Context(), "k")
		assert.EqualError(t, err, "the store has panicked with a string")
		w.is(func(context.Context) error { runtime.Goexit(); return nil })
		for range maxFailures {
			_, err = g.Get(t.Context(), "k")
			assert.Error(t, err)
		}
		assert.Equal(t, ErrDown, err)
		assert.Len(t, *told, 1)
	})
}

// TestGuardPasses_STORE_01: each method reaches that of the store.
func TestGuardPasses_STORE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard(NewMemory(), nil)
		ctx := t.Context()
		held, err := g.PutIfAbsent(ctx, "k", []byte("a"), time.Hour)
		assert.Nil(t, held)
		require.NoError(t, err)
		held, _ = g.PutIfAbsent(ctx, "k", []byte("b"), time.Hour)
		old, _ := g.Swap(ctx, "k", []byte("c"), time.Hour)
		got, _ := g.Get(ctx, "k")
		assert.Equal(t, []string{"a", "a", "c"}, []string{string(held), string(old), string(got)})
		require.NoError(t, g.Delete(ctx, "k"))
		total, ok, err := g.Add(ctx, "k", 2, 3, time.Hour)
		assert.Equal(t, []any{int64(2), true, nil}, []any{total, ok, err})
		total, ok, err = g.Add(ctx, "k", 2, 3, time.Hour)
		assert.Equal(t, []any{int64(2), false, nil}, []any{total, ok, err})
	})
}

// TestMemory_STORE_01: the memory is bounded, what is over makes room, and nothing goes before its time.
func TestMemory_STORE_01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ctx := NewMemory(), t.Context()
		value := bytes.Repeat([]byte("v"), 64<<10)
		n := 0
		for ; ; n++ {
			if _, err := m.PutIfAbsent(ctx, fmt.Sprint(n), value, time.Minute); err != nil {
				assert.Equal(t, ErrFull, err)
				break
			}
		}
		assert.Equal(t, maxOthers/(entryCost+3+len(value)), n)
		revoked := 0
		for ; ; revoked++ {
			if _, err := m.Swap(ctx, fmt.Sprint("r:", revoked), value, time.Minute); err != nil {
				assert.Equal(t, ErrFull, err)
				break
			}
		}
		assert.Equal(t, (maxMemory-maxOthers)/(entryCost+5+len(value)), revoked, "there is room for revocations")
		_, err := m.Swap(ctx, "0", append(value, value...), time.Minute)
		assert.Equal(t, ErrFull, err)
		got, _ := m.Get(ctx, "0")
		assert.Equal(t, value, got, "what does not fit has taken nothing away")
		_, err = m.Swap(ctx, "0", []byte("w"), time.Hour)
		assert.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = m.PutIfAbsent(ctx, "more", value, time.Minute)
		assert.NoError(t, err)
		assert.Len(t, m.entries, 2)
		require.NoError(t, m.Delete(ctx, "0"))
		require.NoError(t, m.Delete(ctx, "more"))
		assert.Zero(t, m.size)
		assert.Zero(t, m.others)

		_, err = m.PutIfAbsent(ctx, "k", nil, time.Minute)
		assert.Error(t, err)
		_, err = m.Swap(ctx, "k", value, 0)
		assert.Error(t, err)
		_, err = m.Swap(ctx, "k", []byte("no number"), time.Minute)
		assert.NoError(t, err)
		_, _, err = m.Add(ctx, "k", 1, 2, time.Minute)
		assert.EqualError(t, err, "the entry is no count")
		_, _, err = m.Add(ctx, "j", 0, 2, time.Minute)
		assert.Error(t, err)
		_, _, err = m.Add(ctx, "j", 1, 2, 0)
		assert.Error(t, err)
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err = m.Get(over, "k")
		assert.Error(t, err)
	})
}

// TestSpace_STORE_02_STORE_03: names have one length and tell nothing; texts are sealed for their name; what another key or another
// release has written is not there, and is told once.
func TestSpace_STORE_02_STORE_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, told := NewMemory(), []error{}
		space := func(keys ...string) *Space {
			var all [][]byte
			for _, key := range keys {
				all = append(all, bytes.Repeat([]byte(key), 32))
			}
			s, err := NewSpace(NewGuard(memory, func(err error) { told = append(told, err) }), all...)
			require.NoError(t, err)
			return s
		}
		ctx := t.Context()
		s := space("a")
		name := s.Name(Task, "subject", "id")
		assert.Regexp(t, `^t:[\w-]{22}$`, name)
		for _, other := range []string{s.Name(Task, "subjecti", "d"), s.Name(Place, "subject", "id"), s.Name(Task, "subject"), space("b").Name(Task, "subject", "id")} {
			assert.NotEqual(t, name, other)
		}
		_, err := s.Swap(ctx, name, s.Seal(name, []byte("a canary")), time.Hour)
		require.NoError(t, err)
		for key, e := range memory.entries {
			assert.NotContains(t, key+string(e.value), "canary")
			assert.NotContains(t, key+string(e.value), "subject")
		}
		read := func(s *Space) (string, bool) {
			e, err := s.Read(ctx, Task, "subject", "id")
			require.NoError(t, err)
			return string(e.Text), e.Value != nil
		}
		for _, row := range []struct {
			space *Space
			text  string
			there bool
		}{
			{s, "a canary", true}, {space("a", "b"), "a canary", true}, {space("b", "a"), "a canary", true}, {space("c", "b", "a"), "a canary", true}, {space("b"), "", false},
		} {
			text, there := read(row.space)
			assert.Equal(t, row.text, text)
			assert.Equal(t, row.there, there)
		}
		assert.Empty(t, told)
		other := s.Name(Task, "another")
		for _, value := range []string{"v9." + string(s.Seal(name, []byte("x"))), "1.", "x", string(s.Seal(other, []byte("of another entry")))} {
			_, err := memory.Swap(ctx, name, []byte(value), time.Hour)
			require.NoError(t, err)
			text, there := read(s)
			assert.Empty(t, text)
			assert.True(t, there)
		}
		assert.Equal(t, []error{ErrUnreadable}, told)
	})
}
