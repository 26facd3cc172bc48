package keys

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// The same text fetched again is the same key set, so that tokens which it
// vouched for stay verified; another text is another one. Without metadata
// there is none at all.
func TestKeySetIdentity_JWKS_21(t *testing.T) {
	text := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	transport := roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.WriteString(text)
		return w.Result()
	})
	g := NewRegistry(transport, slog.New(slog.DiscardHandler))
	load := func(previous *loaded[*keySet]) *loaded[*keySet] {
		doc, err := g.load(t.Context(), keyLocation{"https://as.example.com/jwks", false}, previous)
		require.NoError(t, err)
		return doc
	}
	first := load(nil)
	again := load(first)
	assert.Same(t, first.value, again.value)
	text += " "
	assert.NotSame(t, first.value, load(again).value)

	failed := &remote[serverMetadata]{load: func(context.Context, *loaded[serverMetadata], bool) (*loaded[serverMetadata], error) {
		return nil, errStale
	}}
	assert.Nil(t, (&finder{metadata: failed}).serving(time.Now()))
	assert.Nil(t, (&finder{fixed: &sharedKeys{}}).serving(time.Now()))
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// What proves nothing vouches for nothing, whether there are keys or not.
func TestNoProof_JWKS_21(t *testing.T) {
	none := &Source{keys: finder{fixed: &sharedKeys{}}}
	some := &Source{keys: finder{static: newKeySet(nil, nil, false)}}
	for _, s := range []*Source{none, some} {
		assert.False(t, s.IsCurrent(&Proof{}, time.Unix(1_800_000_000, 0)))
		denied := (&Proof{}).vouchedBy(newKeySet(nil, nil, false))
		require.NotNil(t, denied)
		assert.Equal(t, refusal.UnknownKey, denied.Reason)
	}
}
