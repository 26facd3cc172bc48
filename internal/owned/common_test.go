package owned

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/shared"
)

// between is a store in which something happens in front of a step.
type between struct {
	*shared.Memory
	put, swap func() error
}

func (b *between) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if do := b.put; do != nil {
		b.put = nil
		if err := do(); err != nil {
			return nil, err
		}
	}
	return b.Memory.PutIfAbsent(ctx, key, value, ttl)
}

func (b *between) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	if do := b.swap; do != nil {
		if err := do(); err != nil {
			return nil, err
		}
	}
	return b.Memory.Swap(ctx, key, value, ttl)
}

func commonTasks(t *testing.T, store shared.Store) *Tasks[string] {
	space, err := shared.NewSpace(shared.NewGuard(store, func(error) {}), bytes.Repeat([]byte("key."), 8))
	require.NoError(t, err)
	return NewTasks[string](space)
}

// TestCommonRace_STORE_04: of several principals to whom replicas give one id at once, none has the task.
func TestCommonRace_STORE_04(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := shared.NewMemory()
		for round := range 50 {
			var owners atomic.Int32
			var wait, all sync.WaitGroup
			all.Add(8)
			id := fmt.Sprint("t", round)
			for i := range 8 {
				replica := commonTasks(t, memory)
				wait.Go(func() {
					c := user(fmt.Sprint(i))
					_ = replica.Begin(t.Context(), c, id, testCall{Call: "echo"})
					all.Done()
					all.Wait()
					if _, ok, err := replica.Of(t.Context(), c, id); ok || err != nil {
						owners.Add(1)
					}
				})
			}
			wait.Wait()
			require.Zero(t, owners.Load())
		}
	})
}

// TestCommonBetween_STORE_04: who comes between the look and the step of another is seen: it is the same principal, and the task is its own, or
// another one, and the task is nobody's. What fails leaves the task with this process.
func TestCommonBetween_STORE_04_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errGone := errors.New("gone")
		for name, tt := range map[string]struct {
			other    string // who comes between
			call     string // with which, if it is another one
			putFails error
			want     error
			own      bool
		}{
			"the same":     {other: "u1", own: true},
			"another call": {other: "u1", call: "admin", want: ErrOthersTask},
			"another":      {other: "u2", want: ErrOthersTask},
			"the failure":  {putFails: errGone, want: ErrLate, own: true},
		} {
			store := &between{Memory: shared.NewMemory()}
			a, b := commonTasks(t, store), commonTasks(t, store.Memory)
			store.put = func() error {
				if tt.other != "" {
					require.NoError(t, b.Begin(t.Context(), user(tt.other), "t", testCall{Call: cmp.Or(tt.call, "echo"), Arguments: []byte(`{}`)}))
				}
				return tt.putFails
			}
			err := a.Begin(t.Context(), user("u1"), "t", testCall{Call: "echo", Arguments: []byte(`{}`)})
			assert.ErrorIs(t, err, tt.want, name)
			began, own, err := a.Of(t.Context(), user("u1"), "t")
			assert.NoError(t, err, name)
			assert.Equal(t, tt.own, own, name)
			if own {
				assert.Equal(t, "echo", began.Call, name)
			}
			_, own, err = b.Of(t.Context(), user("u2"), "t")
			assert.NoError(t, err, name)
			assert.False(t, own, name)
		}
		store := &between{Memory: shared.NewMemory()}
		a, b := commonTasks(t, store), commonTasks(t, store.Memory)
		require.NoError(t, a.Begin(t.Context(), user("u1"), "t", testCall{}))
		store.swap = func() error { return errGone }
		assert.ErrorIs(t, b.Begin(t.Context(), user("u2"), "t", testCall{}), ErrOthersTask)
		assert.ErrorIs(t, a.Begin(t.Context(), user("u3"), "t", testCall{}), ErrLate, "it cannot be made nobody's")
		_, own, err := a.Of(t.Context(), user("u3"), "t")
		assert.Error(t, err)
		assert.False(t, own)
		_, own, err = a.Of(t.Context(), user("u3"), string(make([]byte, maxTaskID+1)))
		assert.NoError(t, err)
		assert.False(t, own)
	})
}

