package mcpauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// TestLoopsAreBounded_OBS_10: of one principal 64 loops are remembered, and of all what fits.
func TestLoopsAreBounded_OBS_10(t *testing.T) {
	for _, row := range []struct {
		name          string
		owner         func(n int) string
		fits, tooMuch int
	}{
		{name: "of one", owner: func(int) string { return "one" }, fits: 64, tooMuch: 65},
		{name: "of all", owner: func(n int) string { return fmt.Sprint(n) }, fits: 120, tooMuch: 130},
	} {
		told := func(loops int) (told []bool) {
			l, now := newLoops(), time.Now()
			note := func(n, token int) bool {
				return l.note(row.owner(n), fmt.Append(nil, "loop", n), fmt.Sprint(token), now) > 0
			}
			for n := range loops {
				for token := range loopTokens - 1 {
					assert.False(t, note(n, token))
				}
			}
			for n := range loops {
				told = append(told, note(n, loopTokens))
			}
			return told
		}
		assert.NotContains(t, told(row.fits), false, row.name)
		assert.Contains(t, told(row.tooMuch), false, row.name)
	}
}

// TestNobodyIsTold_TOK_10: a Middleware that New has not made refuses for as long as it is asked, and tells nobody.
func TestNobodyIsTold_TOK_10(t *testing.T) {
	m := new(Middleware)
	m.operator.unasked.challenges, m.operator.unasked.since = unaskedChallenges, time.Now().Add(-unaskedFor)
	r := httptest.NewRequest(http.MethodPost, "/mcp", http.NoBody)
	r.Header.Set("Accept", "application/json, text/event-stream")
	denied := refusal.New(refusal.NoCredentials, "", "", "")
	assert.Same(t, denied, m.operator.record(r, m.begin(newGeneration(&m.operator), r), denied))
}

// What cannot be compared is not the same as what can, and nothing panics.
func TestIsSame(t *testing.T) {
	type odd struct {
		_ [0]struct{ _ func() }
		X any
	}
	assert.False(t, isSame(odd{X: []int{}}, odd{X: 1}))
	assert.False(t, isSame(odd{X: 1}, odd{X: []int{}}))
	assert.False(t, isSame(odd{X: 1}, odd{X: 1}), "nobody can tell")
	type even struct{ X any }
	assert.True(t, isSame(even{X: 1}, even{X: 1}))
	assert.False(t, isSame(even{X: 1}, even{X: []int{}}))
	assert.False(t, isSame(even{X: []int{}}, even{X: 1}))
}
