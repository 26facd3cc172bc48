// Package redisstore keeps what replicas share in Redis or Valkey: a [github.com/seed-1e292522/mcpauth.Store].
//
// Each step is one command or one script on one key, so that a cluster will do as well as one server. The server must not evict what has a time to live
// (maxmemory-policy noeviction): a task would be "not found", and a revoked token good again.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is a [github.com/seed-1e292522/mcpauth.Store] in Redis. It holds nothing that must be closed: the client is its owner's.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// New makes a store on a client, whose keys begin with the prefix: "mcpauth:" for example, the same in all replicas. Nothing is asked
// of the server yet. The user of the client needs the commands GET, SET, DEL, EVAL and EVALSHA, and in the scripts
// EXISTS, INCRBY and PEXPIRE.
func New(client redis.UniversalClient, prefix string) (*Store, error) {
	switch {
	case client == nil:
		return nil, errors.New("redisstore: no client")
	case prefix == "":
		return nil, errors.New(`redisstore: no prefix: write one, such as "mcpauth:", so that nobody else's keys are ours`)
	}
	return &Store{client, prefix}, nil
}

// Get implements the interface.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	return orNone(s.client.Get(ctx, s.prefix+key).Bytes())
}

// put is no SET NX GET, which Redis has since 7.0 only.
var put = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false`)

// PutIfAbsent implements the interface.
func (s *Store) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	life, err := millis(ttl)
	if err != nil {
		return nil, err
	}
	held, err := put.Run(ctx, s.client, []string{s.prefix + key}, value, life).Text()
	if err != nil {
		return orNone(nil, err)
	}
	return []byte(held), nil
}

// Swap implements the interface.
func (s *Store) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	life, err := millis(ttl)
	if err != nil {
		return nil, err
	}
	set := once{redis.NewStringCmd(ctx, "set", s.prefix+key, value, "px", life, "get")}
	set.SetFirstKeyPos(1)
	_ = s.client.Process(ctx, set) // set has the error
	return orNone(set.Bytes())
}

// once is a command that is not sent again when its answer has been lost: it may have happened, and what it then swapped would be lost.
type once struct{ *redis.StringCmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// add compares before it adds, in numbers that Lua has exactly up to 2^53.
var add = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
local total = tonumber(held or '0')
if total == nil then return redis.error_reply('ERR the entry is no count') end
if total + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return {string.format('%.0f', total), 0} end
redis.call('INCRBY', KEYS[1], ARGV[1])
if not held then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return {string.format('%.0f', total + tonumber(ARGV[1])), 1}`)

// Add implements the interface.
func (s *Store) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (total int64, ok bool, err error) {
	if n < 1 {
		return 0, false, errors.New("redisstore: nothing to add")
	}
	life, err := millis(ttl)
	if err != nil {
		return 0, false, err
	}
	answer, err := add.Run(ctx, s.client, []string{s.prefix + key}, n, limit, life).Int64Slice()
	if err != nil {
		return 0, false, err
	}
	if len(answer) != 2 {
		return 0, false, errors.New("redisstore: an answer that is none")
	}
	return answer[0], answer[1] == 1, nil
}

// Delete implements the interface.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.client.Del(ctx, s.prefix+key).Err()
}

// orNone takes the error of a key that is not there for no value.
func orNone(value []byte, err error) ([]byte, error) {
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, err
}

// millis is a time to live in milliseconds, at least one: 0 would be an entry without an end, and less would be none at all.
func millis(ttl time.Duration) (int64, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("redisstore: an entry cannot live for %s", ttl)
	}
	return max(1, ttl.Milliseconds()), nil
}
