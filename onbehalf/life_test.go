package onbehalf_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// After its request a token is not to be had, remembered or not.
func TestOver_EXCH_03(t *testing.T) {
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic(http.ErrAbortHandler) }} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, change{})
			token := s.token(nil)
			var kept context.Context
			over, results := make(chan struct{}), make(chan error, 8)
			func() {
				defer func() { _ = recover() }()
				s.during(token, func(ctx context.Context) {
					_, err := s.exchanger.Token(ctx, "crm")
					assert.NoError(t, err)
					kept = context.WithoutCancel(ctx)
					for range cap(results) {
						go func() {
							for alive := true; alive; {
								select {
								case <-over:
									alive = false
								default:
									_, _ = s.exchanger.Token(kept, "crm")
								}
							}
							_, err := s.exchanger.Token(kept, "crm")
							results <- err
						}()
					}
					end()
				})
			}()
			close(over)
			for range cap(results) {
				assert.Equal(t, onbehalf.Over, failure(t, <-results).Kind)
			}
			assert.Equal(t, 1, s.count())
			_, err := s.get(token, "crm")
			require.NoError(t, err)
			assert.Equal(t, 1, s.count(), "a request that lives has what is remembered")
		})
	}
}

// A request that ends while its exchange is under way gets nothing of it.
func TestOver_InFlight_EXCH_03(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		release := make(chan struct{})
		s.endpoint = func(w http.ResponseWriter, r *http.Request) { <-release; s.grants(nil)(w, r) }
		result := make(chan error, 1)
		s.during(s.token(nil), func(ctx context.Context) {
			kept := context.WithoutCancel(ctx)
			go func() {
				_, err := s.exchanger.Token(kept, "crm")
				result <- err
			}()
			synctest.Wait()
		})
		close(release)
		assert.Equal(t, onbehalf.Over, failure(t, <-result).Kind)
	})
}

// Who asks with a context that has ended gets nothing, remembered or not.
func TestOver_Context_EXCH_03(t *testing.T) {
	s := newSite(t, change{})
	s.during(s.token(nil), func(ctx context.Context) {
		ended, end := context.WithCancel(ctx)
		_, err := s.exchanger.Token(ended, "crm")
		require.NoError(t, err)
		end()
		_, err = s.exchanger.Token(ended, "crm")
		assert.Equal(t, onbehalf.Over, failure(t, err).Kind)
		assert.ErrorIs(t, err, context.Canceled)
		_, err = s.exchanger.Token(ctx, "crm")
		require.NoError(t, err)
	})
	assert.Equal(t, 1, s.count())
}

func TestSource_OutlivesItsRequest_EXCH_04(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		s.endpoint = s.grants(mcpauthtest.Claims{"exp": unix(time.Hour)}, "expires_in", 3600)
		var first string
		var kept, unused interface{ used() (string, error) }
		s.during(s.token(nil), func(ctx context.Context) {
			source, other := s.exchanger.Source(ctx, "crm"), s.exchanger.Source(ctx, "crm")
			kept, unused = sourceFunc(func() (string, error) { tok, err := source.Token(); return text(tok), err }),
				sourceFunc(func() (string, error) { tok, err := other.Token(); return text(tok), err })
			var err error
			first, err = kept.used()
			require.NoError(t, err)
		})
		for range 2 {
			again, err := kept.used()
			require.NoError(t, err)
			assert.Equal(t, first, again)
			time.Sleep(59 * time.Minute)
		}
		time.Sleep(time.Minute)
		for _, source := range []interface{ used() (string, error) }{kept, unused} {
			_, err := source.used()
			assert.Equal(t, onbehalf.Over, failure(t, err).Kind)
		}
		assert.Equal(t, 1, s.count())
	})
}

type sourceFunc func() (string, error)

func (f sourceFunc) used() (string, error) { return f() }

func text(tok interface{ Type() string }) string { return fmt.Sprintf("%+v", tok) }

func TestStream_EXCH_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{auth: func(c *mcpauth.Config) { c.Leeway = 30 * time.Second }})
		var kinds []string
		s.inner = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			for _, pause := range []time.Duration{50 * time.Second, 39 * time.Second, 6 * time.Second} {
				time.Sleep(pause)
				_, err := s.exchanger.Token(context.WithoutCancel(r.Context()), "crm")
				kinds = append(kinds, fmt.Sprint(err))
			}
		}
		s.send(s.token(mcpauthtest.Claims{"exp": unix(time.Minute)}), "echo", "")
		assert.Equal(t, []string{"<nil>", "<nil>", "onbehalf: crm: the request is over"}, kinds)
		assert.Equal(t, 2, s.count())
	})
}

