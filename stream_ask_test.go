package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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

// lasting is a response that goes on until somebody ends it.
type lasting struct {
	w            *httptest.ResponseRecorder
	begun, ended time.Time
	cause        error // why the handler's context ended
	writeErr     error // of what the handler wrote after that
	panicked     any
	leave        context.CancelFunc // as the client does
}

type lastingKey struct{}

// lasts serves a request whose response is an event stream without end, and
// returns while it goes on.
func (f *fixture) lasts(r *http.Request) *lasting {
	f.inner = func(w http.ResponseWriter, r *http.Request) {
		l := r.Context().Value(lastingKey{}).(*lasting)
		w.Header().Set("Content-Type", "text/event-stream")
		_, err := io.WriteString(w, streamEvent)
		assert.NoError(f.tb, err)
		assert.NoError(f.tb, http.NewResponseController(w).Flush())
		<-r.Context().Done()
		l.cause = context.Cause(r.Context())
		_, l.writeErr = io.WriteString(w, streamResult)
	}
	l := &lasting{w: httptest.NewRecorder(), begun: time.Now()}
	ctx, leave := context.WithCancel(context.WithValue(context.Background(), lastingKey{}, l))
	l.leave = leave
	f.tb.Cleanup(leave) // of a test that has failed
	go func() {
		defer func() { l.panicked, l.ended = recover(), time.Now() }()
		f.handler.ServeHTTP(l.w, r.WithContext(ctx))
	}()
	synctest.Wait()
	return l
}

