package redisstore

import (
	"bytes"
	"context"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
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
	_, err = a.PutIfAbsent(ctx, "least", []byte("v"), time.Nanosecond)
	assert.NoError(t, err)
	for _, ttl := range []time.Duration{0, -1, math.MinInt64} {
		_, err = a.PutIfAbsent(ctx, "none", []byte("v"), ttl)
		assert.ErrorContains(t, err, "cannot live for", ttl)
		_, err = a.Swap(ctx, "none", []byte("v"), ttl)
		assert.ErrorContains(t, err, "cannot live for", ttl)
		_, _, err = a.Add(ctx, "none", 1, 2, ttl)
		assert.ErrorContains(t, err, "cannot live for", ttl)
		got, err = a.Get(ctx, "none")
		assert.NoError(t, err)
		assert.Nil(t, got)
	}
	_, err = a.Swap(ctx, "longest", []byte("v"), math.MaxInt64)
	assert.NoError(t, err)
	got, err = a.Get(ctx, "longest")
	assert.NoError(t, err)
	assert.Equal(t, "v", string(got))
	eventually(t, "a millisecond is over", func() bool { got, err := a.Get(ctx, "least"); return err == nil && got == nil })
	total, ok, err := a.Add(ctx, "large", 1<<52, 1<<62, time.Hour)
	assert.Equal(t, []any{int64(1 << 52), true, nil}, []any{total, ok, err})

	server.kill()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for what, call := range map[string]func() error{
		"Get":         func() error { _, err := a.Get(short, "k"); return err },
		"PutIfAbsent": func() error { _, err := a.PutIfAbsent(short, "k", []byte("v"), time.Hour); return err },
		"Swap":        func() error { _, err := a.Swap(short, "k", []byte("v"), time.Hour); return err },
		"Add":         func() error { _, _, err := a.Add(short, "k", 1, 2, time.Hour); return err },
		"Delete":      func() error { return a.Delete(short, "k") },
	} {
		assert.Error(t, call(), what)
	}
}

// loseAnswer is a proxy that closes a connection in place of the answer to one SET.
type loseAnswer struct {
	net.Listener
	armed atomic.Bool
}

func (p *loseAnswer) serve(front net.Conn, backend string) {
	defer front.Close()
	back, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer back.Close()
	var lost atomic.Bool
	go func() {
		defer back.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := front.Read(buffer)
			if err != nil {
				return
			}
			if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("\r\nset\r\n")) && p.armed.CompareAndSwap(true, false) {
				lost.Store(true)
			}
			if _, err := back.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := back.Read(buffer)
		if err != nil || lost.Load() {
			return
		}
		if _, err := front.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestLostAnswer_STORE_01_STORE_09: a swap whose answer was lost is not sent again behind our back, and a revocation that it has found stays.
func TestLostAnswer_STORE_01_STORE_09(t *testing.T) {
	server := startRedis(t, false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &loseAnswer{Listener: l}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { p.serve(front, server.address) })
		}
	})
	client := redis.NewClient(&redis.Options{Addr: l.Addr().String(), Protocol: 2})
	t.Cleanup(func() { _ = client.Close(); _ = l.Close(); wait.Wait() })
	store, err := New(client, "test:")
	require.NoError(t, err)
	ctx := t.Context()
	_, err = store.Swap(ctx, "k", []byte("a"), time.Hour)
	require.NoError(t, err)
	p.armed.Store(true)
	_, err = store.Swap(ctx, "k", []byte("b"), time.Hour)
	assert.Error(t, err)
	old, err := store.Swap(ctx, "k", []byte("c"), time.Hour)
	assert.NoError(t, err)
	assert.Equal(t, "b", string(old))

	list, err := revoke.New(store, bytes.Repeat([]byte("key."), 8))
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, list.RevokeSubject(ctx, "https://as.example.com", "user", now.Add(-time.Minute), now.Add(24*time.Hour)))
	p.armed.Store(true)
	assert.Error(t, list.RevokeSubject(ctx, "https://as.example.com", "user", now, now.Add(time.Minute)))
	require.NoError(t, list.RevokeSubject(ctx, "https://as.example.com", "user", now, now.Add(time.Minute)))
	for key := range all(t, client) {
		if strings.HasPrefix(key, "test:r:") {
			life, err := client.PTTL(ctx, key).Result()
			assert.NoError(t, err)
			assert.Greater(t, life, 23*time.Hour)
		}
	}
}