// Nothing is shared that depends on something else.
func TestKeys_EXCH_11(t *testing.T) {
	s := newSite(t, change{config: func(c *onbehalf.Config) {
		c.Targets["crm"] = onbehalf.Target{Resource: api, Audience: "a"}
		c.Targets["other"] = onbehalf.Target{Resource: api, Audience: "b"}
	}})
	t1, t2 := s.token(nil), s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"})
	other := s.token(mcpauthtest.Claims{"sub": "user-2"})
	machine := s.token(mcpauthtest.Claims{"sub": "user-1", "client_id": "user-1"})
	tokens := map[string]bool{}
	for _, row := range []struct {
		token, target string
		posts         int
	}{
		{t1, "crm", 1}, {t1, "crm", 1}, {t2, "crm", 2}, {t2, "crm", 2}, {t1, "crm", 2}, {other, "crm", 3}, {t1, "other", 4}, {machine, "crm", 5}, {other, "crm", 5},
	} {
		got, err := s.get(row.token, row.target)
		require.NoError(t, err)
		tokens[got.AccessToken] = true
		assert.Equal(t, row.posts, s.count())
		got.AccessToken = "changed by its receiver"
	}
	assert.Len(t, tokens, 5)
	assert.NotContains(t, tokens, "changed by its receiver")
}

func TestLife_EXCH_12(t *testing.T) {
	for _, row := range []struct {
		name     string
		inbound  time.Duration
		lifetime any
		claims   mcpauthtest.Claims
		opaque   bool
		kept     time.Duration // remembered until then
	}{
		{"the inbound token ends first", 90 * time.Second, 3600, mcpauthtest.Claims{"exp": 1 << 40}, false, time.Minute},
		{"expires_in", time.Hour, 120, mcpauthtest.Claims{"exp": nil}, false, 90 * time.Second},
		{"exp", time.Hour, nil, nil, false, 270 * time.Second}, // those of mcpauthtest last five minutes
		{"the earlier one", time.Hour, 3600, nil, false, 270 * time.Second},
		{"ten minutes", 4 * time.Hour, 7200, mcpauthtest.Claims{"exp": 1 << 40}, false, 10 * time.Minute},
		{"too short", time.Hour, 30, nil, false, 0},
		{"not known", time.Hour, nil, nil, true, 0},
		{"not known of a JWT", time.Hour, nil, mcpauthtest.Claims{"exp": nil}, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.Opaque = row.opaque })})
				s.endpoint = s.grants(row.claims, "expires_in", row.lifetime)
				token := s.token(mcpauthtest.Claims{"exp": unix(row.inbound)})
				get := func(posts int) {
					_, err := s.get(token, "crm")
					require.NoError(t, err)
					assert.Equal(t, posts, s.count())
				}
				get(1)
				if row.kept == 0 {
					get(2)
					return
				}
				time.Sleep(row.kept - time.Second)
				get(1)
				time.Sleep(time.Second)
				get(2)
			})
		})
	}
}

// Who fills the memory pushes out what is his.
func TestFlood_EXCH_13(t *testing.T) {
	s := newSite(t, change{config: func(c *onbehalf.Config) {
		c.TokenURL, c.OnExchange, c.Logger = tokenURL, nil, nil
		c.Targets["crm"] = onbehalf.Target{Resource: api, Opaque: true}
	}})
	padding := strings.Repeat("x", 1000)
	n := 0
	s.endpoint = func(w http.ResponseWriter, _ *http.Request) {
		n++
		fmt.Fprintf(w, `{"access_token":"%d%s","token_type":"Bearer","expires_in":3600}`, n, padding)
		s.posts, s.sent, s.urls = nil, nil, nil
	}
	u1, u2 := s.issuer.Principal(mcpauthtest.Claims{"sub": "u1", "exp": unix(time.Hour)}), s.issuer.Principal(mcpauthtest.Claims{"sub": "u2", "exp": unix(time.Hour)})
	get := func(p *mcpauth.Principal, token string) string {
		ctx, end := carried(t, p, token)
		defer end()
		got, err := s.exchanger.Token(ctx, "crm")
		require.NoError(t, err)
		return got.AccessToken
	}
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	first := get(u1, "t1")
	for i := range 20_000 {
		get(u2, fmt.Sprint("flood ", i))
	}
	assert.Equal(t, first, get(u1, "t1"))
	assert.Equal(t, 20_001, n, "it was remembered")
	held := heap() - before
	t.Logf("held after 20,000 entries of one principal: %d KiB", held>>10)
	assert.Less(t, held, int64(1<<20))
	get(u2, "flood 19990")
	assert.Equal(t, 20_001, n, "the newest of the flood are there")
	get(u2, "flood 0")
	assert.Equal(t, 20_002, n, "the oldest have gone")

	// Many principals: the whole is bounded, and who has one entry keeps it.
	for i := range 400 {
		p := *u2
		p.Subject = fmt.Sprint("crowd ", i)
		for j := range 40 {
			get(&p, fmt.Sprint(i, " ", j))
		}
	}
	held = heap() - before
	t.Logf("held after 16,000 entries of 400 principals: %d KiB", held>>10)
	assert.Less(t, held, int64(40<<20))
	posts := n
	assert.Equal(t, first, get(u1, "t1"))
	assert.Equal(t, posts, n)
}

