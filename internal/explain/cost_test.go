package explain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/explain"
)

// A stranger's token is explained before anything of it is verified: what it may cost
// has a bound, however many audiences stand in it and however long a name is.
func TestCostOfStrangers(t *testing.T) {
	few := slices.Repeat([]string{"https://a.example.com/x"}, 8)
	many := slices.Repeat([]string{"https://a.example.com/x"}, 3000)
	cost := func(aud []string) float64 {
		return testing.AllocsPerRun(10, func() { explain.Audience(aud, resource, "", "https://as.example.com", nil) })
	}
	assert.Less(t, cost(many), 4*cost(few))
	assert.Contains(t, explain.Audience(many, resource, "", "", nil).Detail, "and 2995 more")

	long := "https://a.example.com/" + strings.Repeat("%41", 3600)
	assert.Equal(t, "issuer-unknown", explain.Issuer(long, []string{"https://a.example.com/t"}).Cause)
	assert.Equal(t, "issuer-path", explain.Issuer(long[:22+3*600], []string{"https://a.example.com/t"}).Cause)

	rules := make([]string, 1000)
	for i := range rules {
		rules[i] = fmt.Sprintf("tool_%d", i)
	}
	perRule := testing.AllocsPerRun(10, func() { explain.Rule("resource", strings.Repeat("A_", 4<<10), rules) }) / float64(len(rules))
	assert.Less(t, perRule, 4.0)
	assert.Equal(t, `tool "tool7" has no rule, "tool_7" has`, explain.Rule("tool", "tool7", rules).Detail)
}
