package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// requireCorpus fails a fuzz target whose seeds have gone missing: it would
// still pass, and test nothing.
func requireCorpus(f *testing.F, least int) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", f.Name(), "*"))
	require.NoError(f, err)
	require.GreaterOrEqual(f, len(files), least, "the committed corpus is incomplete")
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		require.True(f, bytes.HasPrefix(text, []byte("go test fuzz v1\n")), file)
	}
}

// FuzzParse holds the splitter to three properties: an accepted token has
// exactly one spelling, it is three segments of the base64url alphabet to an
// independent reader, and an independent JSON reader sees the same algorithm.
func FuzzParse(f *testing.F) {
	requireCorpus(f, 25)
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := jose.Parse(compact)
		if err != nil {
			require.Empty(t, token, "a refused token leaves nothing behind")
			return
		}
		parts := strings.Split(compact, ".")
		require.Len(t, parts, 3)
		header, err := base64.RawURLEncoding.DecodeString(parts[0])
		require.NoError(t, err)
		again := b64(header) + "." + b64(token.Claims) + "." + b64(token.Signature)
		require.Equal(t, compact, again, "TOK-22: one spelling")

		var members map[string]any
		require.True(t, utf8.Valid(header))
		require.NoError(t, json.Unmarshal(header, &members))
		require.Equal(t, members["alg"], token.Header.Alg)
		require.Contains(t, jose.Algorithms(), token.Header.Alg)
		for _, refused := range []string{"crit", "b64", "zip"} {
			require.NotContains(t, members, refused)
		}
		kid, hasKid := members["kid"]
		require.Equal(t, hasKid, token.Header.HasKid)
		if hasKid {
			require.Equal(t, kid, token.Header.Kid)
		}
	})
}

// FuzzParseSet holds the reader of key sets to what its callers rely on: no
// panic, bounded numbers, and only keys that can verify something.
func FuzzParseSet(f *testing.F) {
	requireCorpus(f, 20)
	f.Fuzz(func(t *testing.T, text []byte) {
		received := bytes.Clone(text)
		keys, skipped, err := jose.ParseSet(text)
		require.Equal(t, received, text, "the text is not written to")
		require.Equal(t, err != nil, len(keys) == 0)
		require.LessOrEqual(t, len(keys)+len(skipped), 100)
		if err == nil {
			require.True(t, json.Valid(text))
		}
		for _, skip := range skipped {
			require.NotEmpty(t, skip.Reason)
			require.LessOrEqual(t, len(skip.Kid), 64)
		}
		for i := range keys {
			require.True(t, slices.ContainsFunc(jose.Algorithms(), keys[i].Supports))
			require.LessOrEqual(t, len(keys[i].Kid), 256)
			switch public := keys[i].Public.(type) {
			case *rsa.PublicKey:
				require.GreaterOrEqual(t, public.N.BitLen(), 2048)
				require.LessOrEqual(t, public.N.BitLen(), 8192)
			case *ecdsa.PublicKey:
				_, err := public.ECDH()
				require.NoError(t, err, "JWKS-06: on the curve")
			case ed25519.PublicKey:
				require.Len(t, public, ed25519.PublicKeySize)
			default:
				t.Fatalf("a key of type %T", public)
			}
		}
	})
}
