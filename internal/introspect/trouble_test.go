package introspect

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// says is a server that is always answered the same, with its log and how often it has asked.
func says(status int, body string) (s *Server, log *bytes.Buffer, asked *int) {
	asked, log = new(int), new(bytes.Buffer)
	s = server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { *asked++; return status, body })
	s.log = slog.New(slog.NewTextHandler(log, nil))
	return s, log, asked
}

// What an answer says of the token, whose trouble it is if it says nothing, and whether it is asked for again.
func TestAnswers_INTRO_06_INTRO_07_INTRO_19_INTRO_20(t *testing.T) {
	const invalid = `{"error":"invalid_token"}`
	for _, row := range []struct {
		status    int
		body      string
		tokeninfo bool
		reason    refusal.Reason
		cause     string
		asked     int // of two questions
		told      int // that the server does not let us ask
	}{
		{200, `{"active":false}`, false, refusal.Revoked, "token-inactive", 1, 0},
		{200, `<html>`, false, refusal.Unavailable, "introspection-answer", 1, 0},
		{201, `{"active":true}`, false, refusal.Unavailable, "introspection-answer", 1, 0},
		{400, invalid, false, refusal.Unavailable, "introspection-answer", 1, 0},
		{401, invalid, false, refusal.Unavailable, "introspection-credentials", 2, 1},
		{403, invalid, false, refusal.Unavailable, "introspection-credentials", 1, 1},
		{404, invalid, false, refusal.Unavailable, "introspection-answer", 1, 0},
		{429, invalid, false, refusal.Unavailable, "introspection-unreachable", 2, 0},
		{499, invalid, false, refusal.Unavailable, "introspection-answer", 1, 0},
		{500, invalid, false, refusal.Unavailable, "introspection-unreachable", 2, 0},
		{503, invalid, false, refusal.Unavailable, "introspection-unreachable", 2, 0},
		{400, invalid, true, refusal.Revoked, "token-inactive", 1, 0},
		{401, invalid, true, refusal.Unavailable, "introspection-answer", 1, 0},
		{200, `{"exp":"x"}`, true, refusal.Claims, "", 1, 0},
		{200, `{"active":true}`, true, refusal.Claims, "", 1, 0},
	} {
		t.Run(strconv.Itoa(row.status)+row.body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log, asked := says(row.status, row.body)
				s.config.Tokeninfo = row.tokeninfo
				for range 2 {
					answer, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
					assert.Empty(t, answer.Claims)
					require.NotNil(t, v.Denied)
					assert.Equal(t, row.reason, v.Denied.Reason)
					assert.Equal(t, row.cause, v.Denied.Cause)
				}
				assert.Equal(t, row.asked, *asked)
				assert.Equal(t, row.asked-1, s.breakers[0].failures/2, "the server's failure")
				assert.Equal(t, row.told, strings.Count(log.String(), "does not let this server ask"))
				shared := s.refused.Get(s.refused.Key("opaque"), time.Now()) == notActive
				assert.Equal(t, row.reason == refusal.Revoked, shared, "those that are made up have one verdict")
			})
		})
	}
}

// Without an endpoint, or without what this server proves itself with, nobody is asked.
func TestNobodyIsAsked_INTRO_07(t *testing.T) {
	s, _, asked := says(200, `{"active":true}`)
	s.Use(clientauth.Method{})
	_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
	require.NotNil(t, v.Denied)
	assert.Equal(t, "introspection-credentials", v.Denied.Cause)
	assert.Nil(t, s.Warm(t.Context()))

	s.config.Endpoint = func(context.Context) (string, bool, error) {
		return "https://as.example.com", false, errors.New("x")
	}
	_, v = s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
	for _, denied := range []*refusal.Refusal{v.Denied, s.Warm(t.Context())} {
		require.NotNil(t, denied)
		assert.Equal(t, refusal.Unavailable, denied.Reason)
		assert.Equal(t, "introspection-endpoint", denied.Cause)
		assert.Equal(t, retrySoon, denied.RetryAfter)
	}
	assert.Zero(t, *asked)
}

