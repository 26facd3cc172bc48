package isolation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestTwoWindows_ISOL_01: two windows of one user's one client call at the same
// time, under the same ids and tokens, and each has all of its own notifications
// and nothing of the other's, with sessions and without.
func TestTwoWindows_ISOL_01_ISOL_11(t *testing.T) {
	issuers := newIssuers(t)
	everyBackend(t, func(t *testing.T, b *backend) {
		for _, era := range sides {
			if !b.serves(era.side) || !b.hears(era.side) {
				continue
			}
			t.Run(era.era, func(t *testing.T) {
				w := newWorld(t, issuers, b, false)
				for _, count := range []int{20, 100} { // 100 are what mcp-go keeps of a session at a time
					twoWindows(t, w, b, era.side, count)
				}
			})
		}
	})
}

func twoWindows(t *testing.T, w *world, b *backend, s side, count int) {
	type window struct {
		*caller
		canary, tag string
	}
	gate, last := unique("gate"), unique("gate")
	defer theStage.open(last)
	windows := make([]*window, 2)
	for i := range windows {
		one := &window{w.caller(t, "window", pairs[0].victim, s.version), unique("canary"), unique("call")}
		windows[i] = one
		if s.presence == own && !one.begin(b.level) {
			t.Fatalf("no session: %s", one.saw())
		}
		if !s.modern() && !b.sse {
			stream := one.listen()
			stream.began()
			assert.True(t, s.presence == nobody || stream.status == http.StatusOK)
		}
		one.call(1, "run", one.tag, step{Do: "wait", Gate: gate}, step{Do: "notify", Text: one.canary, N: count / 2},
			step{Do: "progress", Token: "p", Text: one.canary, From: count / 2, N: count - count/2},
			step{Do: "wait", Gate: last}, step{Do: "say", Text: one.canary + "-done"})
	}
	theStage.until(func() bool {
		return theStage.has(windows[0].tag, "waits "+gate) && theStage.has(windows[1].tag, "waits "+gate)
	})
	theStage.open(gate)
	for i, one := range windows {
		theStage.until(func() bool { return one.numbers(one.canary, count) == count })
		assert.Equal(t, count, one.numbers(one.canary, count), "window %d has all of its own", i)
	}
	theStage.open(last)
	for i, one := range windows {
		assert.True(t, one.awaits(one.canary+"-done"), "window %d has its result", i)
		assert.False(t, strings.Contains(one.saw(), windows[1-i].canary), "window %d has something of the other's", i)
		one.leave()
	}
}
