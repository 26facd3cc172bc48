package mcpauth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/owned"
)

// TestStreamPlaces_LIMITS_09: no race gives a principal a place too many, and
// what is over leaves nothing behind.
func TestStreamPlaces_LIMITS_09(t *testing.T) {
	var places owned.Accounts
	var now, most atomic.Int32
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			key := fmt.Sprint(i % 2)
			for range 200 {
				if !places.Take(key, 1, maxStreams) {
					continue
				}
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				now.Add(-1)
				places.Give(key, 1)
			}
		})
	}
	wait.Wait()
	assert.LessOrEqual(t, most.Load(), int32(2*maxStreams))
	for range maxStreams {
		assert.True(t, places.Take("a", 1, maxStreams))
	}
	assert.False(t, places.Take("a", 1, maxStreams))
	assert.True(t, places.Take("b", 1, maxStreams))
}

// TestTaskRace_MCP_80: of several principals to whom one id is given at once, none has the task.
func TestTaskRace_MCP_80(t *testing.T) {
	store := newTasks()
	var owners atomic.Int32
	var wait, all sync.WaitGroup
	all.Add(8)
	for i := range 8 {
		wait.Go(func() {
			p := &Principal{Subject: fmt.Sprint(i)}
			store.begin("t", p, Call{Name: "echo"}, "")
			all.Done()
			all.Wait()
			if _, ok := store.of("t", p); ok {
				owners.Add(1)
			}
		})
	}
	wait.Wait()
	assert.Zero(t, owners.Load())
}
