package owned

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestStreamPlaces_LIMITS_09: no race gives a principal a place too many, and
// what is over leaves nothing behind.
func TestStreamPlaces_LIMITS_09(t *testing.T) {
	var streams Streams
	var now, most atomic.Int32
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			c := Caller{Subject: fmt.Sprint(i % 2)}
			for range 200 {
				if !streams.Begin(c) {
					continue
				}
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				now.Add(-1)
				streams.End(c, "", "")
			}
		})
	}
	wait.Wait()
	assert.LessOrEqual(t, most.Load(), int32(2*maxStreams))
	assert.Empty(t, streams.places.held)
	a, b := Caller{Subject: "a"}, Caller{Subject: "b"}
	for range maxStreams {
		assert.True(t, streams.Begin(a))
	}
	assert.False(t, streams.Begin(a))
	assert.True(t, streams.Begin(b))
}

// A subscription by HTTP+SSE keeps its place until the last stream ends that may carry it.
func TestCarriedStreams_LIMITS_09(t *testing.T) {
	var streams Streams
	c := Caller{Subject: "u"}
	held := func() int { return streams.places.held[c.Key()] }
	subscribe := func(tag string) {
		assert.True(t, streams.Begin(c))
		streams.End(c, "", tag)
	}
	open := func(tag string) {
		assert.True(t, streams.Begin(c))
		streams.Announce(tag)
	}
	open("tag")
	subscribe("tag")
	subscribe("another tag")
	assert.Equal(t, 2, held())
	open("tag") // the second of two streams with one endpoint
	subscribe("tag")
	open("of its own")
	subscribe("of its own")
	assert.Equal(t, 6, held())
	streams.End(c, "tag", "")
	assert.Equal(t, 5, held(), "the second may carry both")
	subscribe("tag")
	assert.Equal(t, 6, held())
	streams.End(c, "of its own", "")
	assert.Equal(t, 4, held())
	streams.End(c, "tag", "")
	assert.Zero(t, held())
	subscribe("tag")
	assert.Zero(t, held(), "nothing carries it any more")
	assert.Empty(t, streams.open)
}

func TestAccounts_LIMITS_13(t *testing.T) {
	var a Accounts
	assert.True(t, a.Take("u1", 60, 100))
	assert.False(t, a.Take("u1", 41, 100))
	assert.True(t, a.Take("u1", 40, 100))
	assert.False(t, a.Take("u1", 1, 100))
	assert.True(t, a.Take("u2", 100, 100), "another owner has an account of its own")
	assert.False(t, a.Take("u3", 101, 100))
	a.Give("u1", 60)
	assert.True(t, a.Take("u1", 1, 100))
	a.Give("u1", 41)
	a.Give("u2", 100)
	assert.Empty(t, a.held, "who holds nothing leaves nothing behind")
}
