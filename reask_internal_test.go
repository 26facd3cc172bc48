package mcpauth

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	assert.NotPanics(t, func() { assert.Nil(t, (&inquiry{lease: &x.lease}).until(m.generation())) })
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
