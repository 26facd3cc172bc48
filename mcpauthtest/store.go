package mcpauthtest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
)

const (
	storeUsers = 64 // at once
	storeLife  = time.Hour
	storeShort = 50 * time.Millisecond
)

// StoreConformance tests an implementation of [mcpauth.Store]: that each step happens whole or not at all, that what is over is not
// there, and that values are nobody else's. What it leaves behind lives for an hour at most.
func StoreConformance(t *testing.T, store mcpauth.Store) {
	for name, test := range map[string]func(*storeTest){
		"put": (*storeTest).put, "one winner": (*storeTest).winner, "swap": (*storeTest).swap, "each value once": (*storeTest).once, "add": (*storeTest).add,
		"limit": (*storeTest).limit, "time to live": (*storeTest).ends, "copies": (*storeTest).copies, "any bytes": (*storeTest).bytes,
	} {
		t.Run(name, func(t *testing.T) { test(&storeTest{t, store, storeKey()}) })
	}
}

// storeTest is one test, with a key of its own.
type storeTest struct {
	*testing.T
	store mcpauth.Store
	key   string
}

func storeKey() string {
	var random [16]byte
	_, _ = rand.Read(random[:])
	return "x:" + base64.RawURLEncoding.EncodeToString(random[:])
}

// is compares what a call has returned.
func (t *storeTest) is(what string, got []byte, err error, want []byte) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
		t.Errorf("%s: got %.40q, want %.40q", what, got, want)
	}
}

func (t *storeTest) get(want []byte) {
	t.Helper()
	got, err := t.store.Get(t.Context(), t.key)
	t.is("Get", got, err, want)
}

func (t *storeTest) puts(value string, life time.Duration, want []byte) {
	t.Helper()
	held, err := t.store.PutIfAbsent(t.Context(), t.key, []byte(value), life)
	t.is("PutIfAbsent "+value, held, err, want)
}

func (t *storeTest) swaps(value string, life time.Duration, want []byte) {
	t.Helper()
	old, err := t.store.Swap(t.Context(), t.key, []byte(value), life)
	t.is("Swap "+value, old, err, want)
}

func (t *storeTest) adds(n, limit int64, life time.Duration, total int64, added bool) {
	t.Helper()
	got, ok, err := t.store.Add(t.Context(), t.key, n, limit, life)
	if err != nil || got != total || ok != added {
		t.Errorf("Add %d up to %d: got %d, %t, %v, want %d, %t", n, limit, got, ok, err, total, added)
	}
}

func (t *storeTest) deletes() {
	t.Helper()
	if err := t.store.Delete(t.Context(), t.key); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

func (t *storeTest) put() {
	t.get(nil)
	t.puts("a", storeLife, nil)
	t.puts("b", storeLife, []byte("a"))
	t.get([]byte("a"))
	t.deletes()
	t.get(nil)
	t.deletes()
	t.puts("c", storeLife, nil)
}

func (t *storeTest) swap() {
	t.swaps("a", storeLife, nil)
	t.swaps("b", storeLife, []byte("a"))
	t.get([]byte("b"))
	t.puts("c", storeLife, []byte("b"))
}

func (t *storeTest) add() {
	t.adds(2, 5, storeLife, 2, true)
	t.adds(4, 5, storeLife, 2, false)
	t.adds(3, 5, storeLife, 5, true)
	t.adds(1, 5, storeLife, 5, false)
	t.adds(1, 1<<62, storeLife, 6, true)
	t.adds(1<<53-8, 1<<53-2, storeLife, 1<<53-2, true) // marks stand above what is counted
	t.adds(1, 1<<53-2, storeLife, 1<<53-2, false)
	t.adds(1, 1<<53-1, storeLife, 1<<53-1, true)
	t.deletes()
	t.adds(7, 5, storeLife, 0, false)
	t.get(nil)
}

// all does something by many at once, each with a value of its own.
func (t *storeTest) all(do func(value []byte)) {
	var all sync.WaitGroup
	for i := range storeUsers {
		all.Go(func() { do([]byte(strconv.Itoa(i))) })
	}
	all.Wait()
}

func (t *storeTest) winner() {
	var mu sync.Mutex
	var won []byte
	lost := map[string]int{}
	t.all(func(value []byte) {
		held, err := t.store.PutIfAbsent(t.Context(), t.key, value, storeLife)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			t.Errorf("PutIfAbsent: %v", err)
		case held == nil && won != nil:
			t.Errorf("PutIfAbsent: %s and %s have both won", won, value)
		case held == nil:
			won = value
		default:
			lost[string(held)]++
		}
	})
	if len(lost) != 1 || lost[string(won)] != storeUsers-1 {
		t.Errorf("PutIfAbsent: %q has won, and the others were told %v", won, lost)
	}
}

