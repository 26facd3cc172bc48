package keys

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Those who share a source each let go of it, and the last one of what it shares with others.
func TestRegistry_Hold_JWKS_26(t *testing.T) {
	for name, discovered := range map[string]bool{"discovered": true, "fixed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				here, there := Place{Digest: [32]byte{1}}, Place{Digest: [32]byte{1}, Private: true}
				makes := func() *Source {
					if discovered {
						return r.registry.Discovered(r.issuer)
					}
					s, err := r.registry.Fixed(r.issuer, published)
					require.NoError(t, err)
					return s
				}
				none := func() *Source { return nil }
				assert.Nil(t, r.registry.Hold(there, none))
				first := r.registry.Hold(here, makes)
				assert.Same(t, first, r.registry.Hold(here, none))
				assert.Nil(t, r.registry.Hold(there, none))
				proof, denied := verify(t, first, keyA)
				require.Nil(t, denied)
				first.Close()
				assert.Len(t, r.registry.sets, 1, "another has it")
				assert.Same(t, first, r.registry.Hold(here, none))
				first.Close()
				assert.Len(t, r.registry.sets, 1, "another has it")
				first.Close()
				assert.Empty(t, r.registry.sets)
				assert.True(t, first.IsCurrent(&proof, time.Now()), "who still uses it goes on")
				assert.Nil(t, r.registry.Hold(here, none))
				next := r.registry.Hold(here, makes)
				assert.NotSame(t, first, next)
				_, denied = verify(t, next, keyA)
				require.Nil(t, denied)
				assert.Equal(t, 2, r.requests(published))
				assert.Len(t, r.registry.sets, 1)

				// A source that is closed holds no place for others, wherever it moves.
				r.set(described, page{body: metadataOf(as, as+"/moved")})
				r.set(as+"/moved", page{body: jwkSet(keyA)})
				refreshed(first)
				assert.Len(t, r.registry.sets, 1)
				assert.NotContains(t, r.registry.sets, keyLocation{as + "/moved", false})
			})
		})
	}
}

// Who leaves a place at which it is not takes nothing from those who are.
func TestRegistry_LeaveElsewhere_JWKS_26(t *testing.T) {
	r := newRig(keyA)
	s := r.registry.Discovered(r.issuer)
	stranger := r.registry.Discovered(issuerAt(as + "/t"))
	location := keyLocation{published, false}
	r.registry.leave(location, s)
	assert.Empty(t, r.registry.sets)
	keys := r.registry.at(location, s, nil)
	r.registry.leave(location, stranger)
	assert.Same(t, keys, r.registry.at(location, stranger, nil))
}

// The log names those who share keys in the same order, whoever came first.
func TestRegistry_IssuersOf_FRESH_15(t *testing.T) {
	r := newRig(keyA)
	location := keyLocation{published, false}
	var keys *sharedKeys
	for _, tenant := range []string{"/c", "/a", "/b", "/a"} {
		keys = r.registry.at(location, r.registry.Discovered(issuerAt(as+tenant)), nil)
	}
	assert.Equal(t, as+"/a, "+as+"/b, "+as+"/c", r.registry.issuersOf(keys))
}

// What strangers have used up at a place does not come back by a move to another.
func TestRegistry_AtInherits_FRESH_08(t *testing.T) {
	r := newRig(keyA)
	s := r.registry.Discovered(r.issuer)
	from := r.registry.at(keyLocation{published, false}, s, nil)
	assert.Zero(t, from.suspects.full)
	from.suspects.full = time.Unix(1_000_000, 0)
	assert.Equal(t, from.suspects.full, r.registry.at(keyLocation{as + "/moved", false}, s, from).suspects.full)
	assert.Zero(t, r.registry.at(keyLocation{as + "/fresh", false}, s, nil).suspects.full)
}

// Why a key set is of no use is said with each of its keys, as far as there are any.
func TestRegistry_Load_JWKS_01_JWKS_20_JWKS_25(t *testing.T) {
	const where = `"` + published + `": `
	for name, row := range map[string]struct {
		page page
		want string
	}{
		"no keys":     {page{body: `{"keys":[]}`}, where + "no usable keys"},
		"none usable": {page{body: `{"keys":[{"kty":"oct","kid":"s","k":"c2VjcmV0"},{"kty":"PQ","kid":"x"}]}`}, where + "no usable keys: s: private or symmetric key material, x: key type not accepted"},
		"no JSON":     {page{body: `{"keys":`}, where + "malformed: key set: json: not one JSON text at byte 8"},
		"down":        {page{status: http.StatusBadGateway}, `GET "` + published + `": bad_status: status 502`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(keyA)
			r.set(published, row.page)
			_, err := r.registry.load(t.Context(), keyLocation{published, false}, nil)
			assert.EqualError(t, err, row.want)
			assert.NotContains(t, r.log.String(), "c2VjcmV0")
		})
	}
}
