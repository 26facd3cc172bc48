package redisstore

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var _ mcpauth.Store = (*Store)(nil)

// TestConformance_STORE_01: the steps on a real server are what they have to be, by either version of its protocol.
func TestConformance_STORE_01_STORE_15(t *testing.T) {
	server := startRedis(t, false)
	for name, protocol := range map[string]int{"RESP2": 2, "RESP3": 3} {
		t.Run(name, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: server.address, Protocol: protocol})
			defer client.Close()
			store, err := New(client, "test-"+name+":")
			require.NoError(t, err)
			mcpauthtest.StoreConformance(t, store)
			for key := range all(t, client) {
				assert.Regexp(t, `^test-RESP[23]:x:[\w-]{22}$`, key)
			}
		})
	}
}

// TestMistakes_STORE_02: a store without a prefix, or without a client, is none; and what is no count stays what it is.
func TestMistakes_STORE_02(t *testing.T) {
	server := startRedis(t, false)
	client := server.client(server.address)
	_, err := New(nil, "a:")
	assert.ErrorContains(t, err, "no client")
	_, err = New(client, "")
	assert.ErrorContains(t, err, "prefix")
	a, err := New(client, "a:")
	require.NoError(t, err)
	b, err := New(client, "b:")
	require.NoError(t, err)
	ctx := t.Context()
	_, err = a.Swap(ctx, "k", []byte("no count"), time.Hour)
	require.NoError(t, err)
	got, err := b.Get(ctx, "k")
	assert.NoError(t, err)
	assert.Nil(t, got, "two prefixes do not meet")
	_, _, err = a.Add(ctx, "k", 1, 2, time.Hour)
	assert.Error(t, err)
	_, _, err = a.Add(ctx, "n", 0, 2, time.Hour)
	assert.Error(t, err)
	got, err = a.Get(ctx, "k")
	assert.NoError(t, err)
	assert.Equal(t, "no count", string(got))
	_, err = a.Put(ctx, "least", []byte("v"), time.Nanosecond)
	assert.NoError(t, err)
	eventually(t, "a millisecond is over", func() bool { got, err := a.Get(ctx, "least"); return err == nil && got == nil })
	total, ok, err := a.Add(ctx, "large", 1<<52, 1<<62, time.Hour)
	assert.Equal(t, []any{int64(1 << 52), true, nil}, []any{total, ok, err})

	server.kill()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for what, call := range map[string]func() error{
		"Get":    func() error { _, err := a.Get(short, "k"); return err },
		"Put":    func() error { _, err := a.Put(short, "k", []byte("v"), time.Hour); return err },
		"Swap":   func() error { _, err := a.Swap(short, "k", []byte("v"), time.Hour); return err },
		"Add":    func() error { _, _, err := a.Add(short, "k", 1, 2, time.Hour); return err },
		"Delete": func() error { return a.Delete(short, "k") },
	} {
		assert.Error(t, call(), what)
	}
}