// An answer of any kind ends the failures in a row, of strangers' tokens and of those that are known.
func TestAnswerEndsFailures_INTRO_06(t *testing.T) {
	for _, row := range []struct {
		status    int
		body      string
		tokeninfo bool
	}{
		{200, `{"active":true}`, false}, {200, `{"active":false}`, false}, {200, `{"exp":"1"}`, true}, {400, `{"error":"invalid_token"}`, true},
	} {
		s, _, asked := says(row.status, row.body)
		s.config.Tokeninfo = row.tokeninfo
		for i := range s.breakers {
			for range maxFailures - 1 {
				s.breakers[i].note(false, 0, time.Now())
			}
		}
		s.Ask(t.Context(), nil, "opaque", time.Time{}, 0)
		require.Equal(t, 1, *asked)
		for i := range s.breakers {
			again := s.breakers[i].note(false, 0, time.Now())
			assert.Equal(t, retrySoon, again, row.body)
		}
	}
}

// The operator is told of each failure of a caller that is known, and once a minute of what a stranger can bring about.
func TestUnsettled_INTRO_06_INTRO_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{500, 400} {
			s, _, _ := says(status, "")
			for n, row := range []struct {
				token string
				who   uint32
				want  bool
			}{{"a", 7, false}, {"b", 0, false}, {"c", 0, true}, {"d", 7, false}} {
				_, v := s.Ask(t.Context(), nil, row.token, time.Time{}, row.who)
				require.NotNil(t, v.Denied)
				assert.Equal(t, row.want, v.Denied.Unsettled, "%d: %d", status, n)
			}
		}
		s, _, asked := says(400, "")
		for _, want := range []bool{false, true, true} { // of one answer
			_, v := s.Ask(t.Context(), nil, "opaque", time.Time{}, 7)
			require.NotNil(t, v.Denied)
			assert.Equal(t, want, v.Denied.Unsettled)
		}
		assert.Equal(t, 1, *asked)
	})
}

// Whoever leaves is told nothing of the token; that a stranger left is no news.
func TestLeaving_INTRO_06(t *testing.T) {
	for who, unsettled := range map[uint32]bool{0: true, 7: false} {
		synctest.Test(t, func(t *testing.T) {
			s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { time.Sleep(time.Second); return 200, `{"active":true}` })
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, v := s.Ask(ctx, nil, "opaque", time.Time{}, who)
			require.NotNil(t, v.Denied)
			assert.Equal(t, "introspection-unreachable", v.Denied.Cause)
			assert.Equal(t, unsettled, v.Denied.Unsettled)
			assert.ErrorIs(t, v.Denied, context.DeadlineExceeded)
			time.Sleep(2 * time.Second)
		})
	}
}

// Twenty answers about ten tokens, and none of them active: then the operator is told, once.
func TestNeverActive_INTRO_20(t *testing.T) {
	for _, row := range []struct {
		answers, distinct int
		first             string // answer
		told              int
	}{
		{19, 10, `{"active":false}`, 0},
		{20, 10, `{"active":false}`, 1},
		{60, 30, `{"active":false}`, 1},
		{60, 9, `{"active":false}`, 0},
		{60, 30, `{"active":true}`, 0},
		{20, 10, `<html>`, 0}, // which tells nothing
		{21, 10, `<html>`, 1},
	} {
		said := row.first
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) { return 200, said })
		var log bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		for i := range row.answers {
			s.Ask(t.Context(), nil, strconv.Itoa(i%row.distinct), time.Now(), 0)
			said = `{"active":false}`
		}
		assert.Equal(t, row.told, strings.Count(log.String(), "has called every token inactive"), row)
		if row.told == 1 && row.answers > 21 {
			assert.Nil(t, s.doubt.tokens, "of no use any more")
		}
	}
}

// What is remembered of refused tokens takes room by what is known of them, and nothing for those that are made up.
func TestCostOfVerdict_INTRO_21(t *testing.T) {
	assert.Zero(t, notActive.cost())
	assert.Equal(t, 512, (&Verdict{Denied: notActive.Denied}).cost())
	assert.Equal(t, 512+1000, (&Verdict{Size: 1000}).cost())
}

// TestFreePlace_INTRO_22: who finds a place free takes it, however many are counted still that have waited for one.
func TestFreePlace_INTRO_22(t *testing.T) {
	g := newGate()
	g.waitingKnown.Store(maxWaiting)
	g.waitingStrange.Store(maxWaiting)
	for _, known := range []bool{false, true} {
		assert.True(t, g.enter(known))
	}
}