// longToken lives for more than two days.
func longToken(f *fixture, claims mcpauthtest.Claims) string {
	all := mcpauthtest.Claims{"exp": time.Now().Add(50 * time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	return f.token(all)
}

// goesOn asserts that the response has not ended, and ends it.
func (l *lasting) goesOn(t *testing.T) {
	t.Helper()
	synctest.Wait()
	assert.Zero(t, l.ended, "the stream has ended: %v", l.cause)
	l.leave()
	synctest.Wait()
	assert.Equal(t, context.Canceled, l.cause)
}

// endedWith asserts how the response has ended: when, why for the handler, and
// with which bytes for the client.
func (l *lasting) endedWith(t *testing.T, from, to time.Time, reason mcpauth.Reason, last string) {
	t.Helper()
	synctest.Wait()
	defer l.leave()
	require.NotZero(t, l.ended, "the stream goes on")
	assert.WithinRange(t, l.ended, from, to, "begun %s", l.begun)
	assert.ErrorIs(t, l.cause, reason)
	assert.ErrorIs(t, l.writeErr, reason, "the handler wrote after the end")
	assert.Equal(t, http.StatusOK, l.w.Code)
	assert.Equal(t, streamEvent+last, l.w.Body.String())
	assert.Nil(t, l.panicked)
}

// minds is a hook and a policy whose minds can be changed.
type minds struct {
	mu      sync.Mutex
	revoked func(ctx context.Context, p *mcpauth.Principal) (bool, error)
	require func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error)
	asked   []time.Time // Revoked
	calls   []string    // the policy
}

func (m *minds) change(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// questions are the moments at which Revoked was asked.
func (m *minds) questions() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

func (m *minds) config(c *mcpauth.Config) {
	c.Revoked = func(ctx context.Context, p *mcpauth.Principal) (bool, error) {
		m.mu.Lock()
		m.asked = append(m.asked, time.Now())
		answer := m.revoked
		m.mu.Unlock()
		if answer == nil {
			return false, nil
		}
		return answer(ctx, p)
	}
	c.Policy = mcpauth.PolicyFunc(func(ctx context.Context, call mcpauth.Call) (mcpauth.Requirement, error) {
		m.mu.Lock()
		m.calls = append(m.calls, call.Method+" "+call.Name)
		answer := m.require
		m.mu.Unlock()
		if answer == nil {
			return mcpauth.Scopes("mcp:read"), nil
		}
		return answer(ctx, call)
	})
}

// fetchNow makes the middleware fetch the keys: a request with a key that it does not know.
func (f *fixture) fetchNow(t *testing.T) {
	t.Helper()
	before := keyFetches(f)
	f.inner = nil
	f.call(f.token(mcpauthtest.Claims{"jti": "new"}), "echo")
	require.Equal(t, before+1, keyFetches(f))
}

// TestStreamEnds_INTRO_23_MCP_55: what lasts ends at most 66 seconds after the
// reason for it, and a stream of somebody else goes on.
func TestStreamEnds_INTRO_23_MCP_55(t *testing.T) {
	forUser1 := func(answer bool, err error) func(context.Context, *mcpauth.Principal) (bool, error) {
		return func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			if p.Subject != "user-1" {
				return false, nil
			}
			return answer, err
		}
	}
	for _, row := range []struct {
		name   string
		change func(t *testing.T, f *fixture, m *minds)
		reason mcpauth.Reason
		last   func(open streamOpen) string
		spared string // the stream that it does not concern
	}{
		{"revoked", func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() { m.revoked = forUser1(true, nil) })
		}, mcpauth.ErrRevoked, func(open streamOpen) string { return open.owed(-31401, "token revoked") }, ""},
		{"the key is withdrawn", func(t *testing.T, f *fixture, _ *minds) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), mcpauthtest.NewKey("other", "ES256"))
			f.fetchNow(t)
		}, mcpauth.ErrUnknownKey, func(open streamOpen) string { return open.owed(-31401, "signing key unknown") }, ""},
		{"its kid stands for another key", func(t *testing.T, f *fixture, _ *minds) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), mcpauthtest.NewKey("k1", "RS256"), mcpauthtest.NewKey("other", "ES256"))
			f.fetchNow(t)
		}, mcpauth.ErrUnknownKey, func(open streamOpen) string { return open.owed(-31401, "signing key unknown") }, ""},
		{"the key is called something else", func(t *testing.T, f *fixture, _ *minds) {
			renamed := *f.issuer.Keys()[0]
			renamed.ID = "k3"
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), &renamed, mcpauthtest.NewKey("other", "ES256"))
			f.fetchNow(t)
		}, mcpauth.ErrUnknownKey, func(open streamOpen) string { return open.owed(-31401, "signing key unknown") }, ""},
		{"the policy has no rule any more", func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() {
				m.require = func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
					if p, _ := mcpauth.FromContext(ctx); p.Subject == "user-1" {
						return mcpauth.Requirement{}, nil
					}
					return mcpauth.Authenticated(), nil
				}
			})
		}, mcpauth.ErrForbidden, func(open streamOpen) string { return open.owed(-31403, "not permitted") }, "GET"},
		{"the policy requires more", func(_ *testing.T, _ *fixture, m *minds) {
			m.change(func() {
				m.require = func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
					if p, _ := mcpauth.FromContext(ctx); p.Subject == "user-1" {
						return mcpauth.Scopes("mcp:admin"), nil
					}
					return mcpauth.Authenticated(), nil
				}
			})
		}, mcpauth.ErrInsufficientScope, func(open streamOpen) string {
			scope := "mcp:admin"
			if open.name == "legacy call" {
				scope = "mcp:read mcp:admin"
			}
			return "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-31403,\"message\":\"insufficient scope\",\"data\":" +
				`{"error":"insufficient_scope","scope":"` + scope + `","resource_metadata":"` + testMetadataURL + "\"}}}\n\n"
		}, "GET"},
	} {
		for _, open := range streamOpens {
			t.Run(row.name+", "+open.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &minds{}
					f := newFixture(t, m.config)
					other := mcpauthtest.NewKey("other", "ES256")
					f.issuer.Rotate(append(f.issuer.Keys(), other)...)
					l := f.lasts(open.send(f, longToken(f, nil)))
					untouched := f.lasts(open.send(f, f.keyToken(other, mcpauthtest.Claims{"sub": "user-2", "exp": time.Now().Add(50 * time.Hour).Unix()})))
					time.Sleep(31*time.Second + 5*time.Second)
					at := time.Now()
					row.change(t, f, m)
					time.Sleep(3 * time.Hour)
					if row.spared == open.name {
						l.goesOn(t)
					} else {
						l.endedWith(t, at, at.Add(66*time.Second), row.reason, row.last(open))
						assert.Equal(t, 1, strings.Count(f.log.String(), streamLogLine))
						assert.Contains(t, f.log.String(), `level=INFO msg="mcpauth: stream ended early" reason="`+string(row.reason))
						assert.Contains(t, f.log.String(), `issuer=`+testIssuerURL+` subject="\"user-1\""`)
						assert.NotContains(t, f.log.String(), "eyJ", "a token in the log")
					}
					untouched.goesOn(t)
				})
			})
		}
	}
}

