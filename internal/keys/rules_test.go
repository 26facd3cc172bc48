package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// A copy settles from the moment on at which it is as new as the token, and not before,
// by our clock and by the sender's.
func TestKeyCopy_ToTheMoment_FRESH_05(t *testing.T) {
	asked := time.Unix(1_000_000, 0)
	at := func(d time.Duration) time.Time { return asked.Add(d) }
	for _, row := range []struct {
		name                       string
		begun, aged, dated, issued time.Time
		now                        time.Time
		settles, outlived          bool
	}{
		{"begun when it came", at(0), at(0), time.Time{}, at(0), at(0), true, false},
		{"begun just before it came", at(-1), at(0), time.Time{}, at(-time.Second), at(0), false, false},
		{"aged when it was issued", at(0), at(-5), time.Time{}, at(-5), at(0), true, false},
		{"aged just before it was issued", at(0), at(-6), time.Time{}, at(-5), at(0), false, false},
		{"issued later than it came, by its own account", at(0), at(0), time.Time{}, at(time.Second), at(0), true, false},
		{"dated when it was issued", at(0), at(0), at(-5), at(-5), at(0), true, false},
		{"dated just before it was issued", at(0), at(0), at(-6), at(-5), at(0), false, false},
		{"dated before it was issued, by a clock ahead", at(0), at(0), at(time.Second - 1), at(time.Second), at(0), false, false},
		{"without iat", at(0), at(0), time.Time{}, time.Time{}, at(0), true, false},
		{"a minute older than the copy", at(-1), at(-1), time.Time{}, at(-time.Minute - 1), at(0), false, true},
		{"not quite a minute older", at(-1), at(-1), time.Time{}, at(-time.Minute), at(0), false, false},
		{"a minute older than its date", at(-1), at(-1), at(-9), at(-time.Minute - 9), at(0), false, true},
		{"not quite a minute older than its date", at(-1), at(-1), at(-10), at(-time.Minute - 9), at(0), false, false},
		{"a copy of thirty seconds", at(-30 * time.Second), at(-30 * time.Second), time.Time{}, at(-time.Hour), at(0), false, true},
		{"a copy of more", at(-30*time.Second - 1), at(-1), time.Time{}, at(-time.Hour), at(0), false, false},
		{"a copy of thirty seconds, without iat", at(-1), at(-1), time.Time{}, time.Time{}, at(0), false, false},
	} {
		d := &doubt{asked: asked, issued: row.issued}
		c := &keyCopy{begun: row.begun, aged: row.aged, dated: row.dated}
		assert.Equal(t, row.settles, c.settles(d), row.name)
		assert.Equal(t, row.outlived, c.outlived(d, row.now), row.name)
	}
	var never time.Time
	assert.Equal(t, asked, older(asked, never))
	assert.Equal(t, asked, older(never, asked))
	assert.Equal(t, asked, older(asked, at(1)))
	assert.Equal(t, asked, older(at(1), asked))
	assert.Equal(t, never, older(never, never))
}

// What Retry-After promises is when there can be newer keys: when a fetch may begin,
// and half as long again as the last one took.
func TestSuspects_RetryAfter_FRESH_06(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const s = time.Second
	began := func(d time.Duration) *suspicion { return &suspicion{begun: at(d)} }
	for _, row := range []struct {
		name  string
		b     *suspects
		asked time.Duration
		retry time.Duration
	}{
		{"at once", &suspects{}, 0, 0},
		{"a fetch takes two seconds", &suspects{took: 2 * s}, 0, 1 * s}, // which count from long ago
		{"after a failure", &suspects{took: 2 * s, notBefore: at(4 * s)}, 0, 7 * s},
		{"budget used up", &suspects{full: at(30 * s)}, 0, 10 * s},
		{"budget used up but for one", &suspects{full: at(20 * s), took: 2 * s}, 0, 3 * s},
		{"the later of the two", &suspects{full: at(25 * s), notBefore: at(4 * s)}, 0, 5 * s},
		{"and of these", &suspects{full: at(25 * s), notBefore: at(6 * s)}, 0, 6 * s},
		{"begun since the token came", &suspects{full: at(30 * s), took: 4 * s, flight: began(-s)}, -2 * s, 5 * s},
		{"begun when it came", &suspects{full: at(30 * s), took: 4 * s, flight: began(-s)}, -s, 5 * s},
		{"begun before it came", &suspects{full: at(30 * s), took: 4 * s, flight: began(-s)}, -s + 1, 16 * s},
		{"begun, and slower than the last", &suspects{took: s, flight: began(-4 * s)}, -5 * s, 2 * s},
	} {
		retry, _ := row.b.outlook(&doubt{asked: at(row.asked)}, now)
		assert.Equal(t, row.retry, retry, row.name)
	}
}

