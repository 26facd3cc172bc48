package mcpauth

import (
	"container/list"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestTaskBound_MCP_83: the store holds 100,000 tasks and forgets the ones that were not used for longest.
func TestTaskBound_MCP_83(t *testing.T) {
	store := tasks{byID: map[string]*list.Element{}}
	owner := &Principal{Issuer: "https://as.example.com", Subject: "user-1"}
	call := Call{Method: "tools/call", Kind: KindTool, Name: "echo"}
	knows := func(i int) bool { _, ok := store.of(fmt.Sprint(i), owner); return ok }
	for i := range maxTasks {
		store.begin(fmt.Sprint(i), owner, call)
	}
	assert.True(t, knows(0), "and it is used again now")
	for i := range 10 {
		store.begin(fmt.Sprint(maxTasks+i), owner, call)
	}
	assert.Equal(t, maxTasks, store.recent.Len())
	assert.Len(t, store.byID, maxTasks)
	assert.True(t, knows(0))
	assert.False(t, knows(1))
	assert.False(t, knows(10))
	assert.True(t, knows(11))
	assert.True(t, knows(maxTasks+9))
}

// TestTaskMemory_MCP_83: ids and arguments are bounded too.
func TestTaskMemory_MCP_83(t *testing.T) {
	store := tasks{byID: map[string]*list.Element{}}
	owner := &Principal{Issuer: "https://as.example.com", Subject: "user-1"}
	arguments := []byte(strings.Repeat("a", maxTaskArguments))
	for i := range 2000 {
		store.begin(fmt.Sprint(i), owner, Call{Arguments: arguments})
		assert.LessOrEqual(t, store.held, maxTaskMemory)
	}
	assert.Equal(t, maxTaskMemory/maxTaskArguments, store.recent.Len())
	assert.Equal(t, maxTaskMemory, store.held)
	before := store.recent.Len()
	store.begin("large", owner, Call{Arguments: append(arguments, 'a')})
	store.begin(strings.Repeat("i", maxTaskID+1), owner, Call{})
	assert.Equal(t, before, store.recent.Len())
	store.begin(strings.Repeat("i", maxTaskID), owner, Call{})
	assert.Equal(t, before+1, store.recent.Len())
	arguments[0] = 'b'
	kept, ok := store.of("1999", owner)
	assert.True(t, ok)
	assert.Equal(t, byte('a'), kept.Arguments[0], "what is kept is a copy")
}
