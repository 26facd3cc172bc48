package mcpauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// slowly lets questions take a time, and tells how many are under way at most.
type slowly struct {
	takes         atomic.Int64
	underWay, max atomic.Int64
}

func (s *slowly) config(c *mcpauth.Config) {
	rest := c.Transport
	c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPost {
			return rest.RoundTrip(r)
		}
		now := s.underWay.Add(1)
		defer s.underWay.Add(-1)
		for before := s.max.Load(); now > before && !s.max.CompareAndSwap(before, now); before = s.max.Load() {
		}
		select {
		case <-time.After(time.Duration(s.takes.Load())):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return rest.RoundTrip(r)
	})
}

// longOpaque lives for more than two days.
func longOpaque(f *fixture, claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"exp": time.Now().Add(50 * time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	return f.opaque(all)
}

// TestOpaqueToken_INTRO_01: a good one is served, its principal is what the answer says, and for a
// minute nobody is asked again. The request is that of RFC 7662.
func TestOpaqueToken_INTRO_01_INTRO_12_INTRO_13(t *testing.T) {
	var asked []*http.Request
	var forms []string
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		rest := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				body, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				asked, forms = append(asked, r.Clone(t.Context())), append(forms, string(body))
				r.Body = io.NopCloser(strings.NewReader(string(body)))
			}
			return rest.RoundTrip(r)
		})
	})
	token := f.opaque(mcpauthtest.Claims{"username": "alice", "tid": "t1", "echo": "TOKEN"})
	f.issuer.Answer(token, `{"active":true,"sub":"user-1","username":"alice","client_id":"client-1","aud":["x","`+testResource+`"],"scope":"mcp:read other","exp":9000000000,"tid":"t1","token":"`+token+`"}`)
	for range 3 {
		f.served(f.call(token, "echo"))
	}
	require.Len(t, asked, 1)
	assert.Equal(t, testIssuerURL+"/introspect", asked[0].URL.String())
	assert.Equal(t, "token="+token+"&token_type_hint=access_token", forms[0])
	assert.Equal(t, "application/x-www-form-urlencoded", asked[0].Header.Get("Content-Type"))
	id, _, ok := asked[0].BasicAuth()
	assert.True(t, ok)
	assert.Equal(t, "resource-server", id)

	p, ok := mcpauth.FromContext(f.last.Context())
	require.True(t, ok)
	assert.Equal(t, "user-1", p.Subject)
	assert.Equal(t, testIssuerURL, p.Issuer)
	assert.Equal(t, "client-1", p.ClientID)
	assert.Equal(t, []string{"mcp:read", "other"}, p.Scopes)
	assert.False(t, p.Client)
	var claims map[string]any
	require.NoError(t, p.Claims(&claims))
	assert.Equal(t, "t1", claims["tid"])
	assert.Equal(t, hashOf(token), claims["token"], "the answer repeats the token, and the handler sees it")
	assert.NotContains(t, f.log.String(), token)
}

// TestShapes_INTRO_16: what is no JWT is asked about, and what is one is verified here.
func TestShapes_INTRO_16_INTRO_17(t *testing.T) {
	f := newOpaqueFixture(t, nil)
	good := `{"active":true,"sub":"user-1","aud":"` + testResource + `","scope":"mcp:read"}`
	for _, token := range []string{
		"a.b.c", "opaque", "oat_abc-._~+/==", "eyJ", "a.b", "....", "e30.e30.e30", // an object without alg
		"eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..QUFB.QUFB.QUFB", // encrypted
		strings.Repeat("o", 4096),
	} {
		before := f.questions()
		f.issuer.Answer(token, good)
		f.served(f.call(token, "echo"))
		assert.Equal(t, before+1, f.questions(), token)
	}
	before := f.questions()
	f.served(f.call(f.token(nil), "echo"))
	assert.Equal(t, before, f.questions(), "a JWT was asked about")
}