// The operator hears of it when the budget is used up, and once in half a minute.
func TestSuspects_Tell_FRESH_14(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	tell := func(b *suspects, at time.Time) bool {
		_, tell := b.outlook(&doubt{asked: at}, at)
		return tell
	}
	assert.False(t, tell(&suspects{}, now), "there is some left")
	assert.False(t, tell(&suspects{notBefore: now}, now), "from now on")
	assert.True(t, tell(&suspects{waiting: maxSuspects}, now), "all places are taken")
	b := &suspects{full: now.Add(time.Hour)}
	assert.True(t, tell(b, now))
	assert.False(t, tell(b, now))
	assert.False(t, tell(b, now.Add(30*time.Second-1)))
	assert.True(t, tell(b, now.Add(30*time.Second)))
}

// A failed fetch is made again after 1, 2, 4... seconds and never later than the budget
// would have it; a good one makes up for all before.
func TestSuspects_Landed_FRESH_04(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := &suspects{}
	land := func(good bool) (opens time.Time) {
		b.flight = &suspicion{begun: now.Add(-3 * time.Second)}
		b.landed(now, good)
		assert.Equal(t, 3*time.Second, b.took)
		assert.Nil(t, b.flight)
		return b.opens()
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 10, 10, 10, 10} {
		assert.Equal(t, now.Add(want*time.Second), land(false))
	}
	assert.True(t, land(true).Before(now))
	assert.Equal(t, now.Add(time.Second), land(false), "the first again")
}

// A move to another place brings back nothing of what was used up.
func TestSuspects_Inherit_FRESH_08_FRESH_15(t *testing.T) {
	from := &suspects{full: time.Unix(1, 0), failures: 2, notBefore: time.Unix(2, 0), took: 3, told: time.Unix(4, 0)}
	to := &suspects{}
	to.inherit(from)
	assert.Equal(t, from, to)
}

// 256 wait, and who has left makes room for one.
func TestSuspects_Places_FRESH_02(t *testing.T) {
	b := &suspects{}
	for range maxSuspects {
		require.Same(t, b, b.enter(nil))
	}
	assert.Nil(t, b.enter(nil))
	b.leave()
	assert.Same(t, b, b.enter(nil))
	assert.Nil(t, b.enter(nil))
	(*suspects)(nil).leave()
	assert.Equal(t, maxSuspects, b.waiting)
}

// Metadata in doubt is fetched with the keys once, and not for each fetch after that.
func TestSuspects_Doubted_FRESH_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		keys := &sharedKeys{}
		metadata := &remote[serverMetadata]{load: func(context.Context, *loaded[serverMetadata], bool) (*loaded[serverMetadata], error) {
			time.Sleep(time.Second) // long enough to be joined
			fetches++
			return &loaded[serverMetadata]{value: serverMetadata{keys: keys}}, nil
		}}
		keys.load = func(context.Context, *loaded[*keySet], bool) (*loaded[*keySet], error) {
			time.Sleep(time.Second)
			return &loaded[*keySet]{value: newKeySet(nil, nil, false)}, nil
		}
		of, other := &finder{metadata: metadata}, &finder{fixed: keys}
		f, _ := of.suspect(&keyCopy{keys: keys}, time.Now())
		require.NotNil(t, f)
		joined, _ := of.suspect(&keyCopy{keys: keys}, time.Now())
		assert.Same(t, f, joined)
		<-f.done
		f, at := other.suspect(&keyCopy{keys: keys}, time.Now())
		assert.Nil(t, f, "there is a newer copy to look at")
		assert.Equal(t, time.Now(), at)
		c, ok := other.look(time.Now())
		require.True(t, ok)
		f, _ = other.suspect(&c, time.Now())
		require.NotNil(t, f)
		<-f.done
		synctest.Wait()
		assert.Equal(t, 1, fetches)
	})
}