func (t *storeTest) once() {
	var mu sync.Mutex
	seen := map[string]int{}
	t.all(func(value []byte) {
		old, err := t.store.Swap(t.Context(), t.key, value, storeLife)
		mu.Lock()
		defer mu.Unlock()
		if seen[string(old)]++; err != nil {
			t.Errorf("Swap: %v", err)
		}
	})
	last, _ := t.store.Get(t.Context(), t.key)
	seen[string(last)]++
	if len(seen) != storeUsers+1 { // "" for none, and each value
		t.Errorf("Swap: %d values of %d were returned, each once: %v", len(seen)-1, storeUsers, seen)
	}
}

func (t *storeTest) limit() {
	const limit = 100
	var mu sync.Mutex
	totals := map[int64]int{}
	t.all(func([]byte) {
		total, ok, err := t.store.Add(t.Context(), t.key, 3, limit, storeLife)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || total > limit {
			t.Errorf("Add: %d, %v", total, err)
		}
		if ok {
			totals[total]++
		}
	})
	if len(totals) != limit/3 {
		t.Errorf("Add: %d of %d were added, each with a total of its own", len(totals), limit/3)
	}
}

// awaitEnd waits until an entry is over.
func (t *storeTest) awaitEnd() {
	t.Helper()
	for range 300 {
		value, err := t.store.Get(t.Context(), t.key)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		if value == nil {
			return
		}
		time.Sleep(storeShort / 5)
	}
	t.Fatalf("Get: an entry of %s is still there", storeShort)
}

func (t *storeTest) ends() {
	t.puts("a", storeShort, nil)
	t.awaitEnd()
	t.puts("b", storeLife, nil)
	t.swaps("c", storeShort, []byte("b"))
	t.awaitEnd()
	t.adds(1, 9, storeShort, 1, true)
	t.adds(1, 9, storeLife, 2, true) // as long as the first one says
	t.awaitEnd()
	t.adds(1, 9, storeLife, 1, true)

	other := *t
	other.key = storeKey()
	t.key = storeKey()
	t.puts("a", storeShort, nil)
	t.swaps("b", storeLife, []byte("a"))
	other.puts("x", 2*storeShort, nil) // is over after the first life of the other is
	other.awaitEnd()
	t.get([]byte("b"))
}

func (t *storeTest) copies() {
	value := []byte("abc")
	if _, err := t.store.PutIfAbsent(t.Context(), t.key, value, storeLife); err != nil {
		t.Fatalf("PutIfAbsent: %v", err)
	}
	value[0] = 'x'
	got, err := t.store.Get(t.Context(), t.key)
	t.is("Get", got, err, []byte("abc"))
	if len(got) > 0 {
		got[0] = 'y'
	}
	t.get([]byte("abc"))
}

func (t *storeTest) bytes() {
	all := make([]byte, 200<<10)
	for i := range all {
		all[i] = byte(i)
	}
	t.swaps(string(all), storeLife, nil)
	t.get(all)
}