// TestTokensOfOthers_INTRO_17: what says that it is another issuer's is not shown to the one without a prefix.
func TestTokensOfOthers_INTRO_16_INTRO_17(t *testing.T) {
	f := newOpaqueFixture(t, nil)
	encrypted := func(iss string) string {
		return b64([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT"`+iss+`}`)) + ".QUFB.QUFB.QUFB.QUFB"
	}
	for name, token := range map[string]string{
		"encrypted, of another issuer":       encrypted(`,"iss":"` + secondIssuerURL + `"`),
		"encrypted, of nobody":               encrypted(`,"iss":7`),
		"encrypted, of two":                  encrypted(`,"iss":"` + testIssuerURL + `","ISS":"x"`),
		"signed, and dots":                   f.token(nil) + "..",
		"signed by another issuer, and dots": mcpauthtest.NewIssuerAt(t, secondIssuerURL).TokenFor(testResource, "mcp:read") + "..",
	} {
		w := f.call(f.rescued(token), "echo")
		assert.Equal(t, http.StatusUnauthorized, w.Code, name)
		assert.Zero(t, f.questions(), name)
	}
	assert.Zero(t, f.ran)
	for _, token := range []string{encrypted(""), encrypted(`,"iss":"` + testIssuerURL + `"`)} {
		f.ran = 0
		f.served(f.call(f.rescued(token), "echo"))
	}
}

// TestAsksOneIssuer_INTRO_17: of several issuers one is asked, by the prefix, and never a second.
func TestAsksOneIssuer_INTRO_17(t *testing.T) {
	second := mcpauthtest.NewIssuerAt(t, secondIssuerURL)
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		first := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "as2.example.com" {
				return second.Transport().RoundTrip(r)
			}
			return first.RoundTrip(r)
		})
		other := second.Config()
		other.Introspect = second.Introspection()
		other.Introspect.Prefix = "ory_at_"
		c.Issuers = append(c.Issuers, other)
	})
	good := `{"active":true,"sub":"user-1","aud":"` + testResource + `","scope":"mcp:read"}`
	f.issuer.Answer("ory_at_1", good) // the first would call it good
	w := f.call("ory_at_1", "echo")
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Zero(t, f.questions())
	assert.Equal(t, 1, second.Fetches(mcpauthtest.Introspection))

	second.Answer("ory_at_2", good)
	f.served(f.call("ory_at_2", "echo"))
	p, _ := mcpauth.FromContext(f.last.Context())
	assert.Equal(t, secondIssuerURL, p.Issuer)
	f.issuer.Answer("ory_2", good)
	f.served(f.call("ory_2", "echo"))
	assert.Equal(t, 1, f.questions())
	assert.Equal(t, 2, second.Fetches(mcpauthtest.Introspection))
}

// TestClientTokens_INTRO_18: a client without a subject is a principal where that is configured.
func TestClientTokens_INTRO_18(t *testing.T) {
	f := newOpaqueFixture(t, allowMissingSubject)
	for _, username := range []any{nil, "", json.RawMessage("null")} {
		f.ran = 0
		f.served(f.call(f.opaque(mcpauthtest.Claims{"sub": nil, "iss": nil, "username": username}), "echo"))
		p, _ := mcpauth.FromContext(f.last.Context())
		assert.Equal(t, "client:client-1", p.Subject)
		assert.True(t, p.Client)
		assert.Equal(t, testIssuerURL, p.Issuer)
	}
}

