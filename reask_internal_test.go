package mcpauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/introspect"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// shiftMonotonic moves the monotonic reading of a moment and leaves its wall clock.
func shiftMonotonic(moment time.Time, by time.Duration) time.Time {
	type layout struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	(*layout)(unsafe.Pointer(&moment)).ext += int64(by)
	return moment
}

// A moment that comes is there on either clock: neither a wall clock that was set back nor a
// machine that slept lets a stream outlive its token.
func TestReached_EitherClock_INTRO_23(t *testing.T) {
	now := time.Now()
	moment := now.Add(time.Hour)
	assert.False(t, reached(now, moment))
	assert.False(t, reached(moment.Add(-1), moment))
	assert.True(t, reached(moment, moment), "to the moment")
	assert.True(t, reached(now.Add(2*time.Hour), moment))
	setBack := shiftMonotonic(now, 2*time.Hour)
	slept := shiftMonotonic(now.Add(2*time.Hour), -2*time.Hour)
	assert.True(t, reached(setBack, moment), "the wall clock was set back")
	assert.True(t, reached(slept, moment), "the machine slept")

	l := &lease{token: &verified{principal: Principal{Expiry: moment}}}
	for _, at := range []time.Time{setBack, slept} {
		assert.ErrorIs(t, (&inquiry{lease: l, ends: moment, good: at}).overdue(at), refusal.Expired)
		assert.ErrorIs(t, (&inquiry{lease: l, ends: now.Add(99 * time.Hour), good: moment.Add(-maxDoubt)}).overdue(at), refusal.Unavailable)
	}
	assert.Nil(t, (&inquiry{lease: l, ends: moment, good: now}).overdue(now))
}

// What comes for a response that has ended, or has not begun to last, changes nothing.
func TestInquiryIsOver_RELOAD_03_INTRO_24(t *testing.T) {
	m := leaseMiddleware(t)
	x := &exchange{m: m, g: m.generation()}
	exp := time.Now().Add(time.Hour)
	x.lease.x, x.lease.token = x, &verified{principal: Principal{Expiry: exp}}
	q := &inquiry{lease: &x.lease, ends: exp, due: exp}
	again := &verified{principal: Principal{Expiry: time.Now().Add(time.Minute)}}
	assert.NotPanics(t, func() { q.endBy(again) })
	assert.Equal(t, exp, q.ends)
	assert.NotPanics(t, func() { (&inquiry{lease: &x.lease, exp: exp, due: exp.Add(time.Hour)}).until(m.generation()) })

	// Who is stopped or cut, or has asked already, asks nobody, and sets no timer.
	leased(t, m, httptest.NewRecorder(), "GET", "", func(_ http.ResponseWriter, _ *http.Request, l *lease) {
		turn := func() questions {
			ask, denied := l.inquiry.turn(time.Now())
			assert.Nil(t, denied)
			return ask
		}
		assert.Equal(t, everyQuestion(), turn())
		assert.Equal(t, questions{}, turn())
		l.inquiry.asking = questions{}
		l.inquiry.stop()
		assert.Equal(t, questions{}, turn())
		assert.Nil(t, l.inquiry.timer)
		assert.Nil(t, l.inquiry.begin())
		assert.True(t, l.cut(leaseDenied()))
		assert.Equal(t, questions{}, turn())
	})
	assert.Empty(t, m.owned.lasts.list())
}

// An answer counts that comes when the time for it is over to the moment, and a later one does not. A policy has more time for more calls.
func TestInTime_INTRO_23(t *testing.T) {
	for calls, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5050 * time.Millisecond, 20: 6 * time.Second, 1000: 30 * time.Second} {
		assert.Equal(t, want, policyTime(calls), calls)
	}
	synctest.Test(t, func(t *testing.T) {
		leased(t, leaseMiddleware(t), httptest.NewRecorder(), "GET", "", func(_ http.ResponseWriter, _ *http.Request, l *lease) {
			for takes, want := range map[time.Duration]*refusal.Refusal{
				askTimeout: nil, askTimeout + 1: refusal.New(refusal.Unavailable, "no answer within 5s", "", ""),
			} {
				assert.Equal(t, want, l.inquiry.put(0, askTimeout, func(context.Context) *refusal.Refusal {
					time.Sleep(takes)
					return nil
				}), takes)
			}
		})
	})
}

