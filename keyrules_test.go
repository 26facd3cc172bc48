package mcpauth_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// A token that newer keys have verified is one like any other: the key is known
// by which the streams that it opens are asked about.
func TestSettled_KeyIsKnown_FRESH_01_INTRO_23(t *testing.T) {
	for _, stays := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.served(f.call(f.token(nil), "echo"))
			time.Sleep(time.Minute)
			k2 := mcpauthtest.NewKey("k2", "RS256")
			f.issuer.Rotate(k2)
			l := f.lasts(streamOpens[0].send(f, longToken(f, nil)))
			require.Equal(t, 2, keyFetches(f), "it has been settled")
			time.Sleep(time.Second)
			next := []*mcpauthtest.Key{mcpauthtest.NewKey("k3", "RS256")}
			if stays {
				next = append(next, k2)
			}
			f.issuer.Rotate(next...)
			changed := time.Now()
			f.fetchNow(t)
			time.Sleep(5 * time.Minute)
			if stays {
				l.goesOn(t)
				return
			}
			l.endedWith(t, changed, changed.Add(66*time.Second), mcpauth.ErrUnknownKey, "")
		})
	}
}

// What a token is refused with is what the newest keys say of it.
func TestSettled_NewestVerdict_FRESH_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Minute)
		forged := f.keyToken(mcpauthtest.NewKey("k2", "RS256"), nil)
		f.issuer.Rotate(sameKidAs("k2", "RS256"))
		f.refused(f.call(forged, "echo"), 401, invalidToken(badSignature))
		time.Sleep(time.Second)
		f.issuer.Rotate(mcpauthtest.NewKey("k3", "RS256"))
		f.refused(f.call(forged, "echo"), 401, invalidToken(unknownKey))
	})
}

// sameKidAs makes another key than that of the name.
func sameKidAs(kid, alg string) *mcpauthtest.Key {
	key := *mcpauthtest.NewKey("another-"+kid, alg)
	key.ID = kid
	return &key
}

// Good keys do not hide that the metadata cannot be had: it is asked for again after one
// second and after two, and not at once.
func TestSuspects_MetadataFails_FRESH_04(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(time.Minute)
		f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
		begun, before := time.Now(), keyFetches(f)
		f.unavailable(f.call(f.junk(0, time.Now()), "echo"))
		assert.Equal(t, 3*time.Second, time.Since(begun))
		assert.Equal(t, 3, keyFetches(f)-before)
	})
}

// A document at hand is reason enough to ask no further place, though one that is preferred
// still keeps silent.
func TestPlaces_NoneBehind_FRESH_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := false
		var mu sync.Mutex
		var asked []string
		f := newFixture(t, func(c *mcpauth.Config) {
			next := c.Transport
			c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				asked = append(asked, r.URL.String())
				mu.Unlock()
				if silent && r.URL.String() == placeOAuth {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return next.RoundTrip(r)
			})
		})
		f.served(f.call(f.token(nil), "echo"))
		time.Sleep(2 * time.Hour)
		silent, asked = true, nil
		f.served(f.call(f.token(nil), "echo")) // refreshes on schedule
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, asked, placeInserted)
		asked = slices.DeleteFunc(asked, func(url string) bool { return url == placeOAuth || url == placeInserted || url == placeKeys })
		assert.Empty(t, asked)
	})
}

// The status page names what is wrong with a document that came.
func TestDiscovery_Classes_DISC_10_OBS_03(t *testing.T) {
	for body, class := range map[string]string{
		`[]`: "bad_metadata", `{"issuer":1}`: "bad_metadata", `{"x":1,"x":1}`: "bad_metadata", `{"issuer":"` + testIssuerURL + `"`: "bad_metadata",
		`{"x":{"y":[}}`: "bad_metadata", ``: "bad_metadata",
		`{}`: "issuer_mismatch", `{"issuer":"` + testIssuerURL + `"}`: "no_jwks_uri",
		`{"issuer":"` + testIssuerURL + `","jwks_uri":"http://as.example.com/jwks"}`: "insecure_url",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *mcpauth.Config) {
				c.Transport = keysTransport(func(r *http.Request) (*http.Response, error) {
					return keysAnswer(r, http.StatusOK, "application/json", body), nil
				})
			})
			f.unavailable(f.call(f.token(nil), "echo"))
			assert.Equal(t, class, f.lastError(), body)
		})
	}
}