// A document's failures are counted in a row, its fetches and their time for ever.
func TestRemote_Counts_DISC_19_OBS_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down error
		r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
			time.Sleep(2 * time.Second)
			if down != nil {
				return nil, down
			}
			return &loaded[int]{value: 1}, nil
		}} // nobody is told of failures, which must not matter
		run := func() time.Duration {
			begun := time.Now()
			f := r.suspect(begun)
			<-f.done
			synctest.Wait()
			if down == nil {
				return 0
			}
			assert.Equal(t, down, f.err)
			assert.Equal(t, begun, r.lastFailed())
			return time.Until(*r.nextTry.Load())
		}
		run()
		assert.Nil(t, r.nextTry.Load())
		down = errors.New("down")
		assert.LessOrEqual(t, run(), 1200*time.Millisecond)
		assert.GreaterOrEqual(t, run(), 1600*time.Millisecond, "twice as long")
		down = nil
		run()
		assert.Nil(t, r.nextTry.Load())
		down = errors.New("down")
		assert.LessOrEqual(t, run(), 1200*time.Millisecond, "the first again")
	})
}

// Why there is no document is said in each case.
func TestRemote_Unavailable_DISC_20_JWKS_19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &remote[int]{load: func(context.Context, *loaded[int], bool) (*loaded[int], error) {
			<-release
			return &loaded[int]{value: 1}, nil
		}}
		begun := time.Now()
		_, err := r.get(t.Context(), begun)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(begun))
		gone, leave := context.WithCancelCause(t.Context())
		leave(errStale)
		_, err = r.get(gone, time.Now())
		require.ErrorIs(t, err, errStale, "the cause, if there is one")
		close(release)
		synctest.Wait()
		assert.NotNil(t, r.usable(time.Now()))
	})
	// The machine slept through the document's time; nothing has failed.
	r := &remote[int]{}
	err := r.unavailable(time.Now())
	require.EqualError(t, err, errStale.Error())
	var unavailable *unavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.Equal(t, minBackoff, unavailable.retry)
	now := time.Now()
	next := now.Add(7 * time.Second)
	r.nextTry.Store(&next)
	require.ErrorAs(t, r.unavailable(now), &unavailable)
	assert.Equal(t, 7*time.Second, unavailable.retry)
}

// Retry-After is in whole seconds, never less than the truth, from one to thirty.
func TestDenyUnavailable_RetryAfter_DISC_20_FRESH_06(t *testing.T) {
	for retry, want := range map[time.Duration]time.Duration{
		-time.Hour: time.Second, 0: time.Second, 1: time.Second, time.Second: time.Second, time.Second + 1: 2 * time.Second,
		1900 * time.Millisecond: 2 * time.Second, 2 * time.Second: 2 * time.Second, 29 * time.Second: 29 * time.Second, 29*time.Second + 1: 30 * time.Second,
		30 * time.Second: 30 * time.Second, time.Hour: 30 * time.Second,
	} {
		denied := denyUnavailable(&unavailableError{err: errStale, retry: retry})
		assert.Equal(t, want, denied.RetryAfter, "%v", retry)
		assert.Equal(t, 503, denied.Status())
	}
	assert.Equal(t, time.Second, denyUnavailable(errStale).RetryAfter)
}

// What is accepted as the place of a document, by configuration or by a document.
func TestAcceptURL_DISC_05_DISC_06_DISC_08(t *testing.T) {
	for raw, want := range map[string]struct{ usual, loopback bool }{
		"https://keys.example.com/jwks":       {true, true},
		"https://127.0.0.1/jwks":              {true, true}, // the guard is for what it is dialed by
		"http://127.0.0.1:8080/jwks":          {false, true},
		"http://localhost/jwks":               {false, true},
		"http://keys.example.com/jwks":        {false, false},
		"ftp://127.0.0.1/jwks":                {false, false},
		"/jwks":                               {false, false},
		"https:///jwks":                       {false, false},
		"https://user@keys.example.com/jwks":  {false, false},
		"https://keys.example.com/jwks#k":     {false, false},
		"https://127.1/jwks":                  {false, false},
		"https://\uff11\uff12\uff17.0.0.1/":   {false, false},
		"https://0x7f000001/jwks":             {false, false},
		"https://keys.example.com:port/jwks":  {false, false},
		"https://keys.example.com:8443/jwks?": {true, true},
	} {
		for loopback, accepted := range map[bool]bool{false: want.usual, true: want.loopback} {
			err := (&Issuer{Loopback: loopback}).Accepts(raw)
			assert.Equal(t, accepted, err == nil, "%q, loopback %t: %v", raw, loopback, err)
			if err != nil {
				assert.ErrorIs(t, err, errInsecureURL)
			}
		}
	}
	assert.EqualError(t, (&Issuer{}).Accepts("https:///jwks"), `insecure_url: "https:///jwks" is not an absolute URL`)
}

