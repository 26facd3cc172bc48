package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
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

var (
	freshSchedules = flag.Int("schedules", 150, "how many random schedules of rotations are played")
	freshSeed      = flag.Uint64("schedulesseed", 0, "seed of the schedules; 0: from the clock")
)

// generation is one signing key of a model authorization server, from when it
// signs until the next one does.
type generation struct {
	n     int
	key   *mcpauthtest.Key
	signs time.Time
	shown [2]time.Time // when each of two replicas publishes it
	place string       // where the keys are from then on
	keeps bool         // the key before it stays published
}

// shownBy is when all replicas publish the generation.
func (g *generation) shownBy() time.Time {
	if g.shown[0].After(g.shown[1]) {
		return g.shown[0]
	}
	return g.shown[1]
}

// faultWindow is a time in which documents cannot be had.
type faultWindow struct {
	from, to time.Time
	what     string // part of the URLs that fail
	hangs    bool
}

// served is a document as it went out.
type served struct {
	asked, rendered time.Time
	place           string // that metadata names; of keys, where they stand
	keys            bool
	has             []int // generations
}

type cached struct {
	status int
	body   string
	served served
}

// modelServer is an authorization server of two replicas, one of which lags, behind a
// cache or not, whose clock may be wrong and whose network fails at times. It is a
// transport, and knows afterwards what it has answered.
type modelServer struct {
	mu          sync.Mutex
	random      *rand.Rand
	generations []*generation
	faults      []faultWindow
	clock       time.Duration // ahead of ours
	slow        bool          // delays of up to 2.9 s
	dates       bool          // sends Date
	ttl         time.Duration // of the cache; 0: there is none
	ages        bool          // the cache sends Age; otherwise it passes Date on as it got it
	oldPlace    string        // what becomes of a place that was left: "404", "silent", "frozen"
	cache       map[string]cached
	log         []served
	keyFetches  int
}

func (s *modelServer) RoundTrip(r *http.Request) (*http.Response, error) {
	url, asked := r.URL.String(), time.Now()
	s.mu.Lock()
	isKeys := strings.Contains(url, "/jwks")
	if isKeys {
		s.keyFetches++
	}
	delay := time.Duration(s.random.IntN(100)) * time.Millisecond
	if s.slow && s.random.IntN(4) == 0 {
		delay = time.Duration(s.random.IntN(2900)) * time.Millisecond
	}
	before := delay * time.Duration(s.random.IntN(100)) / 100
	s.mu.Unlock()
	pause := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	if err := pause(before); err != nil {
		return nil, err
	}
	resp, hang := s.answer(r, url, asked, isKeys)
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if resp == nil {
		return nil, errors.New("connection reset by peer")
	}
	return resp, pause(delay - before)
}

func (s *modelServer) answer(r *http.Request, url string, asked time.Time, isKeys bool) (resp *http.Response, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, f := range s.faults {
		if !now.Before(f.from) && now.Before(f.to) && strings.Contains(url, f.what) {
			return nil, f.hangs
		}
	}
	doc, kept := s.cache[url]
	if !kept || now.Sub(doc.served.rendered) >= s.ttl {
		if doc, hangs = s.render(url, now, isKeys); hangs {
			return nil, true
		}
		if doc.status == http.StatusOK && s.ttl > 0 {
			s.cache[url] = doc
		}
	}
	resp = keysAnswer(r, doc.status, "application/json", doc.body)
	if s.ttl > 0 && s.ages {
		resp.Header.Set("Age", fmt.Sprint(int(now.Sub(doc.served.rendered)/time.Second)))
	}
	if s.dates || s.ttl > 0 && !s.ages {
		resp.Header.Set("Date", doc.served.rendered.Add(s.clock).UTC().Format(http.TimeFormat))
	}
	sent := doc.served
	sent.asked = asked
	s.log = append(s.log, sent)
	return resp, false
}

