package shared

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// retried is a store whose client has lost the answer to a write, and writes again.
type retried struct{ *Memory }

func (r retried) PutIfAbsent(ctx context.Context, key string, value []byte, ttl time.Duration) ([]byte, error) {
	_, _ = r.Memory.PutIfAbsent(ctx, key, value, ttl)
	return r.Memory.PutIfAbsent(ctx, key, value, ttl)
}

// broken is a store that writes nothing.
type broken struct{ *Memory }

func (broken) PutIfAbsent(context.Context, string, []byte, time.Duration) ([]byte, error) {
	return nil, errRefused
}

func spaceOf(t *testing.T, store Store, keys ...string) *Space {
	var all [][]byte
	for _, key := range keys {
		all = append(all, bytes.Repeat([]byte(key), 32))
	}
	s, err := NewSpace(NewGuard(store, func(error) {}), all...)
	require.NoError(t, err)
	return s
}

// TestFirst_STORE_08: of those who come with one thing, under whichever of the keys that replicas have, the first one is the first.
func TestFirst_STORE_08(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	slow := &weather{Memory: NewMemory(), get: func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }}
	mute := &weather{Memory: NewMemory(), get: refuses}
	for name, tt := range map[string]struct {
		store  Store
		before string // the key in front of who has come before
		keys   []string
		ctx    context.Context
		first  bool
		err    error
	}{
		"the first":                            {NewMemory(), "", []string{"a"}, t.Context(), true, nil},
		"the first, with older keys":           {NewMemory(), "", []string{"a", "b", "c"}, t.Context(), true, nil},
		"the second":                           {NewMemory(), "a", []string{"a"}, t.Context(), false, nil},
		"the second, under an older key":       {NewMemory(), "c", []string{"a", "b", "c"}, t.Context(), false, nil},
		"the second, and the store takes time": {slow, "b", []string{"a", "b"}, t.Context(), false, nil},
		"under a key that nobody has here":     {NewMemory(), "c", []string{"a", "b"}, t.Context(), true, nil},
		"written twice by the store's client":  {retried{NewMemory()}, "", []string{"a"}, t.Context(), true, nil},
		"who has left":                         {NewMemory(), "", []string{"a"}, over, true, nil},
		"nothing can be written":               {broken{NewMemory()}, "", []string{"a"}, t.Context(), false, errRefused},
		"the older keys cannot be looked for":  {mute, "", []string{"a", "b"}, t.Context(), true, errRefused},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tt.before != "" {
				first, err := spaceOf(t, tt.store, tt.before).First(t.Context(), time.Hour, Proof, "jti")
				assert.NoError(t, err, name)
				assert.True(t, first, name)
			}
			s := spaceOf(t, tt.store, tt.keys...)
			first, err := s.First(tt.ctx, time.Hour, Proof, "jti")
			assert.ErrorIs(t, err, tt.err, name)
			assert.Equal(t, tt.first, first, name)
			if tt.err == nil {
				again, err := s.First(t.Context(), time.Hour, Proof, "jti")
				assert.NoError(t, err, name)
				assert.False(t, again, name)
				other, err := s.First(t.Context(), time.Hour, Proof, "another")
				assert.NoError(t, err, name)
				assert.True(t, other, name)
			}
		})
	}
}

// TestSpaceRead_STORE_03_STORE_07: what the store cannot say is an error; what has our seal and not our release in front is not read. Names and
// values are those of every release, or replicas of two would not share them.
func TestSpaceRead_STORE_03_STORE_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &weather{Memory: NewMemory()}
		s := spaceOf(t, store, "a")
		name := s.Name(Task, "subject", "id")
		assert.Equal(t, "t:", name[:2])
		sealed := s.Seal(name, []byte("text"))
		assert.Regexp(t, `^1\.[\w-]+$`, string(sealed))
		assert.Equal(t, "text", string(s.Open(name, sealed)))
		assert.Nil(t, s.Open(name, sealed[2:]))
		assert.Nil(t, s.Open(name+"x", sealed))
		store.is(refuses)
		_, err := s.Read(t.Context(), Task, "subject", "id")
		assert.ErrorIs(t, err, errRefused)
	})
}
