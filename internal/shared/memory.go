package shared

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of a [Memory].
const (
	maxMemory  = 64 << 20 // bytes
	maxOthers  = 48 << 20 // of these, of all that is no revocation
	entryCost  = 200      // bytes of an entry beside its key and value, about
	sweepEvery = 10 * time.Second
)

// ErrFull is the error of a write for which a [Memory] has no room: it forgets nothing before its time.
var ErrFull = errors.New("the memory of the store is full")

// Memory is a [Store] in the memory of this process.
type Memory struct {
	mu      sync.Mutex
	entries map[string]held
	size    int // bytes
	others  int // of these, of all that is no revocation
	swept   time.Time
}

// held is an entry. Its value is never changed.
type held struct {
	value []byte
	until time.Time
}

// NewMemory makes a memory that has nothing.
func NewMemory() *Memory { return &Memory{entries: map[string]held{}, swept: time.Now()} }

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.get(key)), ctx.Err()
}

// PutIfAbsent implements [Store].
func (m *Memory) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) (held []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := check(ctx, value, ttl); err != nil {
		return nil, err
	}
	if held := m.get(key); held != nil {
		return bytes.Clone(held), nil
	}
	return nil, m.set(key, value, time.Now().Add(ttl))
}

// Swap implements [Store].
func (m *Memory) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) (old []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := check(ctx, value, ttl); err != nil {
		return nil, err
	}
	old = bytes.Clone(m.get(key))
	return old, m.set(key, value, time.Now().Add(ttl))
}

// Add implements [Store].
func (m *Memory) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := time.Now().Add(ttl)
	if value := m.get(key); value != nil {
		if total, err = strconv.ParseInt(string(value), 10, 64); err != nil {
			return 0, false, errors.New("the entry is no count")
		}
		until = m.entries[key].until
	}
	if err := check(ctx, []byte("0"), ttl); err != nil {
		return 0, false, err
	}
	if n < 1 {
		return 0, false, errors.New("nothing to add")
	}
	if total > limit-n {
		return total, false, nil
	}
	if err := m.set(key, strconv.AppendInt(nil, total+n, 10), until); err != nil {
		return 0, false, err
	}
	return total + n, true, nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(key)
	return ctx.Err()
}

func check(ctx context.Context, value []byte, ttl time.Duration) error {
	switch {
	case len(value) == 0:
		return errors.New("a value is never empty")
	case ttl <= 0:
		return fmt.Errorf("an entry cannot live for %s", ttl)
	}
	return ctx.Err()
}

func (m *Memory) get(key string) []byte {
	e, found := m.entries[key]
	if found && !time.Now().Before(e.until) {
		m.forget(key)
		return nil
	}
	return e.value
}

func (m *Memory) set(key string, value []byte, until time.Time) error {
	m.sweep()
	cost := entryCost + len(key) + len(value)
	if e, found := m.entries[key]; found {
		cost -= entryCost + len(key) + len(e.value)
	}
	if m.size+cost > maxMemory || !isRevocation(key) && m.others+cost > maxOthers {
		return ErrFull
	}
	m.entries[key] = held{bytes.Clone(value), until}
	m.book(key, cost)
	return nil
}

func (m *Memory) book(key string, cost int) {
	if m.size += cost; !isRevocation(key) {
		m.others += cost
	}
}

// isRevocation reports whether an entry is one that callers cannot have written: what they fill leaves room for it.
func isRevocation(key string) bool { return strings.HasPrefix(key, string(Revocation)+":") }

func (m *Memory) forget(key string) {
	if e, found := m.entries[key]; found {
		m.book(key, -(entryCost + len(key) + len(e.value)))
		delete(m.entries, key)
	}
}

// sweep forgets what is over, once in a while.
func (m *Memory) sweep() {
	now := time.Now()
	if now.Sub(m.swept) < sweepEvery {
		return
	}
	m.swept = now
	for key, e := range m.entries {
		if !now.Before(e.until) {
			m.forget(key)
		}
	}
}
