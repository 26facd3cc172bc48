package mcpauthtest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/revoke"
)

func TestMemoryStore_STORE_01(t *testing.T) {
	mcpauthtest.StoreConformance(t, revoke.MemoryStore())
}

// badStore does one thing wrong.
type badStore struct {
	mcpauth.Store
	wrong string
	kept  map[string][]byte
}

func (s *badStore) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.Store.Get(ctx, key)
	if s.wrong == "its own bytes" && value != nil {
		if _, known := s.kept[key]; !known {
			s.kept[key] = value
		}
		return s.kept[key], err
	}
	return value, err
}

func (s *badStore) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	switch s.wrong {
	case "put overwrites":
		_, err := s.Store.Swap(ctx, key, value, ttl)
		return nil, err
	case "put in two steps":
		held, err := s.Store.Get(ctx, key)
		if err != nil || held != nil {
			return held, err
		}
		time.Sleep(20 * time.Millisecond)
		_, err = s.Store.Swap(ctx, key, value, ttl)
		return nil, err
	case "no end":
		ttl = time.Hour
	}
	return s.Store.PutIfAbsent(ctx, key, value, ttl)
}

func (s *badStore) Swap(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	switch s.wrong {
	case "swap forgets":
		_, err := s.Store.Swap(ctx, key, value, ttl)
		return nil, err
	case "swap in two steps":
		old, err := s.Store.Get(ctx, key)
		time.Sleep(time.Millisecond)
		if err == nil {
			_, err = s.Store.Swap(ctx, key, value, ttl)
		}
		return old, err
	case "texts only":
		value = bytes.ToValidUTF8(value, []byte("?"))
	}
	return s.Store.Swap(ctx, key, value, ttl)
}

func (s *badStore) Add(ctx context.Context, key string, n, limit int64, ttl time.Duration) (int64, bool, error) {
	switch s.wrong {
	case "add without a limit":
		limit = 1 << 62
	case "small counts":
		total, ok, err := s.Store.Add(ctx, key, n, limit, ttl)
		return int64(float32(total)), ok, err
	case "add renews":
		total, ok, err := s.Store.Add(ctx, key, n, limit, ttl)
		if value, _ := s.Store.Get(ctx, key); ok && value != nil {
			_, err = s.Store.Swap(ctx, key, value, ttl)
		}
		return total, ok, err
	}
	return s.Store.Add(ctx, key, n, limit, ttl)
}

func (s *badStore) Delete(ctx context.Context, key string) error {
	if s.wrong == "delete does not" {
		return nil
	}
	return s.Store.Delete(ctx, key)
}

const badStoreVariable = "MCPAUTHTEST_BAD_STORE"

// TestBadStore is run by the test below, in a process of its own, and fails there.
func TestBadStore(t *testing.T) {
	wrong := os.Getenv(badStoreVariable)
	if wrong == "" {
		t.Skip("is run by TestStoreConformanceFails")
	}
	mcpauthtest.StoreConformance(t, &badStore{revoke.MemoryStore(), wrong, map[string][]byte{}})
}

// TestStoreConformanceFails_STORE_01: a store that does one thing wrong fails, at that.
func TestStoreConformanceFails_STORE_01(t *testing.T) {
	for wrong, at := range map[string]string{
		"put overwrites": "put", "put in two steps": "one_winner", "swap forgets": "swap", "swap in two steps": "each_value_once", "add without a limit": "limit", "small counts": "add",
		"add renews": "time_to_live", "no end": "time_to_live", "its own bytes": "copies", "texts only": "any_bytes", "delete does not": "put",
	} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBadStore$/^"+at+"$")
			process.Env = append(os.Environ(), badStoreVariable+"="+wrong)
			out, err := process.CombinedOutput()
			assert.Error(t, err, "%s", out)
			assert.Contains(t, string(out), "--- FAIL: TestBadStore/"+at)
		})
	}
}
