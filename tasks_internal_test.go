package mcpauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTaskBound_MCP_83: a hundred principals have a thousand tasks each, all at once,
// and beyond that the ones not used for longest are forgotten.
func TestTaskBound_MCP_83(t *testing.T) {
	store := newTasks()
	call := Call{Method: "tools/call", Kind: KindTool, Name: "echo"}
	owner := func(i int) *Principal {
		return &Principal{Issuer: "https://as.example.com", Subject: fmt.Sprint("user-", i)}
	}
	knows := func(i, task int) bool { _, ok := store.of(fmt.Sprint(i, "-", task), owner(i)); return ok }
	for i := range 100 {
		for task := range 1000 {
			store.begin(fmt.Sprint(i, "-", task), owner(i), call, "")
		}
	}
	for i := range 100 {
		require.True(t, knows(i, 0), i)
		require.True(t, knows(i, 999), i)
	}
	store.begin("0-1000", owner(0), call, "")
	assert.True(t, knows(0, 0), "used a moment ago")
	assert.False(t, knows(0, 1), "longest unused")
	for task := range 20 {
		store.begin(fmt.Sprint("100-", task), owner(100), call, "")
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
	store := newTasks()
	owner := &Principal{Issuer: "https://as.example.com", Subject: "user-1"}
	store.begin("mine", owner, Call{Arguments: make([]byte, maxTaskArguments)}, "")
	for i := range 200 {
		sybil := &Principal{Issuer: "https://as.example.com", Subject: fmt.Sprint("sybil-", i)}
		for task := range 1000 {
			store.begin(fmt.Sprint(i, "-", task), sybil, Call{Name: "echo"}, "")
		}
	}
	_, ok := store.of("mine", owner)
	assert.True(t, ok)
	for i := range 200 { // who came first has no less than who came last
		_, ok := store.of(fmt.Sprint(i, "-", 999), &Principal{Issuer: "https://as.example.com", Subject: fmt.Sprint("sybil-", i)})
		require.True(t, ok, i)
	}
}

// TestTaskMemory_MCP_83: ids and arguments are bounded too, and what is kept is a copy.
func TestTaskMemory_MCP_83(t *testing.T) {
	store := newTasks()
	owner := &Principal{Issuer: "https://as.example.com", Subject: "user-1"}
	knows := func(id string) bool { _, ok := store.of(id, owner); return ok }
	arguments := []byte(strings.Repeat("a", maxTaskArguments))
	for i := range 65 {
		store.begin(fmt.Sprint(i), owner, Call{Arguments: arguments}, "")
	}
	assert.False(t, knows("0"), "4 MiB are 64 times 64 KiB")
	assert.True(t, knows("1"))
	store.begin("large", owner, Call{Arguments: append(arguments, 'a')}, "")
	store.begin(strings.Repeat("i", maxTaskID+1), owner, Call{}, "")
	assert.False(t, knows("large"))
	assert.False(t, knows(strings.Repeat("i", maxTaskID+1)))
	assert.True(t, knows("2"), "what is not kept pushes nothing out")
	store.begin(strings.Repeat("i", maxTaskID), owner, Call{}, "")
	assert.True(t, knows(strings.Repeat("i", maxTaskID)))
	arguments[0] = 'b'
	kept, ok := store.of("64", owner)
	require.True(t, ok)
	assert.Equal(t, byte('a'), kept.call.Arguments[0], "what is kept is a copy")
}

// TestOwedAnswers_MCP_85_LIMITS_13: calls that await their answer are bounded, and who has many loses its own.
func TestOwedAnswers_MCP_85_LIMITS_13(t *testing.T) {
	o := newOwedAnswers()
	owner := func(name string) *Principal {
		return &Principal{Issuer: "https://as.example.com", Subject: name}
	}
	began := func(tool string, arguments []byte) begunTask {
		return begunTask{call: Call{Method: "tools/call", Kind: KindTool, Name: tool, Arguments: arguments}}
	}
	takes := func(name, by, tool string) {
		t.Helper()
		got, known := o.take(name, owner(by))
		assert.Equal(t, tool != "", known, name)
		assert.Equal(t, tool, got.call.Name, name)
	}
	arguments := []byte(`{"a":1}`)
	o.add("once", owner("u1"), began("echo", arguments))
	o.add("twice", owner("u1"), began("echo", arguments))
	o.add("twice", owner("u1"), began("echo", []byte(`{"a":1}`)))
	o.add("other tool", owner("u1"), began("echo", nil))
	o.add("other tool", owner("u1"), began("admin_delete", nil))
	o.add("other tool", owner("u1"), began("admin_delete", nil))
	o.add("other arguments", owner("u1"), began("echo", arguments))
	o.add("other arguments", owner("u1"), began("echo", []byte(`{"a":2}`)))
	o.add("long", owner("u1"), began("echo", make([]byte, maxTaskArguments+1)))
	o.add("long", owner("u1"), began("echo", nil))
	arguments[2] = 'b'
	takes("once", "u2", "")
	got, _ := o.take("twice", owner("u1"))
	assert.JSONEq(t, `{"a":1}`, string(got.call.Arguments), "what is kept is a copy")
	for _, name := range []string{"twice", "other tool", "other arguments", "long", "never"} {
		takes(name, "u1", "")
	}

	for i := range maxOwnTasks + 1 {
		o.add(fmt.Sprint("flood ", i), owner("u2"), began("echo", nil))
	}
	for i := range 100 {
		for j := range maxOwnTasks {
			o.add(fmt.Sprint("sybil ", i, " ", j), owner(fmt.Sprint("sybil ", i)), began("echo", nil))
		}
	}
	kept := 0
	for i := range 100 {
		for j := range maxOwnTasks {
			if _, known := o.take(fmt.Sprint("sybil ", i, " ", j), owner(fmt.Sprint("sybil ", i))); known {
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
