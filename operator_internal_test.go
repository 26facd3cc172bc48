package mcpauth

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
