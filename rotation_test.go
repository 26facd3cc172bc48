package mcpauth_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

var allRotations = flag.Bool("rotations", false, "measure every combination of rotation, transport, lifetime and flood, and print the table")

// What happens to the keys, how documents come, how long they live, and who else is there.
var (
	rotationKinds      = []string{"new kid", "same kid", "no kid", "moved URL"}
	rotationTransports = []string{"healthy", "304 to a condition", "412 to a condition", "500 to a condition",
		"reset for 3 s", "dead connection", "hanging for 10 s", "slow, 2.9 s"}
	rotationLifetimes = []string{"none", "86400", "cache 30 s, Age"}
)

const (
	rotationAt   = 10 * time.Minute // after the keys were fetched
	rotationTook = time.Minute      // is looked at
	rotationPace = 200 * time.Millisecond
)

// unruly is a transport in one of the states, in front of an issuer.
type unruly struct {
	next            http.RoundTripper
	state, lifetime string

	mu      sync.Mutex
	since   time.Time // of the rotation; zero before
	dead    bool      // a connection that nobody has let go of
	kept    map[string]*http.Response
	bodies  map[string]string
	fetched map[string]time.Time
	keys    int // fetches since the rotation
}

// CloseIdleConnections lets go of the connection that has died.
func (u *unruly) CloseIdleConnections() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dead = false
}

func (u *unruly) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.since, u.dead = time.Now(), u.state == "dead connection"
}