// render is what one of the replicas says now. It must be called with mu held.
func (s *modelServer) render(url string, now time.Time, isKeys bool) (doc cached, hangs bool) {
	replica := s.random.IntN(2)
	current := s.generations[0]
	for _, g := range s.generations {
		if !now.Before(g.shown[replica]) {
			current = g
		}
	}
	doc = cached{status: http.StatusOK, served: served{rendered: now, place: current.place, keys: isKeys}}
	if !isKeys {
		if !strings.Contains(url, "oauth-authorization-server") {
			doc.status = http.StatusNotFound
		}
		doc.body = fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, testIssuerURL, current.place)
		return doc, false
	}
	for g := current; g.place != url; g = s.generations[g.n-1] { // a place that was left
		if s.oldPlace == "silent" {
			return doc, true
		}
		if s.oldPlace == "404" || g.n == 0 {
			doc.status = http.StatusNotFound
			return doc, false
		}
		current = s.generations[g.n-1]
	}
	keys := []any{current.key.JWK()}
	doc.served.has = []int{current.n}
	for g := current; g.keeps && g.n > 0; {
		g = s.generations[g.n-1]
		keys = append(keys, g.key.JWK())
		doc.served.has = append(doc.served.has, g.n)
	}
	doc.served.place = url
	doc.body = modelSet(keys)
	return doc, false
}

// canNotBeKnown reports whether the server itself has said, after the token was
// issued, that it has no such key: a fetch that began after the token came could not have had it.
func (s *modelServer) canNotBeKnown(g *generation, issued, arrived time.Time, discovers bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := func(d served) bool {
		return !d.asked.Before(arrived) && !d.rendered.Before(issued.Add(-time.Second)) // a Date has no more than seconds
	}
	places := []string{placeKeys}
	if discovers {
		places = nil
		for _, d := range s.log {
			if !d.keys && late(d) {
				places = append(places, d.place)
			}
		}
	}
	return slices.ContainsFunc(s.log, func(d served) bool {
		return d.keys && late(d) && slices.Contains(places, d.place) && !slices.Contains(d.has, g.n)
	})
}

// answersBy is when, from a moment on, the server and every cache before it answer with a
// generation, and go on doing so for 40 seconds.
func (s *modelServer) answersBy(g *generation, from time.Time) time.Time {
	at := g.shownBy().Add(s.ttl)
	if at.Before(from) {
		at = from
	}
	for changed := true; changed; {
		changed = false
		for _, f := range s.faults {
			if f.from.Before(at.Add(40*time.Second)) && at.Before(f.to) {
				at, changed = f.to, true
			}
		}
	}
	return at
}

func (s *modelServer) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keyFetches
}

func modelSet(keys []any) string {
	text, _ := json.Marshal(map[string]any{"keys": keys})
	return string(text)
}

// schedule is one random history.
type schedule struct {
	server    *modelServer
	random    *rand.Rand
	discovers bool
	moves     bool // to another place with each key
	story     string
}

const modelHorizon = 6 * time.Minute

func newSchedule(seed uint64, start time.Time) *schedule {
	r := rand.New(rand.NewPCG(seed, 16))
	oneOf := func(list ...string) string { return list[r.IntN(len(list))] }
	seconds := func(n int) time.Duration { return time.Duration(r.IntN(n*1000)) * time.Millisecond }
	s := &schedule{random: r, discovers: r.IntN(4) > 0}
	m := &modelServer{random: rand.New(rand.NewPCG(seed, 17)), cache: map[string]cached{},
		slow: r.IntN(2) == 0, dates: true, oldPlace: oneOf("404", "silent", "frozen")}
	s.server = m
	if m.clock = time.Duration(r.IntN(331)-300) * time.Second; r.IntN(3) == 0 {
		// A server that does not show its clock had better have a good one.
		m.clock, m.dates = 0, r.IntN(2) == 0
	}
	if r.IntN(3) == 0 {
		m.ttl, m.ages = 10*time.Second+seconds(80), r.IntN(2) == 0
	}
	kind := oneOf("kid", "same", "none", "moved", "kid")
	if kind == "moved" && !s.discovers {
		kind = "kid"
	}
	s.moves = kind == "moved"
	for n, at := 0, start.Add(-time.Hour); n < 4; n++ {
		key := *mcpauthtest.NewKey(fmt.Sprintf("model-%d", n), "EdDSA")
		g := &generation{n: n, key: &key, place: placeKeys, signs: at}
		switch kind {
		case "same":
			key.ID = "k"
		case "none":
			key.ID = ""
		case "moved":
			g.place = fmt.Sprintf("https://as.example.com/tenant1/jwks%d", n)
		default:
			g.keeps = r.IntN(2) == 0
		}
		g.shown = [2]time.Time{at, at}
		if n > 0 {
			lag := seconds(60)
			if r.IntN(3) == 0 {
				lag = -lag // published ahead
			} else if r.IntN(2) == 0 {
				g.shown[0] = g.shown[0].Add(lag / 2)
			}
			g.shown[1] = g.shown[1].Add(lag)
		}
		m.generations = append(m.generations, g)
		if n == 0 {
			at = start.Add(10 * time.Second)
		}
		at = at.Add(70*time.Second + seconds(60))
	}
	for range r.IntN(3) {
		from := start.Add(5*time.Second + seconds(300))
		m.faults = append(m.faults, faultWindow{from, from.Add(seconds(25)), oneOf("", "jwks", "well-known"), r.IntN(3) == 0})
	}
	s.story = fmt.Sprintf("%s, discovery %t, clock %v, slow %t, Date %t, cache %v Age %t, old place %s, faults %d",
		kind, s.discovers, m.clock, m.slow, m.dates, m.ttl, m.ages, m.oldPlace, len(m.faults))
	return s
}

