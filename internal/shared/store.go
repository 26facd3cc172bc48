// Package shared keeps in a store what several processes must agree on: under names that tell nothing, and so that a
// store that does not answer costs nobody time.
package shared

import (
	"context"
	"time"
)

// Store is the public interface of that name.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) (held []byte, err error)
	Swap(ctx context.Context, key string, value []byte, ttl time.Duration) (old []byte, err error)
	Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error)
	Delete(ctx context.Context, key string) error
}

// Get is [Store.Get].
func (g *Guard) Get(ctx context.Context, key string) ([]byte, error) {
	a := g.ask(ctx, func(ctx context.Context) (a answer) {
		a.value, a.err = g.store.Get(ctx, key)
		return a
	})
	return a.value, a.err
}

// PutIfAbsent is [Store.PutIfAbsent].
func (g *Guard) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) (held []byte, err error) {
	a := g.ask(ctx, func(ctx context.Context) (a answer) {
		a.value, a.err = g.store.PutIfAbsent(ctx, key, value, ttl)
		return a
	})
	return a.value, a.err
}

// Swap is [Store.Swap].
func (g *Guard) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) (old []byte, err error) {
	a := g.ask(ctx, func(ctx context.Context) (a answer) {
		a.value, a.err = g.store.Swap(ctx, key, value, ttl)
		return a
	})
	return a.value, a.err
}

// Add is [Store.Add].
func (g *Guard) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error) {
	a := g.ask(ctx, func(ctx context.Context) (a answer) {
		a.total, a.ok, a.err = g.store.Add(ctx, key, n, limit, ttl)
		return a
	})
	return a.total, a.ok, a.err
}

// Delete is [Store.Delete].
func (g *Guard) Delete(ctx context.Context, key string) error {
	return g.ask(ctx, func(ctx context.Context) answer { return answer{err: g.store.Delete(ctx, key)} }).err
}