// TestStreamLives_INTRO_23: what changes nothing about the token ends nothing.
func TestStreamLives_INTRO_23(t *testing.T) {
	for _, row := range []struct {
		name   string
		kid    string // of the key that signs
		change func(t *testing.T, f *fixture)
	}{
		{"nothing happens", "k1", func(*testing.T, *fixture) {}},
		{"a key is added", "k1", func(t *testing.T, f *fixture) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), f.issuer.Keys()[0])
			f.fetchNow(t)
		}},
		{"all others are exchanged", "k1", func(t *testing.T, f *fixture) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "ES256"), f.issuer.Keys()[0])
			f.fetchNow(t)
			time.Sleep(time.Minute)
			f.issuer.Rotate(mcpauthtest.NewKey("k3", "RS256"), mcpauthtest.NewKey("k4", "ES384"), f.issuer.Keys()[1])
			f.fetchNow(t)
		}},
		{"another key of the same kid comes first", "k1", func(t *testing.T, f *fixture) {
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"), mcpauthtest.NewKey("k1", "RS256"), f.issuer.Keys()[0])
			f.fetchNow(t)
		}},
		{"a key without kid among many", "", func(t *testing.T, f *fixture) {
			keys := []*mcpauthtest.Key{mcpauthtest.NewKey("k2", "RS256")}
			for n := range 10 {
				keys = append(keys, mcpauthtest.NewKey(fmt.Sprint("m", n), "ES256"))
			}
			f.issuer.Rotate(append(keys, f.issuer.Keys()...)...)
			f.fetchNow(t)
		}},
		{"the keys move to another place, slowly", "k1", func(t *testing.T, f *fixture) {
			f.issuer.PublishMetadata(func(metadata map[string]any) { metadata["jwks_uri"] = testIssuerURL + "/moved" })
			time.Sleep(2 * time.Hour) // metadata is fetched anew by the streams alone
		}},
		{"the issuer is down for a day", "k1", func(_ *testing.T, f *fixture) {
			f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
			f.issuer.Break(mcpauthtest.Metadata, mcpauthtest.Down)
			time.Sleep(22 * time.Hour)
		}},
	} {
		for _, open := range streamOpens {
			t.Run(row.name+", "+open.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFixture(t, nil)
					token := longToken(f, nil)
					if row.kid == "" {
						key := *f.issuer.Keys()[0]
						key.ID = ""
						f.issuer.Rotate(&key)
						token = longToken(f, nil)
					}
					l := f.lasts(open.send(f, token))
					time.Sleep(time.Minute)
					row.change(t, f)
					time.Sleep(time.Hour)
					l.goesOn(t)
					assert.NotContains(t, f.log.String(), streamLogLine)
				})
			})
		}
	}
}

// TestStreamsNotice_INTRO_23: a server that has nothing but streams notices by
// itself that a key is gone, and fetches no more often than requests would have it do.
func TestStreamsNotice_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var all []*lasting
		for range 20 {
			all = append(all, f.lasts(streamOpens[0].send(f, longToken(f, nil))))
		}
		require.Equal(t, 1, keyFetches(f))
		f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
		for keyFetches(f) == 1 {
			time.Sleep(time.Second)
			require.Less(t, time.Since(all[0].begun), 2*time.Hour)
		}
		noticed := time.Now()
		assert.WithinRange(t, noticed, all[0].begun.Add(54*time.Minute), all[0].begun.Add(67*time.Minute+6*time.Second), "a key set lives an hour, give or take a tenth")
		time.Sleep(10 * time.Minute)
		for _, l := range all {
			l.endedWith(t, noticed.Add(-time.Second), noticed.Add(66*time.Second), mcpauth.ErrUnknownKey, "")
		}
		assert.Equal(t, 2, keyFetches(f))
		assert.Equal(t, 20, strings.Count(f.log.String(), streamLogLine))
	})
}

