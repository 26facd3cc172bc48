package products

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

// shape is what a file of testdata/providers has.
type shape struct {
	Header, Claims map[string]any
}

// TestShape: the shapes with which mcpauth is tested are those of the tokens
// that the product of today makes.
func TestShape(t *testing.T) {
	for file, start := range map[string]func(testing.TB) *authservers.Server{
		"betterauth": authservers.StartBetterAuth,
		"glewlwyd":   authservers.StartGlewlwyd,
		"hydra":      func(t testing.TB) *authservers.Server { return authservers.StartHydra(t, false) },
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "providers", file+".json"))
			require.NoError(t, err)
			var kept shape
			require.NoError(t, json.Unmarshal(text, &kept))
			parts := strings.Split(ask{resource: "http://127.0.0.1:9/mcp", scope: "mcp:read"}.token(t, start(t)), ".")
			require.Len(t, parts, 3)
			var seen shape
			for part, into := range map[string]*map[string]any{parts[0]: &seen.Header, parts[1]: &seen.Claims} {
				decoded, err := base64.RawURLEncoding.DecodeString(part)
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(decoded, into))
			}
			assert.Equal(t, kinds(kept.Claims), kinds(seen.Claims))
			for _, name := range []string{"alg", "typ"} {
				assert.Equal(t, kept.Header[name], seen.Header[name], name)
			}
			assert.Equal(t, kinds(kept.Header), kinds(seen.Header))
		})
	}
}

// kinds are the names of members and the types of their values, which may be told.
func kinds(members map[string]any) map[string]string {
	all := map[string]string{}
	for name, value := range members {
		all[name] = fmt.Sprintf("%T", value)
	}
	return all
}