// What an issuer has answered counts for a minute on either clock: a machine that slept has to ask again.
func TestAnswerAges_EitherClock_INTRO_05_INTRO_23(t *testing.T) {
	now := time.Now()
	e := evidence{answer: &answer{asked: now}}
	assert.True(t, e.isCurrent(now.Add(seenLife-1)))
	assert.False(t, e.isCurrent(now.Add(seenLife)))
	assert.False(t, e.isCurrent(shiftMonotonic(now, seenLife)), "the wall clock was set back")
	assert.False(t, e.isCurrent(shiftMonotonic(now.Add(2*time.Hour), -2*time.Hour)), "the machine slept")
}

// TestOpaqueEvidence_INTRO_17_INTRO_23: of an opaque token keys tell nothing, and it is judged by whoever is asked about it now.
func TestOpaqueEvidence_INTRO_17_INTRO_23(t *testing.T) {
	now := time.Now()
	opaque := evidence{issuer: leaseMiddleware(t).generation().verifier.ordered[0], answer: &answer{asked: now}}
	known, denied := opaque.recheck(now)
	assert.False(t, known)
	assert.Nil(t, denied)

	first, second := &issuer{asked: new(introspect.Server), prefix: "a_"}, &issuer{asked: new(introspect.Server), prefix: "b_"}
	v := &verifier{ordered: []*issuer{first, second}}
	opaque.issuer = first
	signed := evidence{issuer: first}
	assert.True(t, v.goesBy(&opaque, "a_token"))
	assert.True(t, v.goesBy(&signed, "a.jwt.x"))
	first.prefix, second.prefix = second.prefix, first.prefix
	assert.False(t, v.goesBy(&opaque, "a_token"), "the prefix is another's")
	assert.True(t, v.goesBy(&signed, "a.jwt.x"))
	v.ordered = v.ordered[1:]
	assert.False(t, v.goesBy(&opaque, "b_token"), "its issuer has gone")
	assert.False(t, v.goesBy(&signed, "a.jwt.x"), "its issuer has gone")
}

// TestRulesAreAskedOnce_INTRO_23: what rules have said of a stream is not found out again each minute, but for a caller with fewer
// rights, or by other rules.
func TestRulesAreAskedOnce_INTRO_23(t *testing.T) {
	config := func(resources map[string]Requirement) Config {
		return Config{
			Resource: "https://mcp.example.com/mcp",
			Issuers:  []Issuer{{URL: "https://as.example.com", Keys: []byte(leaseKeys)}},
			Policy:   Rules{Resources: resources},
		}
	}
	m, err := New(config(map[string]Requirement{"notes://*": Scopes("read"), "notes://a": Scopes("read")}))
	require.NoError(t, err)
	x := &exchange{m: m, g: m.generation()}
	x.calls = []Call{{Method: "subscriptions/listen", Kind: KindResource, Name: "notes://x?" + strings.Repeat("%EF%B7%BA+", 800)}}
	x.lease.x, x.lease.token = x, &verified{
		principal: Principal{Scopes: []string{"read"}, Expiry: time.Now().Add(time.Hour)}, evidence: evidence{answer: &answer{asked: time.Now()}},
	}
	require.Nil(t, x.lease.inquire())
	defer x.lease.stop()
	m.owned.lasts.remove(x.lease.inquiry) // Reload shall not ask for it
	assert.True(t, x.lease.inquiry.isRuled(ruled{x.g, x.lease.holder()}), "by the request itself")
	decide := func() *refusal.Refusal { return x.lease.inquiry.decide(t.Context(), m.generation()) }
	assert.Zero(t, testing.AllocsPerRun(10, func() { assert.Nil(t, decide()) }))
	x.lease.narrow(nil)
	assert.ErrorIs(t, decide(), refusal.InsufficientScope)
	assert.ErrorIs(t, decide(), refusal.InsufficientScope, "a refusal is not remembered")
	require.NoError(t, m.Reload(t.Context(), config(map[string]Requirement{"notes://*": Authenticated()}), ""))
	require.Nil(t, decide())
	require.NoError(t, m.Reload(t.Context(), config(nil), ""))
	assert.ErrorIs(t, decide(), refusal.Forbidden)
}