// TestRemembered_INTRO_05: what is remembered is no older than a minute, and never lives beyond exp.
func TestRemembered_INTRO_05_INTRO_21_INTRO_24(t *testing.T) {
	for _, row := range []struct {
		name    string
		claims  mcpauthtest.Claims
		served  time.Duration // without a question
		refused time.Duration // after this
	}{
		{"of an hour", mcpauthtest.Claims{"exp": time.Now().Add(50 * 365 * 24 * time.Hour).Unix()}, 59 * time.Second, 60 * time.Second},
		{"INTRO-24 without exp", mcpauthtest.Claims{"exp": nil}, 59 * time.Second, 60 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newOpaqueFixture(t, nil)
				token := f.opaque(row.claims)
				begun := time.Now()
				f.served(f.call(token, "echo"))
				if row.claims["exp"] == nil {
					p, _ := mcpauth.FromContext(f.last.Context())
					assert.WithinDuration(t, begun.Add(time.Minute), p.Expiry, time.Second)
				}
				time.Sleep(5 * time.Second)
				f.issuer.Answer(token, "") // revoked
				time.Sleep(row.served - 5*time.Second)
				f.served(f.call(token, "echo"))
				assert.Equal(t, 1, f.questions())
				time.Sleep(row.refused - row.served)
				assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
				assert.Equal(t, 2, f.questions())
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // exp is near
		f := newOpaqueFixture(t, nil)
		token := f.opaque(mcpauthtest.Claims{"exp": time.Now().Add(20 * time.Second).Unix()})
		f.served(f.call(token, "echo"))
		f.issuer.Answer(token, "")
		time.Sleep(19 * time.Second)
		f.served(f.call(token, "echo"))
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code, "remembered beyond exp")
	})
	synctest.Test(t, func(t *testing.T) { // refused is remembered for 10 s
		f := newOpaqueFixture(t, nil)
		token := f.opaque(nil)
		f.issuer.Answer(token, "")
		for range 5 {
			assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
		}
		f.issuer.Answer(token, `{"active":true,"sub":"u","aud":"`+testResource+`","scope":"mcp:read"}`)
		time.Sleep(10*time.Second - 1)
		assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
		assert.Equal(t, 1, f.questions())
		time.Sleep(time.Nanosecond)
		f.served(f.call(token, "echo"))
		assert.Equal(t, 2, f.questions())
	})
}

// many makes n calls at once and returns how many had each status.
func (f *fixture) many(n int, token func(int) string) map[int]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for i := range n {
		wg.Go(func() {
			w := f.call(token(i), "echo")
			mu.Lock()
			defer mu.Unlock()
			statuses[w.Code]++
		})
	}
	wg.Wait()
	return statuses
}

// TestCoalesced_INTRO_08: a thousand requests with one token ask once.
func TestCoalesced_INTRO_08(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowly{}
		slow.takes.Store(int64(time.Second))
		f := newOpaqueFixture(t, slow.config)
		token := f.opaque(nil)
		assert.Equal(t, map[int]int{200: 1000}, f.many(1000, func(int) string { return token }))
		assert.Equal(t, 1, f.questions())
	})
}

// TestJunk_INTRO_22: strangers who make up tokens keep nobody from being served whose token was good
// lately, and cost the authorization server no more than it can bear.
func TestJunk_INTRO_08_INTRO_21_INTRO_22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowly{}
		f := newOpaqueFixture(t, slow.config)
		known := longOpaque(f, nil)
		f.served(f.call(known, "echo"))
		time.Sleep(5 * time.Minute) // it is not remembered any more
		slow.takes.Store(int64(time.Second))
		before := f.questions()

		const junk = 10_000
		done := make(chan map[int]int)
		go func() { done <- f.many(junk, func(i int) string { return fmt.Sprintf("opaque_junk_%d", i) }) }()
		synctest.Wait()
		begun := time.Now()
		w := f.call(known, "echo")
		took := time.Since(begun)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, time.Second, took, "it waited for more than its own answer")
		statuses := <-done
		questions := f.questions() - before
		t.Logf("%d junk tokens: %d questions, %d at a time at most, %v; the known caller waited %v", junk, questions, slow.max.Load(), statuses, took)
		assert.LessOrEqual(t, slow.max.Load(), int64(64))
		assert.LessOrEqual(t, questions, 48+256+1)
		assert.Equal(t, junk, statuses[401]+statuses[503])
		assert.Contains(t, f.log.String(), "cause=introspection-busy")
		assert.NotContains(t, f.log.String(), "level=WARN msg=\"mcpauth: request refused\"", "strangers write warnings")
	})
}

