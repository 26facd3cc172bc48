package main

import (
	"crypto/rand"
	"sync"
	"time"
)

// shelf keeps things for a while, under names that cannot be guessed. The
// zero value is empty and ready.
type shelf[T any] struct {
	mu    sync.Mutex
	items map[string]kept[T]
}

type kept[T any] struct {
	value T
	until time.Time
}

// shelfSize bounds what strangers can make the process remember.
const shelfSize = 1000

// put returns the name, or "" when the shelf is full.
func (s *shelf[T]) put(value T, lifetime time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for name, item := range s.items {
		if now.After(item.until) {
			delete(s.items, name)
		}
	}
	if len(s.items) >= shelfSize {
		return ""
	}
	if s.items == nil {
		s.items = make(map[string]kept[T])
	}
	name := rand.Text()
	s.items[name] = kept[T]{value, now.Add(lifetime)}
	return name
}

func (s *shelf[T]) get(name string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[name]
	return item.value, ok && time.Now().Before(item.until)
}

// take is get for the last time: codes and questions can be used once.
func (s *shelf[T]) take(name string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[name]
	delete(s.items, name)
	return item.value, ok && time.Now().Before(item.until)
}
