package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// While the sink hangs, one caller or all strangers together fill what they may fill of the
// queue. Somebody else's records still find room, so that with FailClosed it is served.
func TestFloodedQueue_AUDIT_07_LIMITS_13(t *testing.T) {
	for _, row := range []struct {
		name     string
		failures int // of 1,000 requests of the flood: those that are refused for want of a record
		flood    func(s *server) []string
		status   int // of the flood's requests while there is room
	}{
		{"LIMITS-13 u2 with one token", 599, func(s *server) []string {
			return []string{s.token(mcpauthtest.Claims{"sub": "user-2"})}
		}, http.StatusOK},
		{"LIMITS-13 u2 with many tokens and clients", 599, func(s *server) (tokens []string) {
			for i := range 10 {
				tokens = append(tokens, s.token(mcpauthtest.Claims{"sub": "user-2", "jti": fmt.Sprint(i), "client_id": fmt.Sprint("client-", i)}))
			}
			return tokens
		}, http.StatusOK},
		{"LIMITS-13 strangers without a token, and with bad ones", 0, func(s *server) []string {
			return []string{"", "x", s.token(mcpauthtest.Claims{"sub": "user-1", "exp": 1}), s.token(mcpauthtest.Claims{"aud": "https://other.example.com"})}
		}, http.StatusUnauthorized},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang := make(chan struct{})
				sink := &memory{before: func() error { <-hang; return nil }}
				queue := auditlog.NewQueue(sink, 400)
				s := newServer(t, queue, auditlog.Options{FailClosed: true})
				tokens := row.flood(s)
				failures := 0
				for i := range 1000 {
					switch s.call(tokens[i%len(tokens)], "echo") {
					case http.StatusServiceUnavailable:
						failures++
					case row.status:
					default:
						t.Fatal("another status")
					}
					synctest.Wait()
				}
				assert.Equal(t, row.failures, failures)
				assert.Equal(t, 401, queue.Pending(), "400, and one that is with the sink")
				assert.EqualValues(t, 599, queue.Refused())
				s.ran = 0
				u1, u3 := s.token(nil), s.token(mcpauthtest.Claims{"sub": "user-3"})
				for range 20 {
					assert.Equal(t, http.StatusOK, s.call(u1, "echo"))
					assert.Equal(t, http.StatusForbidden, s.call(u1, "admin_x"))
					assert.Equal(t, http.StatusOK, s.call(u3, "echo"))
				}
				assert.Equal(t, 40, s.ran)
				close(hang)
				require.NoError(t, queue.Close(t.Context()))
				kept := map[string]int{}
				for _, r := range sink.all() {
					kept[r.Subject]++
				}
				assert.Equal(t, 40, kept["user-1"])
				assert.Equal(t, 20, kept["user-3"])
				assert.Len(t, sink.all(), 401+60)
			})
		})
	}
}

// Twenty callers flood, and there is room for one more; what was accepted keeps its order.
func TestQueueShares_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		sink := &memory{before: func() error { <-hang; return nil }}
		queue := auditlog.NewQueue(sink, 100)
		require.NoError(t, queue.Write(auditlog.Record{ID: "first", Issuer: "https://as.example.com", Subject: "first"}))
		synctest.Wait()
		accepted := []string{"first"}
		write := func(caller string, n int) (kept int) {
			for i := range n {
				id := fmt.Sprint(caller, "-", i)
				switch err := queue.Write(auditlog.Record{ID: id, Issuer: "https://as.example.com", Subject: caller}); {
				case err == nil:
					accepted = append(accepted, id)
					kept++
				default:
					require.ErrorIs(t, err, auditlog.ErrFull)
				}
			}
			return kept
		}
		assert.Equal(t, 100, write("a", 1000), "alone, a caller has the size of the queue")
		assert.Equal(t, 12, write("b", 1000))
		assert.Equal(t, 10, write("c", 1000))
		for i := range 20 {
			assert.Positive(t, write(fmt.Sprint("d", i), 1000), i)
		}
		assert.Zero(t, write("a", 10), "who has most gets no more")
		// Of several records at once those are refused whose caller has its share.
		err := queue.Write(auditlog.Record{ID: "no", Issuer: "https://as.example.com", Subject: "a"},
			auditlog.Record{ID: "yes", Issuer: "https://as.example.com", Subject: "e"})
		require.ErrorIs(t, err, auditlog.ErrFull)
		accepted = append(accepted, "yes")
		for range 2 { // batches
			hang <- struct{}{}
		}
		synctest.Wait()
		require.Zero(t, queue.Pending())
		require.NoError(t, queue.Write(auditlog.Record{ID: "second"}))
		accepted = append(accepted, "second")
		synctest.Wait()
		assert.Equal(t, 100, write("a", 1000), "what was written is nobody's any more")
		assert.Equal(t, 12, write("b", 1000))
		close(hang)
		require.NoError(t, queue.Close(t.Context()))
		var got []string
		for _, r := range sink.all() {
			got = append(got, r.ID)
		}
		assert.Equal(t, accepted, got)
	})
}

// The same name at another issuer, or of a client, is somebody else.
func TestQueueOwners_LIMITS_13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{before: func() error { return errors.New("down") }}
		queue := auditlog.NewQueue(sink, 10)
		flood := auditlog.Record{Issuer: "https://as.example.com", Subject: "u"}
		for range 100 {
			_ = queue.Write(flood)
			synctest.Wait()
		}
		require.ErrorIs(t, queue.Write(flood), auditlog.ErrFull)
		for _, other := range []auditlog.Record{
			{Issuer: "https://other.example.com", Subject: "u"}, {Issuer: "https://as.example.com", Subject: "u", Machine: true},
			{Issuer: "https://as.example.com", Subject: "v"}, {UnverifiedIssuer: "https://as.example.com"},
		} {
			assert.NoError(t, queue.Write(other))
		}
		flood.ClientID = "another client"
		require.ErrorIs(t, queue.Write(flood), auditlog.ErrFull)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = queue.Close(ctx)
	})
}

// Whoever is refused again and again makes room among its own refusals: somebody else's step up shows.
func TestElevationQuota_LIMITS_13(t *testing.T) {
	sink := &memory{}
	s := newServer(t, sink, auditlog.Options{})
	u1 := s.token(nil)
	require.Equal(t, http.StatusForbidden, s.call(u1, "admin_x"))
	refusal := sink.last(t).ID
	flooder := s.token(mcpauthtest.Claims{"sub": "user-2", "scope": nil})
	for i := range 5_000 {
		s.call(flooder, fmt.Sprint("admin_", i))
	}
	require.Equal(t, http.StatusOK, s.call(s.token(mcpauthtest.Claims{"scope": "mcp:read mcp:admin"}), "admin_x"))
	assert.Equal(t, "scope_elevated", sink.last(t).Event)
	assert.Equal(t, refusal, sink.last(t).ElevatedFrom)
	all := s.token(mcpauthtest.Claims{"sub": "user-2", "scope": "mcp:read mcp:admin"})
	require.Equal(t, http.StatusOK, s.call(all, "admin_4999"))
	assert.Equal(t, "scope_elevated", sink.last(t).Event)
	require.Equal(t, http.StatusOK, s.call(all, "admin_0"))
	assert.Equal(t, "decision", sink.last(t).Event, "forgotten")
}