// ecKeys makes so many keys of P-256.
func ecKeys(t *testing.T, n int) []jose.Key {
	t.Helper()
	keys := make([]jose.Key, n)
	for i := range keys {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		keys[i].Public = &private.PublicKey
	}
	return keys
}

// Which keys a token is tried with, up to the bound and not beyond.
func TestCandidates_Bounds_JWKS_09_JWKS_10(t *testing.T) {
	named := func(alg string) *jose.Header { return &jose.Header{Alg: alg, Kid: "k", HasKid: true} }
	for n := range 12 {
		bare, same := newKeySet(ecKeys(t, n), nil, false), ecKeys(t, n)
		for i := range same {
			same[i].Kid, same[i].HasKid = "k", true
		}
		set := newKeySet(same, nil, false)
		found, known := set.candidates(nil, named("ES256"))
		assert.Len(t, found, min(n, maxSameKid))
		assert.Equal(t, n > 0, known)
		found, known = set.candidates(nil, named("ES384"))
		assert.Empty(t, found)
		assert.Equal(t, n > 0, known)
		found, known = bare.candidates(nil, named("ES256"))
		assert.Empty(t, found)
		assert.False(t, known, "JWKS-09: a key without a name is none that a token names")
		bare.anyKid = true
		for _, found := range [][]*jose.Key{triedKeys(set.candidates(nil, &jose.Header{Alg: "ES256"})), triedKeys(bare.candidates(nil, named("ES256")))} {
			if n > maxNoKid {
				assert.Empty(t, found, "%d", n)
				continue
			}
			assert.Len(t, found, n)
		}
		_, known = set.candidates(nil, &jose.Header{Alg: "ES256"})
		assert.True(t, known)
	}
}

func triedKeys(keys []*jose.Key, _ bool) []*jose.Key { return keys }

// A key vouches for what it has signed as long as the very key is there, under the name
// by which the token asks for it, and for the algorithm.
func TestKeySet_Has_INTRO_23_JWKS_21(t *testing.T) {
	keys := ecKeys(t, 2)
	called := func(key jose.Key, kid string, alg string) jose.Key {
		key.Kid, key.HasKid, key.Alg = kid, true, alg
		return key
	}
	bare, mine := keys[0], called(keys[0], "a", "")
	for _, row := range []struct {
		name   string
		set    []jose.Key
		anyKid bool
		key    jose.Key
		named  bool
		want   bool
	}{
		{"the same", []jose.Key{keys[1], mine}, false, mine, true, true},
		{"for the algorithm", []jose.Key{called(bare, "a", "ES256")}, false, mine, true, true},
		{"for another algorithm", []jose.Key{called(bare, "a", "ES384")}, false, mine, true, false},
		{"another key of the name", []jose.Key{called(keys[1], "a", "")}, false, mine, true, false},
		{"under another name", []jose.Key{called(bare, "b", "")}, false, mine, true, false},
		{"under no name", []jose.Key{bare}, false, mine, true, false},
		{"under no name, where any will do", []jose.Key{bare}, true, mine, true, true},
		{"another one where any will do", []jose.Key{keys[1]}, true, mine, true, false},
		{"under another name, which the token does not ask for", []jose.Key{called(bare, "b", "")}, false, mine, false, true},
		{"another key, by no name", []jose.Key{keys[1]}, false, bare, false, false},
		{"the empty name is a name", []jose.Key{bare}, false, called(bare, "", ""), true, false},
		{"nothing", nil, false, mine, true, false},
	} {
		assert.Equal(t, row.want, newKeySet(row.set, nil, row.anyKid).has(&row.key, row.named, "ES256"), row.name)
	}
}