// tally is what schedules have shown.
type tally struct {
	mu                                       sync.Mutex
	good, served, told, lag, forged, fetches int
	worst                                    time.Duration
}

// play runs one schedule and returns what is wrong.
func (s *schedule) play(t *testing.T, all *tally) (wrong []string) {
	var mu sync.Mutex
	fail := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	config := mcpauth.Config{
		Resource: testResource, Issuers: []mcpauth.Issuer{{URL: testIssuerURL}}, Transport: s.server,
		Policy: mcpauth.Rules{}, Leeway: time.Minute,
	}
	if !s.discovers {
		config.Issuers[0].JWKSURI = placeKeys
	}
	auth, err := mcpauth.New(config)
	require.NoError(t, err)
	for auth.Warm(t.Context()) != nil { // metadata and keys may take more than 5 seconds together
		time.Sleep(2 * time.Second)
	}
	start := time.Now()
	before := s.server.fetches()
	present := func(token string) *mcpauth.DeniedError {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := auth.Authenticate(r.WithContext(context.Background()))
		var denied *mcpauth.DeniedError
		errors.As(err, &denied)
		return denied
	}
	var clients sync.WaitGroup
	junked := start.Add(time.Duration(s.random.IntN(300)) * time.Second)
	junkUntil := junked.Add(time.Duration(s.random.IntN(120)) * time.Second)
	for time.Since(start) < modelHorizon {
		if now := time.Now(); now.After(junked) && now.Before(junkUntil) {
			token := s.forged(now)
			clients.Go(func() {
				if denied := present(token); denied == nil {
					fail("a forged token was accepted")
				}
			})
			all.forged++
		}
		if s.random.IntN(10) == 0 {
			g := s.server.generations[0]
			for _, next := range s.server.generations {
				if !time.Now().Before(next.signs) {
					g = next
				}
			}
			issued, rest := time.Now(), time.Duration(0)
			if s.random.IntN(3) == 0 {
				rest = time.Duration(s.random.IntN(50_000)) * time.Millisecond
			}
			token := s.token(g, issued)
			clients.Go(func() {
				time.Sleep(rest)
				s.follow(g, token, issued, present, fail, all)
			})
		}
		time.Sleep(time.Duration(200+s.random.IntN(300)) * time.Millisecond)
	}
	clients.Wait()
	time.Sleep(6 * time.Second) // what is still under way comes to its end
	budget := 3 + int(time.Since(start)/(10*time.Second))
	if s.moves {
		budget *= 2 // each fetch may find that the place is another one
	}
	fetches := s.server.fetches() - before
	if all.fetches += fetches; fetches > budget {
		fail("%d fetches in %v", fetches, time.Since(start))
	}
	return wrong
}