// TestSameID_MCP_80_MCP_81_STORE_04: an id that one principal's calls have both been given is nobody's, as by the time nobody knows which of
// them has the task. The same call, sent twice, has it still.
func TestSameID_MCP_80_MCP_81_STORE_04(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, arguments := testCall{Call: "echo"}, testCall{Call: "echo", Arguments: []byte(`{"a":1}`)}
		for name, tt := range map[string]struct {
			second testCall
			own    bool
		}{
			"the same call": {first, true}, "under another alias": {testCall{Call: "echo", Alias: "other"}, true}, "another tool": {testCall{Call: "admin"}, false}, "other arguments": {arguments, false},
		} {
			memory := shared.NewMemory()
			late := &between{Memory: shared.NewMemory()}
			for kind, beds := range map[string][2]*Tasks[string]{
				"shared": {commonTasks(t, memory), commonTasks(t, memory)}, "late": {commonTasks(t, late), nil}, "own": {NewTasks[string](nil), nil},
			} {
				a, b := beds[0], beds[1]
				if b == nil {
					b = a
				}
				fail := func() { late.put = func() error { return errors.New("gone") } }
				fail()
				_ = a.Begin(t.Context(), user("u"), "1", first)
				fail()
				err := b.Begin(t.Context(), user("u"), "1", tt.second)
				late.put = nil
				assert.Equal(t, !tt.own, errors.Is(err, ErrOthersTask), "%s, %s: %v", name, kind, err)
				for _, replica := range []*Tasks[string]{a, b} {
					began, own, err := replica.Of(t.Context(), user("u"), "1")
					assert.NoError(t, err, "%s, %s", name, kind)
					assert.Equal(t, tt.own, own, "%s, %s", name, kind)
					assert.Equal(t, tt.own, began.Call == "echo", "%s, %s", name, kind)
				}
			}
		}
	})
}

// TestManyClients_STORE_05: one principal with many clients fills no store: others have room, and so have revocations. It loses its own oldest.
func TestManyClients_STORE_05_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := shared.NewMemory()
		tasks, ctx := commonTasks(t, memory), t.Context()
		arguments := bytes.Repeat([]byte("a"), placeSize)
		first := user("user-1")
		require.NoError(t, tasks.Begin(ctx, first, "mine", testCall{Call: "echo", Arguments: arguments}))
		const clients = 14
		id := func(client, task int) string { return fmt.Sprint("m", client, "-", task) }
		for client := range clients {
			c := user("mallory")
			c.ClientID = fmt.Sprint("client-", client)
			for i := range maxOwnTasks {
				require.NoError(t, tasks.Begin(ctx, c, id(client, i), testCall{Call: "echo", Arguments: arguments}), "%d %d", client, i)
			}
		}
		_, err := memory.Swap(ctx, "r:revocation------------", bytes.Repeat([]byte("1"), 45), time.Hour)
		assert.NoError(t, err)
		for _, id := range []string{"mine", "another"} {
			require.NoError(t, tasks.Begin(ctx, first, id, testCall{Call: "echo", Arguments: arguments}))
			_, own, err := tasks.Of(ctx, first, id)
			assert.NoError(t, err)
			assert.True(t, own, id)
		}
		for task, want := range map[string]bool{
			id(0, 0): false, id(clients-5, maxOwnTasks-1): false, id(clients-4, 0): true, id(clients-1, maxOwnTasks-1): true,
		} {
			_, own, err := tasks.Of(ctx, user("mallory"), task)
			assert.NoError(t, err)
			assert.Equal(t, want, own, task)
		}
	})
}

// TestBegunText_STORE_03: what is no text of ours is nobody's.
func TestBegunText_STORE_03(t *testing.T) {
	text, err := writeBegun("owner", testCall{Call: "echo", Arguments: []byte(`{"a":1}`), Alias: "alias"})
	require.NoError(t, err)
	owner, began := readBegun[string](text)
	assert.Equal(t, "owner", owner)
	assert.Equal(t, testCall{Call: "echo", Arguments: []byte(`{"a":1}`), Alias: "alias"}, began)
	for n := range len(text) - len(`{"a":1}`) {
		owner, began = readBegun[string](text[:n])
		assert.Empty(t, owner, n)
		assert.Empty(t, began, n)
	}
	owner, _ = readBegun[string](AppendField(AppendField(AppendField(nil, "owner"), "no JSON"), ""))
	assert.Empty(t, owner)
	text, err = writeBegun("owner", testCall{Call: "echo"})
	require.NoError(t, err)
	_, began = readBegun[string](text)
	assert.Equal(t, testCall{Call: "echo"}, began, "no arguments are none")
}
