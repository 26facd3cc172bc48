package keys

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
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

// Keys that are given are judged by as those that are fetched, without any network.
func TestSource_Static_DISC_27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s, err := r.registry.Static(r.issuer, []byte(jwkSet(keyA)))
		require.NoError(t, err)
		require.Nil(t, s.Warm(t.Context()))
		proof, denied := verify(t, s, keyA)
		require.Nil(t, denied)
		assert.True(t, s.IsCurrent(&proof, time.Now()))
		known, denied := s.Recheck(&proof, time.Now())
		assert.True(t, known)
		assert.Nil(t, denied)
		assert.Nil(t, s.AwaitRecheck(t.Context(), &proof, time.Now()))
		_, denied = verify(t, s, keyB)
		assert.Equal(t, refusal.New(refusal.UnknownKey, "kid", "b", "a key of the issuer's current key set"), denied)
		assert.False(t, s.Discovers())
		assert.True(t, s.Status().Ready)
		assert.Empty(t, r.asked)
	})
}

// Keys at a place that is configured need no metadata, and there is none.
func TestSource_Fixed_JWKS_31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s, err := r.registry.Fixed(r.issuer, published)
		require.NoError(t, err)
		_, denied := verify(t, s, keyA)
		require.Nil(t, denied)
		assert.False(t, s.Discovers())
		_, denied = s.Metadata(t.Context())
		require.ErrorIs(t, denied, errBadMetadata)
		location, guarded, err := s.Endpoint(t.Context(), "introspection_endpoint")
		require.ErrorIs(t, err, errBadMetadata)
		assert.Empty(t, location)
		assert.False(t, guarded)
		assert.Equal(t, []string{published}, r.asked)
	})
}

// An endpoint is what the metadata says, guarded if it was learned, and refused like any other URL.
func TestSource_Endpoint_DISC_05_DISC_30(t *testing.T) {
	const none = "the metadata has no introspection_endpoint"
	for name, row := range map[string]struct {
		page     page
		location string
		guarded  bool
		err      string
	}{
		"beside the issuer":    {page{body: withEndpoint(`"` + as + `/ask"`)}, as + "/ask", false, ""},
		"on another host":      {page{body: withEndpoint(`"https://ask.example.com/"`)}, "https://ask.example.com/", true, ""},
		"in the clear":         {page{body: withEndpoint(`"http://as.example.com/ask"`)}, "http://as.example.com/ask", true, `insecure_url: "http://as.example.com/ask" must be https`},
		"missing":              {page{body: metadataOf(as, published)}, "", false, none},
		"none":                 {page{body: withEndpoint(`""`)}, "", false, none},
		"of another kind":      {page{body: withEndpoint(`5`)}, "", false, none},
		"metadata that is not": {page{body: "<!doctype html>", kind: "text/html"}, "", false, "\"" + described + "\": bad_content_type: \"text/html\"\nGET \"" + as + "/.well-known/openid-configuration\": bad_status: status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				r.set(described, row.page)
				s := r.registry.Discovered(r.issuer)
				assert.True(t, s.Discovers())
				location, guarded, err := s.Endpoint(t.Context(), "introspection_endpoint")
				if row.err != "" {
					require.EqualError(t, err, row.err)
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, row.location, location)
				assert.Equal(t, row.guarded, guarded)
			})
		})
	}
}

func withEndpoint(value string) string {
	return `{"issuer":"` + as + `","jwks_uri":"` + published + `","introspection_endpoint":` + value + `}`
}

// A line has so many of a list, and says how many more there are.
func TestFew_OBS_11(t *testing.T) {
	var list []string
	for n := range 12 {
		want := list
		if n > 8 {
			want = append(append([]string{}, list[:8]...), "and "+strconv.Itoa(n-8)+" more")
		}
		assert.Equal(t, want, few(list), n)
		list = append(list, strconv.Itoa(n))
	}
}