func (u *unruly) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	var after time.Duration
	rotated := !u.since.IsZero()
	if rotated {
		after = time.Since(u.since)
		if strings.HasSuffix(r.URL.Path, "/jwks") || strings.HasSuffix(r.URL.Path, "/moved") {
			u.keys++
		}
	}
	dead := u.dead
	u.mu.Unlock()
	hang := func() (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
	switch {
	case strings.HasSuffix(u.state, "to a condition") && (r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != ""):
		var status int
		_, _ = fmt.Sscan(u.state, &status)
		return keysAnswer(r, status, "", ""), nil
	case rotated && u.state == "reset for 3 s" && after < 3*time.Second:
		return nil, errors.New("connection reset by peer")
	case dead, rotated && u.state == "hanging for 10 s" && after < 10*time.Second:
		return hang()
	case rotated && u.state == "slow, 2.9 s":
		select {
		case <-time.After(2900 * time.Millisecond):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return u.answer(r)
}

// prime has somebody else fill the cache.
func (u *unruly) prime(t *testing.T) {
	if u.lifetime != "cache 30 s, Age" {
		return
	}
	for _, url := range []string{placeOAuth, placeKeys} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		_, err = u.answer(r)
		require.NoError(t, err)
	}
}

// answer is the issuer's, or that of a cache before it.
func (u *unruly) answer(r *http.Request) (*http.Response, error) {
	if u.lifetime != "cache 30 s, Age" {
		resp, err := u.next.RoundTrip(r)
		if err == nil && u.lifetime == "86400" {
			resp.Header.Set("Cache-Control", "max-age=86400")
		}
		return resp, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	url := r.URL.String()
	age := time.Since(u.fetched[url])
	if u.kept[url] == nil || age >= 30*time.Second {
		resp, err := u.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		u.kept[url], u.bodies[url], u.fetched[url], age = resp, string(body), time.Now(), 0
	}
	resp := keysAnswer(r, u.kept[url].StatusCode, "application/json", u.bodies[url])
	resp.Header.Set("Cache-Control", "max-age=86400")
	resp.Header.Set("Age", fmt.Sprint(int(age/time.Second)))
	return resp, nil
}

// rotationResult is what good tokens by the new key got in the minute after it began to sign.
type rotationResult struct {
	refused, unavailable, slowest time.Duration
	fetches                       int
}

func rotate(t *testing.T, kind, state, lifetime string, flooded bool) (result rotationResult) {
	u := &unruly{state: state, lifetime: lifetime, kept: map[string]*http.Response{}, bodies: map[string]string{}, fetched: map[string]time.Time{}}
	f := newFixture(t, func(c *mcpauth.Config) {
		u.next, c.Transport, c.Logger = c.Transport, u, nil
	})
	first, second := *mcpauthtest.NewKey("k1", "EdDSA"), *mcpauthtest.NewKey("k2", "EdDSA")
	switch kind {
	case "same kid":
		second.ID = "k1"
	case "no kid":
		first.ID, second.ID = "", ""
	}
	f.issuer.Rotate(&first)
	for _, endpoint := range []mcpauthtest.Endpoint{mcpauthtest.Metadata, mcpauthtest.JWKS} {
		f.issuer.Header(endpoint, "ETag", `"v1"`)
	}
	f.served(f.call(f.token(nil), "echo"))
	time.Sleep(rotationAt)
	stop := func() {}
	if flooded { // a moment ago: no moment is worse
		stop, _ = f.flood(t, 50, func(n int) string { return f.junk(n, time.Now()) })
	}
	u.prime(t)
	time.Sleep(time.Second)
	f.issuer.Rotate(&second)
	if kind == "moved URL" {
		f.issuer.PublishMetadata(func(m map[string]any) { m["jwks_uri"] = testIssuerURL + "/moved" })
	}
	u.begin()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for n := range int(rotationTook / rotationPace) {
		token := f.keyToken(&second, mcpauthtest.Claims{"jti": fmt.Sprint(n)})
		clients.Go(func() {
			begun := time.Now()
			code := f.call(token, "echo").Code
			mu.Lock()
			defer mu.Unlock()
			switch code {
			case http.StatusUnauthorized:
				result.refused += rotationPace
			case http.StatusServiceUnavailable:
				result.unavailable += rotationPace
			default:
				result.slowest = max(result.slowest, time.Since(begun))
			}
		})
		time.Sleep(rotationPace)
	}
	clients.Wait()
	stop()
	u.mu.Lock()
	result.fetches = u.keys
	u.mu.Unlock()
	time.Sleep(10 * time.Second)
	return result
}

// mayBeUnavailable bounds the time in which new tokens get 503: as long as nothing can be had,
// and until a fetch may begin again.
func mayBeUnavailable(state, lifetime string, flooded bool) (bound time.Duration) {
	switch state {
	case "reset for 3 s", "slow, 2.9 s":
		bound = 3 * time.Second
	case "dead connection":
		bound = 5 * time.Second
	case "hanging for 10 s":
		bound = 10 * time.Second
	}
	if lifetime == "cache 30 s, Age" {
		bound += 30 * time.Second
	}
	if flooded || bound >= 10*time.Second {
		bound += 10 * time.Second
	}
	return bound
}

// TestRotations_FRESH_01_FRESH_07_FRESH_08_FRESH_11 measures what a rotation costs good tokens in every state of the
// transport: no second of 401, and seconds of 503 within a bound. The whole table: go test -run Rotations -rotations -v .
func TestRotations_FRESH_01_FRESH_07_FRESH_08_FRESH_11(t *testing.T) {
	lifetimes := rotationLifetimes
	if !*allRotations {
		lifetimes = lifetimes[1:2]
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-10s  %-18s  %-15s  %-5s  %6s  %6s  %8s  %7s  %s\n", "rotation", "transport", "lifetime", "flood", "401 s", "503 s", "at most", "waited", "fetches")
	for _, kind := range rotationKinds {
		for _, state := range rotationTransports {
			for _, lifetime := range lifetimes {
				for _, flooded := range []bool{false, true} {
					if flooded && !*allRotations && kind != "same kid" {
						continue
					}
					var result rotationResult
					name := fmt.Sprintf("%s, %s, %s, flood %t", kind, state, lifetime, flooded)
					synctest.Test(t, func(t *testing.T) { result = rotate(t, kind, state, lifetime, flooded) })
					bound := mayBeUnavailable(state, lifetime, flooded)
					fmt.Fprintf(&table, "%-10s  %-18s  %-15s  %-5t  %6.1f  %6.1f  %8.0f  %6.1fs  %d\n", kind, state, lifetime, flooded,
						result.refused.Seconds(), result.unavailable.Seconds(), bound.Seconds(), result.slowest.Seconds(), result.fetches)
					assert.Zero(t, result.refused, name)
					assert.LessOrEqual(t, result.unavailable, bound, name)
					assert.LessOrEqual(t, result.fetches, 2*(3+int((rotationTook+10*time.Second)/suspectPause)), name)
				}
			}
		}
	}
	t.Log("\n" + table.String())
}

// suspectPause is after how long one more fetch may be made.
const suspectPause = 10 * time.Second