// However many ask, one exchange is under way, and each may leave.
func TestSingleFlight_EXCH_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 1000
		s := newSite(t, change{})
		release := make(chan struct{})
		s.endpoint = func(w http.ResponseWriter, r *http.Request) {
			<-release
			s.grants(nil)(w, r)
		}
		s.during(s.token(nil), func(ctx context.Context) {
			var done sync.WaitGroup
			var good, left atomic.Int32
			first, leave := context.WithCancel(ctx)
			ask := func(ctx context.Context) {
				_, err := s.exchanger.Token(ctx, "crm")
				if err == nil {
					good.Add(1)
					return
				}
				assert.ErrorIs(t, err, context.Canceled)
				left.Add(1)
			}
			done.Go(func() { ask(first) })
			synctest.Wait()
			for range callers - 1 {
				done.Go(func() { ask(ctx) })
			}
			synctest.Wait()
			leave()
			synctest.Wait()
			assert.EqualValues(t, 1, left.Load())
			close(release)
			done.Wait()
			assert.EqualValues(t, callers-1, good.Load())
		})
		assert.Equal(t, 1, s.count())
		t.Logf("%d parallel calls: %d exchange", callers, s.count())
	})
}

// Who changes the error that he was given changes nobody else's.
func TestSingleFlight_Errors_EXCH_14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{config: crm(func(t *onbehalf.Target) { t.StepUp = []string{"crm:act", "crm:list"} })})
		release := make(chan struct{})
		s.endpoint = func(w http.ResponseWriter, r *http.Request) {
			<-release
			says(400, `{"error":"invalid_scope"}`)(w, r)
		}
		s.during(s.token(nil), func(ctx context.Context) {
			errs := make(chan error)
			for range 2 {
				go func() {
					_, err := s.exchanger.Token(ctx, "crm")
					errs <- err
				}()
			}
			synctest.Wait()
			close(release)
			first, second := failure(t, <-errs), failure(t, <-errs)
			first.Scopes[0] = "changed"
			assert.Equal(t, []string{"crm:act", "crm:list"}, second.Scopes)
		})
	})
}

func TestFlight_Ends_EXCH_14(t *testing.T) {
	t.Run("with its last waiter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, change{})
			var ended atomic.Int32
			s.endpoint = func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				ended.Add(1)
			}
			s.during(s.token(nil), func(ctx context.Context) {
				all, leave := context.WithCancel(ctx)
				var done sync.WaitGroup
				for range 10 {
					done.Go(func() {
						_, err := s.exchanger.Token(all, "crm")
						assert.Equal(t, onbehalf.Over, failure(t, err).Kind)
					})
				}
				synctest.Wait()
				leave()
				done.Wait()
				synctest.Wait() // no time passes
				assert.EqualValues(t, 1, ended.Load())
				s.endpoint = nil
				_, err := s.exchanger.Token(ctx, "crm")
				require.NoError(t, err, "and is no outage")
			})
		})
	})
	t.Run("after five seconds, whatever the transport does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, change{})
			release := make(chan struct{})
			s.endpoint = func(http.ResponseWriter, *http.Request) { <-release }
			s.during(s.token(nil), func(ctx context.Context) {
				begun := time.Now()
				_, err := s.exchanger.Token(ctx, "crm")
				assert.Equal(t, onbehalf.Unavailable, failure(t, err).Kind)
				assert.Equal(t, 5*time.Second, time.Since(begun))
			})
			close(release)
			synctest.Wait()
		})
	})
	t.Run("a failed one is nobody else's", func(t *testing.T) {
		s := newSite(t, change{})
		s.endpoint = says(400, `{"error":"invalid_grant"}`)
		token := s.token(nil)
		assert.Equal(t, onbehalf.Refused, s.fails(token).Kind)
		s.endpoint = nil
		_, err := s.get(token, "crm")
		require.NoError(t, err)
	})
}

