package mcpauth

import (
	"context"
	"time"
)

// Store is a small memory that several processes share, such as a database that forgets by itself. Each method is one
// step that happens whole or not at all, on one key, whoever else does what at that moment. Keys are ASCII, 24 characters long, and tell
// nothing; values are at most 200 KiB, sealed where they have content, and not kept by the caller nor changed by the Store. An entry whose
// time to live, at least a millisecond, is over is not there. An error says that nobody knows; the step may have happened.
//
// No call is waited for longer than 250 ms, and after five failures in a row a store is not asked for a while.
// What happens meanwhile is docs/replicas.md's matter; nobody is let in for it. Package mcpauthtest checks an implementation.
type Store interface {
	// Get returns the value of a key, nil for none.
	Get(ctx context.Context, key string) ([]byte, error)

	// PutIfAbsent sets a key that has no value. Otherwise it returns the value that is held, and changes nothing. A value is never empty.
	PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) (held []byte, err error)

	// Swap sets a key, and returns the value that it had, nil for none.
	Swap(ctx context.Context, key string, value []byte, ttl time.Duration) (old []byte, err error)

	// Add adds n, at least 1, to the count of a key, which begins with 0 and lives as long as its first Add says. Beyond the limit it
	// adds nothing and reports false. The total is that after the step, and exact below 2^53.
	Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error)

	// Delete takes a key away, if it is there.
	Delete(ctx context.Context, key string) error
}