// TestJunkOverTime_INTRO_21: a hundred thousand made-up tokens push no good token out, and take a
// bounded memory.
func TestJunkOverTime_INTRO_21(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 requests")
	}
	synctest.Test(t, junkOverTime) // no time passes
}

func junkOverTime(t *testing.T) {
	junk := 100_000
	if raceEnabled {
		junk = 20_000
	}
	f := newOpaqueFixture(t, func(c *mcpauth.Config) {
		c.Logger = nil
		rest := c.Transport
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && r.ParseForm() == nil && strings.HasPrefix(r.PostForm.Get("token"), "junk") {
				return answerOf(r, http.StatusOK, `{"active":false}`), nil // the issuer of the test keeps all requests
			}
			if r.Method == http.MethodPost {
				r.Body = readCloser(r.PostForm.Encode())
			}
			return rest.RoundTrip(r)
		})
	})
	good := f.opaque(nil)
	f.served(f.call(good, "echo"))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, at := heap(), f.questions()
	for i := range junk {
		f.call(fmt.Sprintf("junk_%d", i), "echo")
	}
	grown := heap() - before
	t.Logf("%d tokens: the heap has grown by %d KiB", junk, grown>>10)
	assert.Less(t, grown, int64(2<<20))
	f.served(f.call(good, "echo"))
	assert.Equal(t, at, f.questions(), "the good token was forgotten")
}

// TestOutage_INTRO_06: an outage is 503 with the moment from which another answer can be had, and whoever
// was good a moment ago is served.
func TestOutage_INTRO_06_INTRO_07_INTRO_11(t *testing.T) {
	for _, fault := range []mcpauthtest.Fault{
		mcpauthtest.Down, mcpauthtest.Hang, mcpauthtest.Slow, mcpauthtest.Reset,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newOpaqueFixture(t, nil)
				token := longOpaque(f, nil)
				f.served(f.call(token, "echo"))
				f.issuer.Break(mcpauthtest.Introspection, fault)
				f.served(f.call(token, "echo"))
				time.Sleep(time.Minute)
				for n := range 7 {
					begun, before := time.Now(), f.questions()
					w := f.call(token, "echo")
					assert.Equal(t, http.StatusServiceUnavailable, w.Code, "body %s", w.Body)
					assert.Empty(t, w.Header().Get("WWW-Authenticate"))
					assert.LessOrEqual(t, time.Since(begun), 3*time.Second)
					want, asked := 1, before+1
					if n >= 4 {
						want = 10
					}
					if n >= 5 {
						asked = before
					}
					retry, err := strconv.Atoi(w.Header().Get("Retry-After"))
					assert.NoError(t, err)
					assert.True(t, want <= retry && retry <= 2*want+2, "Retry-After %d at %d", retry, n) // they do not all come back at once
					assert.Equal(t, asked, f.questions(), n)
				}
				f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.None)
				time.Sleep(10 * time.Second) // as Retry-After said
				f.ran = 0
				f.served(f.call(token, "echo"))
			})
		})
	}
}

