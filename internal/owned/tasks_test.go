package owned

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testCall is the call that begins a task in these tests, by its name.
type testCall = Begun[string]

func user(name string) Caller { return Caller{Issuer: "https://as.example.com", Subject: name} }

// TestTaskBound_MCP_83: a hundred principals have a thousand tasks each, all at once,
// and beyond that the ones not used for longest are forgotten.
func TestTaskBound_MCP_83(t *testing.T) {
	store := NewTasks[string](nil)
	call := testCall{Call: "echo"}
	owner := func(i int) Caller { return user(fmt.Sprint("user-", i)) }
	knows := func(i, task int) bool {
		_, ok, _ := store.Of(t.Context(), owner(i), fmt.Sprint(i, "-", task))
		return ok
	}
	for i := range 100 {
		for task := range 1000 {
			store.Begin(t.Context(), owner(i), fmt.Sprint(i, "-", task), call)
		}
	}
	for i := range 100 {
		require.True(t, knows(i, 0), i)
		require.True(t, knows(i, 999), i)
	}
	store.Begin(t.Context(), owner(0), "0-1000", call)
	assert.True(t, knows(0, 0), "used a moment ago")
	assert.False(t, knows(0, 1), "longest unused")
	for task := range 20 {
		store.Begin(t.Context(), owner(100), fmt.Sprint("100-", task), call)
	}
	assert.True(t, knows(100, 0))
	kept := 20
	for i := range 100 {
		for task := range 1001 {
			if knows(i, task) {
				kept++
			}
		}
	}
	assert.Equal(t, maxTaskMemory/taskOverhead, kept, "those who hold most made room")
	assert.Equal(t, 100_013, kept)
}

// TestManySybils_STORE_05: 200 principals with a thousand tasks each leave somebody the one that it has.
func TestManySybils_STORE_05(t *testing.T) {
	store := NewTasks[string](nil)
	owner := user("user-1")
	store.Begin(t.Context(), owner, "mine", testCall{Arguments: make([]byte, maxTaskArguments)})
	for i := range 200 {
		sybil := user(fmt.Sprint("sybil-", i))
		for task := range 1000 {
			store.Begin(t.Context(), sybil, fmt.Sprint(i, "-", task), testCall{Call: "echo"})
		}
	}
	_, ok, _ := store.Of(t.Context(), owner, "mine")
	assert.True(t, ok)
	for i := range 200 { // who came first has no less than who came last
		_, ok, _ := store.Of(t.Context(), user(fmt.Sprint("sybil-", i)), fmt.Sprint(i, "-", 999))
		require.True(t, ok, i)
	}
}

// TestTaskMemory_MCP_83: ids and arguments are bounded too, and what is kept is a copy.
func TestTaskMemory_MCP_83(t *testing.T) {
	store := NewTasks[string](nil)
	owner := user("user-1")
	knows := func(id string) bool { _, ok, _ := store.Of(t.Context(), owner, id); return ok }
	arguments := []byte(strings.Repeat("a", maxTaskArguments))
	for i := range 65 {
		store.Begin(t.Context(), owner, fmt.Sprint(i), testCall{Arguments: arguments})
	}
	assert.False(t, knows("0"), "4 MiB are 64 times 64 KiB")
	assert.True(t, knows("1"))
	require.ErrorIs(t, store.Begin(t.Context(), owner, "large", testCall{Arguments: append(arguments, 'a')}), ErrLongArguments)
	require.ErrorIs(t, store.Begin(t.Context(), owner, strings.Repeat("i", maxTaskID+1), testCall{}), ErrLongID)
	assert.False(t, knows("large"))
	assert.False(t, knows(strings.Repeat("i", maxTaskID+1)))
	assert.True(t, knows("2"), "what is not kept pushes nothing out")
	store.Begin(t.Context(), owner, strings.Repeat("i", maxTaskID), testCall{})
	assert.True(t, knows(strings.Repeat("i", maxTaskID)))
	require.NoError(t, store.Begin(t.Context(), owner, "2", testCall{Arguments: arguments}), "its own, once more")
	require.ErrorIs(t, store.Begin(t.Context(), user("user-2"), "2", testCall{}), ErrOthersTask)
	arguments[0] = 'b'
	kept, ok, _ := store.Of(t.Context(), owner, "64")
	require.True(t, ok)
	assert.Equal(t, byte('a'), kept.Arguments[0], "what is kept is a copy")
}

