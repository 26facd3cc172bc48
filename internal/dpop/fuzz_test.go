package dpop

import (
	"encoding/json"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzProof signs any header and any claims with the right key: what is accepted must be what an independent reader
// finds in a good proof. JWK and ATH stand for the key and for the hash of the token.
func FuzzProof(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", f.Name(), "*"))
	require.NoError(f, err)
	require.GreaterOrEqual(f, len(files), 10, "the committed corpus is incomplete")
	me, now := newClient(f), time.Unix(1_800_000_000, 0)
	_, denied := newChecker(f, resource).Check(f.Context(), post(me.proof(map[string]any{"iat": now.Unix()})), me.binding(), now, false)
	require.Nil(f, denied, "nothing would be compared")
	f.Fuzz(func(t *testing.T, header, claims string) {
		header, claims = strings.Replace(header, "JWK", me.jwk(), 1), strings.Replace(claims, "ATH", hash(token), 1)
		c := newChecker(t, resource)
		if _, denied := c.Check(t.Context(), post(me.sign(header, claims)), me.binding(), now, false); denied != nil {
			return
		}
		var h, p map[string]any
		require.NoError(t, json.Unmarshal([]byte(header), &h))
		require.NoError(t, json.Unmarshal([]byte(claims), &p))
		require.Equal(t, "dpop+jwt", h["typ"])
		require.Equal(t, "ES256", h["alg"])
		require.NotContains(t, h, "crit")
		require.NotContains(t, h["jwk"], "d")
		require.Equal(t, "POST", p["htm"])
		require.Equal(t, hash(token), p["ath"])
		require.NotEmpty(t, p["jti"])
		require.LessOrEqual(t, math.Abs(p["iat"].(float64)-1_800_000_000), 300.0)
		u, err := url.Parse(p["htu"].(string))
		require.NoError(t, err)
		require.Equal(t, "https", strings.ToLower(u.Scheme))
		require.Equal(t, "mcp.example.com", strings.ToLower(u.Hostname()))
		require.Contains(t, []string{"", "443"}, u.Port())
		require.Equal(t, "/mcp", strings.TrimSuffix(u.JoinPath().Path, "/"))
		require.Empty(t, u.RawQuery+u.Fragment)
		require.Nil(t, u.User)
	})
}