// TestStreamKeysMoved_INTRO_23: the issuer has moved its keys and the new place
// is not there yet. Until it is, the keys at hand serve as in any outage.
func TestStreamKeysMoved_INTRO_23_FRESH_08(t *testing.T) {
	for name, back := range map[string]bool{"in vain": false, "and it comes": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				l := f.lasts(streamOpens[1].send(f, longToken(f, nil)))
				f.issuer.PublishMetadata(func(metadata map[string]any) { metadata["jwks_uri"] = testIssuerURL + "/moved" })
				f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.NotFound)
				for f.issuer.Fetches(mcpauthtest.Metadata) == 1 { // nobody but the stream asks for it
					time.Sleep(time.Second)
					require.Less(t, time.Since(l.begun), 3*time.Hour)
				}
				if !back {
					end := l.begun.Add(24 * time.Hour)
					time.Sleep(25 * time.Hour)
					l.endedWith(t, end, end.Add(5*time.Minute+66*time.Second), mcpauth.ErrUnavailable, lastEvent(-31503, "authorization temporarily unavailable"))
					assert.Contains(t, f.log.String(), "level=WARN msg=\"mcpauth: stream ended early\"")
					return
				}
				time.Sleep(4 * time.Minute)
				f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.None)
				time.Sleep(time.Hour)
				l.goesOn(t)
				assert.Equal(t, testIssuerURL+"/moved", f.auth.Issuers()[0].JWKSURI)
			})
		})
	}
}

// TestStreamStaleKeys_INTRO_23: keys that are a day old vouch for nobody.
func TestStreamStaleKeys_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		l := f.lasts(streamOpens[2].send(f, longToken(f, nil)))
		f.issuer.Break(mcpauthtest.JWKS, mcpauthtest.Down)
		time.Sleep(30 * time.Hour)
		day := l.begun.Add(24 * time.Hour)
		l.endedWith(t, day.Add(5*time.Minute-66*time.Second), day.Add(5*time.Minute), mcpauth.ErrUnavailable, lastEvent(-31503, "authorization temporarily unavailable"))
	})
}

var errHook = errors.New("the database of revoked tokens is away")

// TestStreamInDoubt_INTRO_23: where nobody can say, the stream goes on for five
// minutes after the last good answer, and not longer.
func TestStreamInDoubt_INTRO_23(t *testing.T) {
	type hook = func(ctx context.Context, p *mcpauth.Principal) (bool, error)
	for _, row := range []struct {
		name   string
		hook   func(free <-chan struct{}) hook
		policy func(context.Context, mcpauth.Call) (mcpauth.Requirement, error)
		asked  [2]int // questions from then on, at least and at most
		log    string
	}{
		{"an error", func(<-chan struct{}) hook {
			return func(context.Context, *mcpauth.Principal) (bool, error) { return false, errHook }
		}, nil, [2]int{5, 6}, errHook.Error()},
		{"yes and an error", func(<-chan struct{}) hook {
			return func(context.Context, *mcpauth.Principal) (bool, error) { return true, errHook }
		}, nil, [2]int{5, 6}, errHook.Error()},
		{"a panic", func(<-chan struct{}) hook {
			return func(context.Context, *mcpauth.Principal) (bool, error) { panic("bug") }
		}, nil, [2]int{5, 6}, "Revoked panicked with a string"},
		{"no answer in time", func(<-chan struct{}) hook {
			return func(ctx context.Context, _ *mcpauth.Principal) (bool, error) {
				<-ctx.Done()
				return false, ctx.Err()
			}
		}, nil, [2]int{5, 6}, "deadline exceeded"},
		{"a good answer, too late", func(<-chan struct{}) hook {
			return func(context.Context, *mcpauth.Principal) (bool, error) {
				time.Sleep(5*time.Second + 1)
				return false, nil
			}
		}, nil, [2]int{5, 6}, "no answer within 5s"},
		{"no answer at all", func(free <-chan struct{}) hook {
			return func(context.Context, *mcpauth.Principal) (bool, error) {
				<-free
				return false, nil
			}
		}, nil, [2]int{1, 1}, "no answer for 5m0s"},
		{"the policy fails", nil, func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			return mcpauth.Requirement{}, errHook
		}, [2]int{5, 6}, errHook.Error()},
		{"the policy panics", nil, func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
			panic("bug")
		}, [2]int{5, 6}, "the policy panicked with a string"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &minds{}
				f := newFixture(t, m.config)
				l := f.lasts(streamOpens[1].send(f, longToken(f, nil)))
				time.Sleep(20 * time.Minute)
				free := make(chan struct{})
				m.change(func() {
					if row.hook != nil {
						m.revoked = row.hook(free)
					}
					m.require = row.policy
				})
				questions := m.questions()
				good, before := questions[len(questions)-1], len(questions)
				time.Sleep(time.Hour)
				l.endedWith(t, good.Add(5*time.Minute), good.Add(5*time.Minute), mcpauth.ErrUnavailable, lastEvent(-31503, "authorization temporarily unavailable"))
				asked := len(m.questions()) - before
				assert.True(t, row.asked[0] <= asked && asked <= row.asked[1], "asked %d times", asked)
				assert.Contains(t, f.log.String(), "level=WARN msg=\"mcpauth: stream ended early\" reason=\"authorization temporarily unavailable: no ")
				assert.Contains(t, f.log.String(), row.log)
				close(free)
			})
		})
	}
}

