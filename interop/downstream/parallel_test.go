package downstream

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/onbehalf"
)

// TestParallel: a thousand calls of one user, all in the tool before the first asks for a token, are one exchange.
func TestParallel_EXCH_14(t *testing.T) {
	const calls = 1000
	s := newSite(t, nil)
	token := s.signIn("mcp:read")
	var arrived, done sync.WaitGroup
	arrived.Add(calls)
	s.before = func() {
		arrived.Done()
		arrived.Wait()
	}
	s.realm.Events(t)
	s.realm.Record.Take()
	answers := make([]got, calls)
	for i := range calls {
		done.Go(func() { answers[i] = s.post(t.Context(), token, customers) })
	}
	done.Wait()
	for _, answer := range answers {
		require.Equal(t, toolSays("200 the customers of ann-of-exchange", false), answer)
	}
	served := s.api.served()
	assert.Len(t, served, calls)
	for _, exchanged := range served {
		assert.Equal(t, served[0], exchanged, "all have the one token")
	}
	s.realm.Record.Settle()
	posts := 0
	for _, seen := range s.realm.Record.Take() {
		if seen.Params.Get("grant_type") == string(onbehalf.TokenExchange) {
			posts++
		}
	}
	assert.Equal(t, map[string]int{"": 1}, s.exchanges())
	assert.Equal(t, 1, posts)
	t.Logf("%d calls, %d served by the API: %d exchange", calls, len(served), posts)
}
