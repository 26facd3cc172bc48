package mcpauth

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What denies goes on to deny beside what does not.
func TestMergedRequirements_MCP_51_MCP_52(t *testing.T) {
	set := ruleSet{needs: []Requirement{Scopes("a"), {}, Scopes("b")}}
	assert.Equal(t, "nobody", set.merged([]int{0, 1}).String())
	assert.Equal(t, "nobody", set.merged(nil).String())
	assert.Equal(t, "a and b", set.merged([]int{0, 2}).String())
}