// TestStreamInDoubt_Recovers_INTRO_23: a good answer in time, and the five minutes begin anew.
func TestStreamInDoubt_Recovers_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minds{}
		f := newFixture(t, m.config)
		l := f.lasts(streamOpens[0].send(f, longToken(f, nil)))
		for range 20 {
			good := time.Now()
			m.change(func() { m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, errHook } })
			time.Sleep(4*time.Minute + 40*time.Second)
			m.change(func() { m.revoked = nil })
			// The last question comes when it can still be answered.
			for asked := m.questions(); asked[len(asked)-1].Before(good.Add(4*time.Minute + 40*time.Second)); asked = m.questions() {
				time.Sleep(time.Second)
				require.Less(t, time.Since(good), 10*time.Minute)
			}
			synctest.Wait()
		}
		l.goesOn(t)
		assert.NotContains(t, f.log.String(), streamLogLine)
	})
}

// TestStreamHungHook_INTRO_23: a function that never answers keeps nothing from
// ending, and is not asked a second time.
func TestStreamHungHook_INTRO_23(t *testing.T) {
	for _, who := range []string{"Revoked", "the policy"} {
		for _, row := range []struct {
			name   string
			life   time.Duration
			reason mcpauth.Reason
			after  time.Duration
			last   string
		}{
			{"the token expires", 3 * time.Minute, mcpauth.ErrExpired, 3*time.Minute + 30*time.Second, lastEvent(-31401, "token expired")},
			{"nothing else happens", time.Hour, mcpauth.ErrUnavailable, 5 * time.Minute, lastEvent(-31503, "authorization temporarily unavailable")},
		} {
			t.Run(who+", "+row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &minds{}
					f := newFixture(t, m.config)
					l := f.lasts(streamOpens[3].send(f, streamToken(f, row.life)))
					free, hung := make(chan struct{}), 0
					m.change(func() {
						if who == "Revoked" {
							m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
								m.change(func() { hung++ })
								<-free
								return false, nil
							}
							return
						}
						m.require = func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
							m.change(func() { hung++ })
							<-free
							return mcpauth.Scopes("mcp:read"), nil
						}
					})
					time.Sleep(2 * time.Hour)
					l.endedWith(t, l.begun.Add(row.after), l.begun.Add(row.after), row.reason, row.last)
					assert.Equal(t, 1, hung)
					close(free) // whatever it answers now, the request is over
					synctest.Wait()
					assert.Equal(t, 1, strings.Count(f.log.String(), streamLogLine))
				})
			})
		}
	}
	t.Run("a key is withdrawn meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &minds{}
			f := newFixture(t, m.config)
			f.issuer.Rotate(f.issuer.Keys()[0])
			l := f.lasts(streamOpens[3].send(f, longToken(f, nil)))
			free := make(chan struct{})
			m.change(func() {
				m.revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
					if p.Subject == "user-1" {
						<-free
					}
					return false, nil
				}
			})
			time.Sleep(70 * time.Second)
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			noticed := time.Now()
			f.inner = nil
			f.call(f.token(mcpauthtest.Claims{"sub": "user-2"}), "echo")
			time.Sleep(10 * time.Minute)
			l.endedWith(t, noticed, noticed.Add(66*time.Second), mcpauth.ErrUnknownKey, lastEvent(-31401, "signing key unknown"))
			close(free)
		})
	})
	t.Run("nobody is asked about a key that is withdrawn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &minds{}
			f := newFixture(t, m.config)
			f.issuer.Rotate(f.issuer.Keys()[0])
			l := f.lasts(streamOpens[3].send(f, longToken(f, nil)))
			time.Sleep(10 * time.Second)
			f.issuer.Rotate(mcpauthtest.NewKey("k2", "RS256"))
			noticed := time.Now()
			f.inner = nil
			f.call(f.token(mcpauthtest.Claims{"sub": "user-2"}), "echo")
			asked := len(m.questions())
			time.Sleep(10 * time.Minute)
			l.endedWith(t, noticed, noticed.Add(66*time.Second), mcpauth.ErrUnknownKey, lastEvent(-31401, "signing key unknown"))
			assert.Len(t, m.questions(), asked)
		})
	})
	t.Run("a late yes is believed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &minds{}
			f := newFixture(t, m.config)
			l := f.lasts(streamOpens[3].send(f, longToken(f, nil)))
			m.change(func() {
				m.revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
					time.Sleep(2 * time.Minute)
					return true, nil
				}
			})
			time.Sleep(10 * time.Minute)
			l.endedWith(t, l.begun.Add(174*time.Second), l.begun.Add(186*time.Second), mcpauth.ErrRevoked, lastEvent(-31401, "token revoked"))
		})
	})
}