func TestOutage_EXCH_15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		remembered, other := s.token(nil), s.token(mcpauthtest.Claims{"sub": "user-2"})
		_, err := s.get(remembered, "crm")
		require.NoError(t, err)
		s.endpoint = says(503, "", "Retry-After: 7")
		assert.Equal(t, 7*time.Second, s.fails(other).RetryAfter)
		require.ErrorIs(t, s.fails(other), mcpauth.ErrUnavailable)
		assert.Equal(t, 2, s.count(), "not asked again at once")
		_, err = s.get(remembered, "crm")
		require.NoError(t, err, "what is there is served")

		time.Sleep(7 * time.Second)
		s.endpoint = says(502, "")
		var waits []time.Duration
		for range 6 {
			waits = append(waits, s.fails(other).RetryAfter)
			time.Sleep(waits[len(waits)-1])
		}
		assert.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}, waits)
		assert.Equal(t, 8, s.count())
		s.endpoint = says(429, "", "Retry-After: 3600")
		assert.Equal(t, 30*time.Second, s.fails(other).RetryAfter)
		time.Sleep(30 * time.Second)
		s.endpoint = nil
		_, err = s.get(other, "crm")
		require.NoError(t, err)
		s.endpoint = says(502, "")
		assert.Equal(t, time.Second, s.fails(s.token(nil)).RetryAfter, "and begins anew")
	})
}

// An answer that breaks on somebody's token, or becomes too large with it, is his alone.
func TestOutage_OfOne_EXCH_15(t *testing.T) {
	for name, breaks := range map[string]http.HandlerFunc{
		"broken": says(500, "boom"), "too large": says(200, `{"access_token":"`+strings.Repeat("x", 64<<10)+`","token_type":"Bearer"}`),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, change{})
			bad, good := s.token(nil), s.token(mcpauthtest.Claims{"sub": "user-2"})
			s.endpoint = func(w http.ResponseWriter, r *http.Request) {
				if r.Form.Get("subject_token") == bad {
					breaks(w, r)
					return
				}
				s.grants(nil)(w, r)
			}
			for range 10 {
				assert.Equal(t, onbehalf.Unavailable, s.fails(bad).Kind, name)
			}
			assert.Equal(t, 1, s.count(), name)
			_, err := s.get(good, "crm")
			require.NoError(t, err, name)
			time.Sleep(time.Second)
			s.fails(bad)
			assert.Equal(t, 3, s.count(), name)
		})
	}
}

// While others are answered, one who is not is no outage.
func TestOutage_SlowForOne_EXCH_15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{config: func(c *onbehalf.Config) { c.TokenURL = tokenURL }})
		s.endpoint = func(w http.ResponseWriter, r *http.Request) {
			if r.Form.Get("subject_token") == "slow" {
				<-r.Context().Done()
				return
			}
			s.grants(nil)(w, r)
		}
		ask := func(subject, token string) error {
			ctx, end := carried(t, s.issuer.Principal(mcpauthtest.Claims{"sub": subject, "exp": unix(time.Hour)}), token)
			defer end()
			_, err := s.exchanger.Token(ctx, "crm")
			return err
		}
		var done sync.WaitGroup
		done.Go(func() { assert.Equal(t, onbehalf.Unavailable, failure(t, ask("user-1", "slow")).Kind) })
		time.Sleep(2 * time.Second)
		require.NoError(t, ask("user-2", "t2"))
		done.Wait()
		require.NoError(t, ask("user-3", "t3"))
		assert.Equal(t, onbehalf.Unavailable, failure(t, ask("user-1", "slow")).Kind)
		assert.Equal(t, 3, s.count(), "he is not asked for again at once")

		time.Sleep(time.Second)
		failure(t, ask("user-1", "slow"))
		assert.Equal(t, onbehalf.Unavailable, failure(t, ask("user-3", "t4")).Kind, "where nobody is answered it is one")
		assert.Equal(t, 4, s.count())
	})
}

// A transport that panics is an outage, and tells nobody what it knows.
func TestPanic_EXCH_15_EXCH_25(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("canary") }, "goexit": runtime.Goexit} {
		s := newSite(t, change{})
		s.endpoint = func(_ http.ResponseWriter, r *http.Request) {
			if name == "panic" {
				panic("canary " + r.Form.Get("subject_token"))
			}
			fail()
		}
		token := s.token(nil)
		assert.Equal(t, onbehalf.Unavailable, s.fails(token).Kind, name)
		assert.NotContains(t, s.log.String(), "canary")
		assert.NotContains(t, s.log.String(), token)
	}
}