// TestOwedAnswers_MCP_85_LIMITS_13: calls that await their answer are bounded, and who has many loses its own.
func TestOwedAnswers_MCP_85_LIMITS_13(t *testing.T) {
	o := NewTasks[string](nil)
	began := func(tool string, arguments []byte) testCall { return testCall{Call: tool, Arguments: arguments} }
	takes := func(name, by, tool string) {
		t.Helper()
		got, known := o.Answered(user(by), name)
		assert.Equal(t, tool != "", known, name)
		assert.Equal(t, tool, got.Call, name)
	}
	arguments := []byte(`{"a":1}`)
	o.Await(user("u1"), "once", began("echo", arguments))
	o.Await(user("u1"), "twice", began("echo", arguments))
	o.Await(user("u1"), "twice", began("echo", []byte(`{"a":1}`)))
	o.Await(user("u1"), "other tool", began("echo", nil))
	o.Await(user("u1"), "other tool", began("admin_delete", nil))
	o.Await(user("u1"), "other tool", began("admin_delete", nil))
	o.Await(user("u1"), "other arguments", began("echo", arguments))
	o.Await(user("u1"), "other arguments", began("echo", []byte(`{"a":2}`)))
	o.Await(user("u1"), "long", began("echo", make([]byte, maxTaskArguments+1)))
	o.Await(user("u1"), "long", began("echo", nil))
	o.Await(user("u1"), "long alone", began("echo", make([]byte, maxTaskArguments+1)))
	o.Await(user("u1"), "as long as it may be", began("echo", make([]byte, maxTaskArguments)))
	takes("long alone", "u1", "")
	takes("as long as it may be", "u1", "echo")
	o.Await(user("u1"), "copied", began("echo", arguments))
	arguments[2] = 'b'
	copied, _ := o.Answered(user("u1"), "copied")
	assert.JSONEq(t, `{"a":1}`, string(copied.Arguments))
	takes("once", "u2", "")
	got, _ := o.Answered(user("u1"), "twice")
	assert.JSONEq(t, `{"a":1}`, string(got.Arguments), "what is kept is a copy")
	for _, name := range []string{"twice", "other tool", "other arguments", "long", "never"} {
		takes(name, "u1", "")
	}

	for i := range maxOwnTasks + 1 {
		o.Await(user("u2"), fmt.Sprint("flood ", i), began("echo", nil))
	}
	for i := range 100 {
		for j := range maxOwnTasks {
			o.Await(user(fmt.Sprint("sybil ", i)), fmt.Sprint("sybil ", i, " ", j), began("echo", nil))
		}
	}
	kept := 0
	for i := range 100 {
		for j := range maxOwnTasks {
			if _, known := o.Answered(user(fmt.Sprint("sybil ", i)), fmt.Sprint("sybil ", i, " ", j)); known {
				kept++
			}
		}
	}
	assert.LessOrEqual(t, kept, maxOwedMemory/taskOverhead)
	assert.Greater(t, kept, 20_000)
	takes("flood 0", "u2", "")
	takes("flood 1000", "u2", "echo")
	takes("once", "u1", "echo")
	takes("once", "u1", "")
}

// TestTaskRace_MCP_80: of several principals to whom one id is given at once, none has the task.
func TestTaskRace_MCP_80(t *testing.T) {
	store := NewTasks[string](nil)
	var owners atomic.Int32
	var wait, all sync.WaitGroup
	all.Add(8)
	for i := range 8 {
		wait.Go(func() {
			c := user(fmt.Sprint(i))
			_ = store.Begin(t.Context(), c, "t", testCall{Call: "echo"})
			all.Done()
			all.Wait()
			if _, ok, _ := store.Of(t.Context(), c, "t"); ok {
				owners.Add(1)
			}
		})
	}
	wait.Wait()
	assert.Zero(t, owners.Load())
}