// TestStreamQuestions_INTRO_23: one question a minute, give or take a tenth and not
// in step, with the caller and what the request brought in the context, and
// no longer than five seconds; none for what does not last, and none afterwards.
func TestStreamQuestions_INTRO_23(t *testing.T) {
	for _, open := range streamOpens {
		t.Run(open.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &minds{}
				f := newFixture(t, m.config)
				l := f.lasts(open.send(f, longToken(f, nil)))
				require.Len(t, m.questions(), 1, "the request itself")
				var calls []string
				m.change(func() { calls = m.calls })
				var before context.Context
				m.change(func() {
					m.calls = nil
					m.revoked = func(ctx context.Context, p *mcpauth.Principal) (bool, error) {
						if before != nil {
							assert.ErrorIs(t, before.Err(), context.Canceled, "it has ended with the answer")
						}
						before = ctx
						caller, ok := mcpauth.FromContext(ctx)
						assert.True(t, ok)
						assert.Equal(t, p, caller)
						assert.Same(t, l, ctx.Value(lastingKey{}), "a value of the request's context")
						deadline, ok := ctx.Deadline()
						assert.True(t, ok)
						assert.Equal(t, 5*time.Second, time.Until(deadline))
						p.Subject = "changed"
						return false, nil
					}
				})
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				gaps, asked := map[time.Duration]bool{}, m.questions()
				for i := 1; i < len(asked); i++ {
					gap := asked[i].Sub(asked[i-1])
					gaps[gap] = true
					assert.True(t, 54*time.Second <= gap && gap <= 66*time.Second, gap)
				}
				assert.Greater(t, len(gaps), 50)
				assert.ElementsMatch(t, slices.Repeat(calls, len(asked)-1), m.calls, "the policy is asked as it was for the request")
				l.goesOn(t)
				sofar := len(m.questions())
				time.Sleep(5 * time.Hour)
				assert.Len(t, m.questions(), sofar, "asked about a request that is over")
			})
		})
	}
	t.Run("what is no stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &minds{}
			f := newFixture(t, m.config)
			f.inner = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				time.Sleep(10 * time.Minute)
				_, _ = io.WriteString(w, "{}")
			}
			assert.Equal(t, "{}", f.call(f.token(nil), "echo").Body.String())
			assert.Len(t, m.questions(), 1)
		})
	})
}

