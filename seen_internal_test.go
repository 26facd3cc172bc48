package mcpauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// A verified token is found again for a minute, and what is found is not what
// callers get to see.
func TestSeen_TOK_62(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		set := newKeySet(nil, nil, false)
		s := &issuer{keys: keySource{static: set}}
		now := time.Now()
		good := func() *verified {
			return &verified{principal: Principal{Expiry: now.Add(time.Hour), Scopes: []string{"a"}}, issuer: s, keys: set, notBefore: now}
		}
		key := m.tokens.Key("token")
		for name, row := range map[string]struct {
			change func(*verified)
			after  time.Duration
			found  bool
		}{
			"at once":                          {nil, 0, true},
			"59 s later":                       {nil, 59 * time.Second, true},
			"TOK-62 a minute later":            {nil, time.Minute, false},
			"TOK-62 expired, within leeway":    {func(v *verified) { v.principal.Expiry = now.Add(-29 * time.Second) }, 0, true},
			"TOK-62 expired, beyond leeway":    {func(v *verified) { v.principal.Expiry = now.Add(10 * time.Second) }, 40 * time.Second, false},
			"JWKS-21 of another key set":       {func(v *verified) { v.keys = newKeySet(nil, nil, false) }, 0, false},
			"the clock was set back, slightly": {func(v *verified) { v.notBefore = now.Add(30 * time.Second) }, 0, true},
			"the clock was set back":           {func(v *verified) { v.notBefore = now.Add(31 * time.Second) }, 0, false},
		} {
			v := good()
			if row.change != nil {
				row.change(v)
			}
			m.put(key, v, now, 30*time.Second)
			found := m.get(key, now.Add(row.after), 30*time.Second)
			assert.Equal(t, row.found, found != nil, name)
			m.tokens.Remove(key)
		}
	})
}

// Whoever changes a principal changes a copy.
func TestPrincipalCopies_TOK_64(t *testing.T) {
	p := &Principal{Subject: "u", Scopes: []string{"a"}, Audiences: []string{"b"}, AMR: []string{"c"}, Actors: []string{"d"}, claims: `{}`}
	c := p.clone()
	assert.Equal(t, p, c)
	for _, list := range [][]string{c.Scopes, c.Audiences, c.AMR, c.Actors} {
		list[0] = "admin"
	}
	c.Subject = "root"
	assert.Equal(t, &Principal{Subject: "u", Scopes: []string{"a"}, Audiences: []string{"b"}, AMR: []string{"c"}, Actors: []string{"d"}, claims: `{}`}, p)
	assert.Nil(t, (*Principal)(nil).clone())
}

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
	g := &keyRegistry{client: fetch.New(transport), log: slog.New(slog.DiscardHandler)}
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
	assert.Nil(t, (&keySource{metadata: failed}).serving(time.Now()))
	assert.Nil(t, (&keySource{fixed: &sharedKeys{}}).serving(time.Now()))
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
