package seal

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sealer(t testing.TB, secret, use string) Sealer {
	t.Helper()
	s, err := New([]byte(strings.Repeat(secret, 32)), use)
	require.NoError(t, err)
	return s
}

func TestSeal_MCP_67(t *testing.T) {
	s := sealer(t, "k", "cursor")
	for size := range 200 {
		text := bytes.Repeat([]byte{0}, size)
		sealed := s.Seal(text, []byte("binding"))
		again := s.Seal(text, []byte("binding"))
		assert.NotEqual(t, sealed, again, "two seals of one text tell that it is one")
		opened, ok := sealer(t, "k", "cursor").Open(sealed, []byte("binding"))
		require.True(t, ok, "a replica with the same secret opens it")
		assert.Equal(t, text, opened)
		assert.Regexp(t, `^[A-Za-z0-9_-]+$`, sealed)
	}
	lengths := map[int]bool{}
	for size := range 64 {
		lengths[len(s.Seal(make([]byte, size), nil))] = true
	}
	assert.Len(t, lengths, 1, "the lengths of texts below 64 bytes")
	assert.Equal(t, []int{64, 64, 128, 128}, []int{Padded(0), Padded(63), Padded(64), Padded(127)})
}

func TestOpensNothingElse_MCP_67(t *testing.T) {
	s := sealer(t, "k", "cursor")
	sealed := s.Seal([]byte("launch_missiles"), []byte("binding"))
	assert.NotContains(t, sealed, "launch")
	refused := func(s Sealer, sealed, binding string) {
		t.Helper()
		text, ok := s.Open(sealed, []byte(binding))
		assert.False(t, ok)
		assert.Empty(t, text)
	}
	refused(s, sealed, "another")
	refused(sealer(t, "x", "cursor"), sealed, "binding")
	refused(sealer(t, "k", "state"), sealed, "binding")
	refused(s, "", "binding")
	refused(s, "bGF1bmNoX21pc3NpbGVz", "binding")
	refused(s, sealed+"=", "binding")
	refused(s, sealed+"\n", "binding")
	for i := range sealed {
		flipped := []byte(sealed)
		flipped[i] ^= 1
		if text, ok := s.Open(string(flipped), []byte("binding")); ok {
			assert.Fail(t, "opened", "byte %d: %q", i, text)
		}
		refused(s, sealed[:i], "binding")
	}
	// ISO/IEC 7816-4: texts that were sealed by another release are padded so.
	text, ok := s.Open(base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, []byte("text\x80\x00\x00"), nil)), nil)
	assert.True(t, ok)
	assert.Equal(t, "text", string(text))
	// What is authentic and was padded by nobody.
	for _, padded := range []string{"", "\x00\x00", "text"} {
		raw := s.aead.Seal(nil, nil, []byte(padded), nil)
		refused(s, base64.RawURLEncoding.EncodeToString(raw), "")
	}
}