// follow plays a client with a good token until it is served, or knows that it will not be.
func (s *schedule) follow(g *generation, token string, issued time.Time, present func(string) *mcpauth.DeniedError, fail func(string, ...any), all *tally) {
	arrived, told := time.Now(), 0
	for {
		tried := time.Now()
		denied := present(token)
		now := time.Now()
		switch {
		case s.replaced(g, now) || now.Sub(issued) > 10*time.Minute:
			return // and good no more
		case denied == nil:
			late := now.Sub(s.server.answersBy(g, arrived))
			if late > 40*time.Second {
				fail("generation %d, issued %v: served %v after everybody answers with its key", g.n, issued, late)
			}
			all.mu.Lock()
			all.good, all.served, all.told, all.worst = all.good+1, all.served+1, all.told+told, max(all.worst, late)
			all.mu.Unlock()
			return
		case denied.Status == http.StatusUnauthorized:
			if !s.server.canNotBeKnown(g, issued, tried, s.discovers) {
				fail("generation %d, issued %v, arrived %v: %v", g.n, issued, tried, denied)
			}
			all.mu.Lock()
			all.good, all.lag = all.good+1, all.lag+1
			all.mu.Unlock()
			return
		}
		told++
		time.Sleep(denied.RetryAfter.Truncate(time.Second) + time.Second)
	}
}

// replaced reports whether some replica has dropped the key by now.
func (s *schedule) replaced(g *generation, now time.Time) bool {
	for _, next := range s.server.generations[g.n+1:] {
		if !next.keeps && (!now.Before(next.shown[0]) || !now.Before(next.shown[1])) {
			return true
		}
		if !next.keeps {
			break
		}
	}
	return false
}

func (s *schedule) token(g *generation, issued time.Time) string {
	return modelToken(g.key, mcpauthtest.Claims{"iat": issued.Add(s.server.clock).Unix(), "jti": fmt.Sprint(s.random.Uint64())})
}

func (s *schedule) forged(now time.Time) string {
	key := *mcpauthtest.NewKey("model-junk", "EdDSA")
	key.ID = s.server.generations[0].key.ID
	return modelToken(&key, mcpauthtest.Claims{"iat": now.Add(-time.Duration(s.random.IntN(2)*s.random.IntN(180)) * time.Second).Unix(), "jti": fmt.Sprint(s.random.Uint64())})
}

func modelToken(key *mcpauthtest.Key, changes mcpauthtest.Claims) string {
	claims := mcpauthtest.Claims{"iss": testIssuerURL, "aud": testResource, "sub": "user-1", "client_id": "client-1",
		"exp": time.Now().Add(time.Hour).Unix(), "scope": "mcp:read"}
	maps.Copy(claims, changes)
	header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + key.ID + `"}`
	if key.ID == "" {
		header = `{"alg":"EdDSA","typ":"at+jwt"}`
	}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		text += fmt.Sprintf(",%q:%#v", name, claims[name])
	}
	return key.Sign(header, "{"+text[1:]+"}")
}

// TestFreshModel_FRESH_16 plays random schedules of rotations, of replicas that lag, caches,
// clocks, failures and forged tokens. No good token gets 401 once a fetch that began after it
// came could have had its key, each is served within 40 seconds after the server and all caches
// answer with it, and fetches stay within the budget. go test -run FreshModel -schedules 10000 -v .
func TestFreshModel_FRESH_16(t *testing.T) {
	seed := *freshSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	var all tally
	failed := 0
	for n := range *freshSchedules {
		story, wrong := "", []string(nil)
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(seed+uint64(n), time.Now())
			story, wrong = s.story, s.play(t, &all)
		})
		if len(wrong) > 0 {
			if failed++; failed <= 5 {
				t.Errorf("schedule %d (%s):\n%s", seed+uint64(n), story, strings.Join(wrong[:min(len(wrong), 4)], "\n"))
			}
		}
	}
	assert.Zero(t, failed, "schedules that went wrong")
	assert.Greater(t, all.served, 10**freshSchedules, "the schedules show nothing")
	t.Logf("seed %d: %d schedules, %d good tokens, %d served (%d times told to come back, at the latest %v after everybody answers with the key), "+
		"%d with a key that the server itself did not show, %d forged, %d fetches", seed, *freshSchedules, all.good, all.served, all.told, all.worst, all.lag, all.forged, all.fetches)
}
