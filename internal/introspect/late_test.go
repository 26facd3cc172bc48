package introspect

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/seed-1e292522/mcpauth/clientauth"
)

func TestLateX(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		s := server(clientauth.SecretPost("c", "s"), func(*http.Request) (int, string) {
			if n.Add(1) == 1 {
				time.Sleep(2500 * time.Millisecond)
				return 200, `{"active":true}`
			}
			return 200, `{"active":false}`
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, v := s.Ask(t.Context(), "opaque", time.Time{}, false)
			assert.NotNil(t, v.Denied, "late good answer overrides a newer bad one")
		})
		synctest.Wait()
		time.Sleep(time.Second)
		_, v := s.Ask(t.Context(), "opaque", time.Now(), false)
		assert.NotNil(t, v.Denied)
		wg.Wait()
	})
}

func TestBreakerInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(clientauth.SecretPost("c", "s"), func(r *http.Request) (int, string) {
			_ = r.ParseForm()
			if r.PostForm.Get("token") == "slow" {
				time.Sleep(2500 * time.Millisecond)
				return 400, `{}`
			}
			return 500, ""
		})
		go s.Ask(t.Context(), "slow", time.Time{}, false)
		synctest.Wait()
		for _, x := range []string{"a", "b", "c", "d", "e"} {
			s.Ask(t.Context(), x, time.Time{}, false)
		}
		_, open := s.breakers[0].open(time.Now())
		assert.False(t, open)
		time.Sleep(3 * time.Second)
		_, open = s.breakers[0].open(time.Now())
		assert.False(t, open, "in-flight trouble ended the rest")
	})
}

// One holder of a token that breaks the server.
func TestOneKnownBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server(clientauth.SecretPost("c", "s"), func(r *http.Request) (int, string) {
			_ = r.ParseForm()
			if r.PostForm.Get("token") == "mallory" {
				return 500, ``
			}
			return 200, `{"active":true}`
		})
		for range 6 {
			s.Ask(t.Context(), "mallory", time.Time{}, true)
		}
		_, v := s.Ask(t.Context(), "alice", time.Time{}, true)
		assert.Nil(t, v.Denied)
	})
}