// TestNonsense_INTRO_06: an answer that cannot be read is 503, and is asked for again after 5 s. It is no outage: somebody
// else may get a better one.
func TestNonsense_INTRO_06_INTRO_11(t *testing.T) {
	for _, fault := range []mcpauthtest.Fault{
		mcpauthtest.NotFound, mcpauthtest.Huge, mcpauthtest.Malformed, mcpauthtest.Redirect, mcpauthtest.HTML,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newOpaqueFixture(t, nil)
				token := longOpaque(f, nil)
				f.served(f.call(token, "echo"))
				f.issuer.Break(mcpauthtest.Introspection, fault)
				f.served(f.call(token, "echo"))
				time.Sleep(time.Minute)
				for n := range 20 { // a second each
					before := f.questions()
					w := f.call(token, "echo")
					assert.Equal(t, http.StatusServiceUnavailable, w.Code, "body %s", w.Body)
					assert.Empty(t, w.Header().Get("WWW-Authenticate"))
					retry, err := strconv.Atoi(w.Header().Get("Retry-After"))
					assert.NoError(t, err)
					assert.True(t, 5 <= retry && retry <= 7, "Retry-After %d", retry)
					asked := before
					if n%5 == 0 {
						asked++
					}
					assert.Equal(t, asked, f.questions(), n)
					time.Sleep(time.Second)
				}
				f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.None)
				f.ran = 0
				f.served(f.call(token, "echo"))
			})
		})
	}
}

// TestStrangersBreakNothing_INTRO_06: if the authorization server fails at what strangers send, those
// that it knows go on.
func TestStrangersBreakNothing_INTRO_06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poisoned := false
		f := newOpaqueFixture(t, func(c *mcpauth.Config) {
			rest := c.Transport
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost && poisoned {
					return answerOf(r, http.StatusInternalServerError, ""), nil
				}
				return rest.RoundTrip(r)
			})
		})
		token := longOpaque(f, nil)
		f.served(f.call(token, "echo"))
		time.Sleep(2 * time.Minute)
		poisoned = true
		for i := range 20 {
			assert.Equal(t, http.StatusServiceUnavailable, f.call(fmt.Sprintf("opaque_poison_%d", i), "echo").Code)
		}
		poisoned = false
		f.served(f.call(token, "echo"))
	})
}

// TestCredentials_INTRO_07: that our credentials are wrong is told once a minute, and is nobody's fault but ours.
func TestCredentials_INTRO_07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, func(c *mcpauth.Config) {
			rest := c.Transport
			c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					r.Header.Del("Authorization")
				}
				return rest.RoundTrip(r)
			})
		})
		for range 3 {
			for i := range 9 { // after five of them nobody is asked, for the same reason
				assert.Equal(t, http.StatusServiceUnavailable, f.call(fmt.Sprintf("opaque_%d", i), "echo").Code)
			}
			time.Sleep(time.Minute)
		}
		assert.NotContains(t, f.log.String(), "introspection-unreachable")
		assert.Contains(t, f.log.String(), "client=resource-server status=401")
		assert.Equal(t, 3, strings.Count(f.log.String(), `level=ERROR msg="mcpauth: the authorization server does not let this server ask about tokens"`))
	})
}

// TestNeverActive_INTRO_20: a server that calls all tokens inactive from the start may not tell us, which is said once.
func TestNeverActive_INTRO_20(t *testing.T) {
	const line = "has called every token inactive so far"
	f := newOpaqueFixture(t, nil)
	for i := range 40 {
		f.call(fmt.Sprintf("opaque_%d", i), "echo")
	}
	assert.Equal(t, 1, strings.Count(f.log.String(), line))
	assert.Contains(t, f.log.String(), "client=resource-server")

	f = newOpaqueFixture(t, nil)
	f.served(f.call(f.opaque(nil), "echo"))
	for i := range 40 {
		f.call(fmt.Sprintf("opaque_%d", i), "echo")
	}
	assert.NotContains(t, f.log.String(), line)
}

