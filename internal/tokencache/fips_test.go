package tokencache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A name is computed by what the mode of the process asks for, and by nothing else.
func TestKey_Primitive_TOK_62(t *testing.T) {
	approved := newHasher(true)
	require.Len(t, approved.secret, 48)
	assert.NotEqual(t, make([]byte, 48), approved.secret, "TOK-62: a secret that anybody knows")
	assert.Nil(t, approved.gmac)
	assert.Nil(t, approved.block)
	usual := newHasher(false)
	require.Nil(t, usual.secret)
	zero := newHasher(false) // of the keys that anybody knows
	var err error
	inner, err := aes.NewCipher(make([]byte, 32))
	require.NoError(t, err)
	zero.gmac, err = cipher.NewGCM(inner)
	require.NoError(t, err)
	zero.block, err = aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	for _, token := range []string{"", "a", strings.Repeat("a.b", 700)} {
		mac := hmac.New(sha256.New, approved.secret)
		mac.Write([]byte(token))
		assert.Equal(t, Key(mac.Sum(nil)[:16]), approved.key(token), "HMAC-SHA-256, cut")

		var want Key
		usual.block.Encrypt(want[:], usual.gmac.Seal(nil, nonce[:], nil, []byte(token)))
		assert.Equal(t, want, usual.key(token), "AES of GMAC")
		assert.NotEqual(t, zero.key(token), usual.key(token), "TOK-62")
	}
}

// In either FIPS 140 mode the process that is asked does without GMAC: the mode is
// fixed at its start, so each is a process of its own.
func TestKey_FIPS140_TOK_62(t *testing.T) {
	const probe = "MCPAUTH_FIPS_PROBE"
	if os.Getenv(probe) != "" {
		c := New(1, 1, hundred)
		require.True(t, approvedOnly())
		require.Len(t, c.hasher.secret, 48, "TOK-62: the name is no HMAC")
		require.Nil(t, c.hasher.gmac)
		require.NotEqual(t, c.Key("a"), c.Key("b"))
		require.Equal(t, c.Key("a"), c.Key("a"))
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	for _, mode := range []string{"on", "only"} {
		command := exec.CommandContext(t.Context(), program, "-test.run=^TestKey_FIPS140_TOK_62$", "-test.v")
		command.Env = append(os.Environ(), probe+"=1", "GODEBUG=fips140="+mode)
		output, err := command.CombinedOutput()
		assert.NoError(t, err, "fips140=%s: %s", mode, output)
		assert.Contains(t, string(output), "--- PASS", mode)
	}
}