// TestStreamBegunLate_INTRO_23: an answer that becomes a stream long after its
// request was verified is asked about at once, and not cut before somebody could answer.
func TestStreamBegunLate_INTRO_23(t *testing.T) {
	for _, row := range []struct {
		name    string
		revoked func(context.Context, *mcpauth.Principal) (bool, error)
		reason  mcpauth.Reason // "": it goes on
		after   time.Duration
		last    string
	}{
		{"good", nil, "", 0, ""},
		{"revoked meanwhile", func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil }, mcpauth.ErrRevoked, 0, lastEvent(-31401, "token revoked")},
		{"nobody knows", func(context.Context, *mcpauth.Principal) (bool, error) { return false, errHook }, mcpauth.ErrUnavailable, 6 * time.Second, lastEvent(-31503, "authorization temporarily unavailable")},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &minds{}
				f := newFixture(t, m.config)
				w := httptest.NewRecorder()
				var began, ended time.Time
				var cause error
				f.inner = func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(20 * time.Minute)
					began = time.Now()
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, streamEvent)
					synctest.Wait()
					select {
					case <-r.Context().Done():
						cause, ended = context.Cause(r.Context()), time.Now()
					case <-time.After(time.Hour):
						ended = time.Now()
					}
				}
				r := streamOpens[2].send(f, longToken(f, nil))
				time.AfterFunc(time.Minute, func() { m.change(func() { m.revoked = row.revoked }) })
				f.handler.ServeHTTP(w, r)
				if row.reason == "" {
					assert.NoError(t, cause)
					assert.Equal(t, time.Hour, ended.Sub(began))
					assert.Equal(t, streamEvent, w.Body.String())
					assert.Equal(t, began, m.questions()[1], "at once")
					return
				}
				assert.ErrorIs(t, cause, row.reason)
				assert.Equal(t, row.after, ended.Sub(began))
				events := w.Body.String()
				if row.after == 0 && w.Code == http.StatusUnauthorized { // it came before the header was sent
					assert.JSONEq(t, `{"error":"invalid_token","error_description":"token revoked"}`, events)
					return
				}
				if row.after == 0 { // the answer of the hook and the first event race
					events = streamEvent + strings.TrimPrefix(events, streamEvent)
				}
				assert.Equal(t, streamEvent+row.last, events)
			})
		})
	}
}

// TestStreamRuns_INTRO_23: a hook that answers is never asked twice at a time,
// and a question under way ends with its request.
func TestStreamRuns_INTRO_23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &minds{}
		f := newFixture(t, m.config)
		l := f.lasts(streamOpens[0].send(f, longToken(f, nil)))
		var now, most atomic.Int32
		var left error
		m.change(func() {
			m.revoked = func(ctx context.Context, _ *mcpauth.Principal) (bool, error) {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-ctx.Done()
				left = ctx.Err()
				return false, left
			}
		})
		for now.Load() == 0 {
			time.Sleep(time.Second)
			require.Less(t, time.Since(l.begun), 2*time.Minute)
		}
		l.leave()
		synctest.Wait()
		assert.Zero(t, now.Load(), "the question outlives its request")
		assert.Equal(t, context.Canceled, left)
		assert.EqualValues(t, 1, most.Load())
	})
}

// A policy that does not answer silences nobody else, whether it looks at its
// context or not; and one that has much to answer is in no doubt.
func TestStreamPolicyHangs_INTRO_23(t *testing.T) {
	for name, hang := range map[string]func(context.Context, <-chan struct{}){
		"until its context ends": func(ctx context.Context, _ <-chan struct{}) { <-ctx.Done() },
		"for ever":               func(_ context.Context, never <-chan struct{}) { <-never },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, never := &minds{}, make(chan struct{})
				f := newFixture(t, m.config)
				l := f.lasts(streamOpens[2].send(f, longToken(f, nil)))
				m.change(func() {
					m.require = func(ctx context.Context, _ mcpauth.Call) (mcpauth.Requirement, error) {
						hang(ctx, never)
						return mcpauth.Requirement{}, context.Canceled
					}
				})
				time.Sleep(70 * time.Second) // it hangs by now
				m.change(func() {
					m.revoked = func(ctx context.Context, _ *mcpauth.Principal) (bool, error) { return true, ctx.Err() }
				})
				revoked := time.Now()
				time.Sleep(67 * time.Second)
				l.endedWith(t, revoked, revoked.Add(66*time.Second), mcpauth.ErrRevoked, streamOpens[2].owed(-31401, "token revoked"))
				close(never)
			})
		})
	}
	t.Run("600 resources at 10 ms each", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &minds{}
			f := newFixture(t, m.config)
			m.change(func() {
				m.require = func(context.Context, mcpauth.Call) (mcpauth.Requirement, error) {
					time.Sleep(10 * time.Millisecond)
					return mcpauth.Authenticated(), nil
				}
			})
			var uris []string
			for i := range 600 {
				uris = append(uris, strconv.Quote("r://"+strconv.Itoa(i)))
			}
			body := modernBody("subscriptions/listen", `"notifications":{"resourceSubscriptions":[`+strings.Join(uris, ",")+`]}`)
			l := f.lasts(f.request(http.MethodPost, "/mcp", longToken(f, nil), body, modernHeaders("subscriptions/listen", "")...))
			time.Sleep(20 * time.Minute)
			l.goesOn(t)
			time.Sleep(time.Minute) // a question may be under way
		})
	})
}