// TestOpaqueStreams_INTRO_23: what lasts is asked about each minute, past the memory.
func TestOpaqueStreams_INTRO_04_INTRO_23_INTRO_24(t *testing.T) {
	for _, open := range streamOpens {
		for _, exp := range []any{time.Now().Add(50 * 365 * 24 * time.Hour).Unix(), nil} {
			t.Run(fmt.Sprintf("%s, exp %v", open.name, exp != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newOpaqueFixture(t, nil)
					token, other := f.opaque(mcpauthtest.Claims{"exp": exp}), f.opaque(mcpauthtest.Claims{"exp": exp, "sub": "user-2"})
					f.served(f.call(token, "echo"))
					time.Sleep(50 * time.Second) // it is remembered, and not new
					l, untouched := f.lasts(open.send(f, token)), f.lasts(open.send(f, other))
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					assert.Zero(t, l.ended, "it lives by its answers")
					f.issuer.Answer(token, "")
					at := time.Now()
					time.Sleep(3 * time.Hour)
					l.endedWith(t, at, at.Add(66*time.Second), mcpauth.ErrRevoked, open.owed(-31401, "token revoked"))
					t.Logf("ended %v after the revocation", l.ended.Sub(at))
					assert.Contains(t, f.log.String(), `level=INFO msg="mcpauth: stream ended early" reason="token revoked`)
					assert.NotContains(t, f.log.String(), hidden)
					untouched.goesOn(t)
				})
			})
		}
	}
}

// TestOpaqueStreamBegins_INTRO_23: a stream that begins with a remembered answer is as old as that.
func TestOpaqueStreamBegins_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		token := longOpaque(f, nil)
		f.served(f.call(token, "echo"))
		at := time.Now()
		f.issuer.Answer(token, "")
		time.Sleep(53 * time.Second) // the earliest that it may be asked again is after 54 s
		l := f.lasts(streamOpens[0].send(f, token))
		time.Sleep(time.Hour)
		l.endedWith(t, at, at.Add(66*time.Second), mcpauth.ErrRevoked, streamOpens[0].owed(-31401, "token revoked"))
	})
}

// TestOpaqueStreamEndsEarlier_INTRO_24: where a later answer tells an earlier end than the first, or one at all, the
// stream ends then. A later one changes nothing.
func TestOpaqueStreamEndsEarlier_INTRO_04_INTRO_24(t *testing.T) {
	answer := func(exp any) string {
		text := `{"active":true,"sub":"user-1","client_id":"client-1","aud":"` + testResource + `","scope":"mcp:read"`
		if exp != nil {
			text += fmt.Sprint(`,"exp":`, exp)
		}
		return text + "}"
	}
	far := time.Now().Add(50 * 365 * 24 * time.Hour).Unix()
	for _, row := range []struct {
		name  string
		first any
		until time.Duration // the second answer
		after time.Duration // from that to the end that it tells
	}{
		{"earlier", far, 10 * time.Minute, 90 * time.Second},
		{"earlier than the next question", far, 10 * time.Minute, 70 * time.Second},
		{"soon after the first question", far, 0, 50 * time.Second},
		{"an end at last", nil, 10 * time.Minute, 90 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newOpaqueFixture(t, nil)
				token := f.answered(answer(row.first))
				l := f.lasts(streamOpens[0].send(f, token))
				time.Sleep(row.until)
				synctest.Wait()
				require.Zero(t, l.ended)
				end := time.Now().Add(row.after)
				f.issuer.Answer(token, answer(end.Unix()))
				time.Sleep(67 * time.Second)
				f.issuer.Answer(token, answer(far)) // says somebody else meanwhile
				time.Sleep(time.Hour)
				leeway := 30 * time.Second
				l.endedWith(t, end.Add(-time.Second), end.Add(leeway), mcpauth.ErrExpired, streamOpens[0].owed(-31401, "token expired"))
				assert.Contains(t, f.log.String(), `reason="token expired: exp `+end.UTC().Format(time.RFC3339))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // an answer without an end says nothing of one
		f := newOpaqueFixture(t, nil)
		end := time.Now().Add(20 * time.Minute)
		token := f.answered(answer(end.Unix()))
		l := f.lasts(streamOpens[0].send(f, token))
		f.issuer.Answer(token, answer(nil))
		time.Sleep(time.Hour)
		l.endedWith(t, end.Add(-time.Second), end.Add(30*time.Second), mcpauth.ErrExpired, streamOpens[0].owed(-31401, "token expired"))
	})
}