// No secret of an exchange is seen in anything that comes of it, whatever the other side sends back.
func TestCanaries_EXCH_25(t *testing.T) {
	key := mcpauthtest.NewKey("mine", "ES256")
	for name, method := range map[string]clientauth.Method{
		"basic": clientauth.SecretBasic("mcp-server", secret), "post": clientauth.SecretPost("mcp-server", secret),
		"key": clientauth.PrivateKeyJWT("mcp-server", clientauth.Key{Signer: key.Private}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, change{config: func(c *onbehalf.Config) {
				c.Client = method
				crm(func(t *onbehalf.Target) {
					t.StepUp = []string{"crm:act"}
					t.Actor = func(context.Context) (onbehalf.Actor, error) {
						return onbehalf.Actor{Token: "canary-of-the-actor", Subject: "mcp-server"}, nil
					}
				})(c)
			}})
			token := s.token(nil)
			canaries := []string{token, token[len(token)-40:], secret, "canary"}
			var seen strings.Builder
			places := 0
			for _, status := range []int{200, 400, 401, 403, 404, 429, 500, 302} {
				for _, code := range []string{"invalid_grant", "invalid_client", "interaction_required", "invalid_scope", "unregistered"} {
					s.endpoint = func(w http.ResponseWriter, r *http.Request) { // all that was sent comes back in all places
						all := r.Form.Encode() + " " + r.Header.Get("Authorization") + " " + r.Form.Get("subject_token") + r.Form.Get("client_assertion") + r.Form.Get("client_secret")
						for _, values := range r.Form {
							canaries = append(canaries, longOnes(values)...)
						}
						w.Header().Set("Retry-After", "0")
						w.Header().Set("Location", "https://as.example.com/?"+all)
						w.WriteHeader(status)
						fmt.Fprintf(w, `{"error":%q,"error_description":%q,"claims":%q,"suberror":%q,"access_token":%q,"token_type":%q,"scope":%q}`, code, all, "canary-claims "+all, all, token, "Bearer", all)
					}
					s.during(token, func(ctx context.Context) {
						_, err := s.exchanger.Token(ctx, "crm")
						source, client := s.exchanger.Source(ctx, "crm"), s.exchanger.Client(ctx, "crm")
						_, err2 := client.Get(api)
						answer := s.exchanger.Answer(ctx, err, true)
						seen.WriteString(shows(ctx, err, err2, *failure(t, err), s.exchanger, method, source, client, *client, client.Transport, answer, string(answer.JSON)))
						places += 12
					})
				}
			}
			seen.WriteString(shows(s.events))
			seen.WriteString(s.log.String())
			text, hits := seen.String(), 0
			for _, canary := range canaries {
				if strings.Contains(text, canary) {
					hits++
					at := strings.Index(text, canary)
					t.Errorf("%.30s... is seen: %q", canary, text[max(at-200, 0):min(at+60, len(text))])
					break
				}
			}
			t.Logf("%d canaries in %d bytes from %d values, %d events and the debug log: found %d", len(canaries), len(text), places, len(s.events), hits)
			require.NotEmpty(t, s.events)
			require.Contains(t, s.log.String(), "description=")
		})
	}
}

func longOnes(values []string) (long []string) {
	for _, value := range values {
		if len(value) > 40 && !strings.HasPrefix(value, "urn:") {
			long = append(long, value, value[len(value)-30:])
		}
	}
	return long
}

func TestOnExchange_EXCH_25(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, change{})
		s.endpoint = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(30 * time.Millisecond)
			s.grants(nil)(w, r)
		}
		token := s.token(nil)
		var p *mcpauth.Principal
		s.during(token, func(ctx context.Context) {
			p, _ = mcpauth.FromContext(ctx)
			for range 2 {
				_, err := s.exchanger.Token(ctx, "crm")
				require.NoError(t, err)
			}
			_, err := s.exchanger.Token(ctx, "erp")
			require.Error(t, err)
		})
		assert.Equal(t, []onbehalf.Event{
			{Target: "crm", Principal: p.Key(), Took: 30 * time.Millisecond},
			{Target: "crm", Principal: p.Key(), Cached: true},
			{Target: "erp", Kind: onbehalf.Misconfigured},
		}, s.events)
	})
}