// TestOpaqueStreamInOutage_INTRO_23: an outage ends a stream five minutes after the last good answer.
func TestOpaqueStreamInOutage_INTRO_23(t *testing.T) {
	for _, exp := range []any{time.Now().Add(50 * 365 * 24 * time.Hour).Unix(), nil} {
		synctest.Test(t, func(t *testing.T) {
			f := newOpaqueFixture(t, nil)
			l := f.lasts(streamOpens[0].send(f, f.opaque(mcpauthtest.Claims{"exp": exp})))
			at := time.Now()
			f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
			time.Sleep(time.Hour)
			l.endedWith(t, at.Add(294*time.Second), at.Add(306*time.Second), mcpauth.ErrUnavailable, streamOpens[0].owed(-31503, "authorization temporarily unavailable"))
		})
	}
}

// TestOpaqueStreamsOfOthers_INTRO_23: an answer about somebody else ends the stream.
func TestOpaqueStreamsOfOthers_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		token := longOpaque(f, nil)
		l := f.lasts(streamOpens[0].send(f, token))
		at := time.Now()
		f.issuer.Answer(token, `{"active":true,"sub":"user-2","client_id":"client-1","aud":"`+testResource+`","scope":"mcp:read"}`)
		time.Sleep(time.Hour)
		l.endedWith(t, at, at.Add(66*time.Second), mcpauth.ErrClaims, streamOpens[0].owed(-31401, "claim missing or malformed"))
	})
}

// TestRevocationIsSeenOnce_INTRO_23: what a stream has learned holds for requests at once.
func TestRevocationIsSeenOnce_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newOpaqueFixture(t, nil)
		token := longOpaque(f, nil)
		l := f.lasts(streamOpens[0].send(f, token))
		defer l.leave()
		f.remembersAnew(t, token)
		f.issuer.Answer(token, "")
		for !strings.Contains(f.log.String(), streamLogLine) {
			time.Sleep(time.Second)
			synctest.Wait()
			require.Less(t, time.Since(l.begun), 140*time.Second)
		}
		assert.Equal(t, http.StatusUnauthorized, f.call(token, "echo").Code)
	})
	synctest.Test(t, func(t *testing.T) { // nothing is learned in an outage
		f := newOpaqueFixture(t, nil)
		token := longOpaque(f, nil)
		l := f.lasts(streamOpens[0].send(f, token))
		defer l.leave()
		f.remembersAnew(t, token)
		f.issuer.Break(mcpauthtest.Introspection, mcpauthtest.Down)
		before := f.questions()
		time.Sleep(59 * time.Second)
		synctest.Wait()
		assert.Greater(t, f.questions(), before, "the stream has asked")
		f.servedBefore(f.call(token, "echo"))
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusServiceUnavailable, f.call(token, "echo").Code)
	})
}

// remembersAnew has the token of a stream that has just begun remembered for longer than until the stream asks for the second time,
// which is 54 to 66 s after the first.
func (f *fixture) remembersAnew(t *testing.T, token string) {
	t.Helper()
	time.Sleep(time.Second) // the handler is there
	synctest.Wait()
	f.inner = nil
	before := f.questions()
	for f.questions() == before {
		time.Sleep(time.Second)
		synctest.Wait()
	}
	time.Sleep(10 * time.Second)
	f.servedBefore(f.call(token, "echo"))
	require.Equal(t, before+2, f.questions(), "it was remembered no more")
}

// servedBefore is served for a handler that has run before.
func (f *fixture) servedBefore(w *httptest.ResponseRecorder) {
	f.tb.Helper()
	assert.Equal(f.tb, http.StatusOK, w.Code, "body %s", w.Body)
}
