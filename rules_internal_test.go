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

// Of several rules all are met: an entry is shown, and a call answered in band, where each says so.
func TestMergedAnswers_MCP_51_MCP_52(t *testing.T) {
	set := ruleSet{needs: []Requirement{Authenticated(), {anyToken: true, Visible: true, InBand: true}, {AllOf: []string{"a"}, Visible: true, InBand: true}}}
	for _, row := range []struct {
		rules []int
		want  Requirement
	}{
		{[]int{0}, set.needs[0]},
		{[]int{2}, set.needs[2]},
		{[]int{0, 0}, Requirement{anyToken: true}},
		{[]int{0, 1}, Requirement{anyToken: true}},
		{[]int{1, 0}, Requirement{anyToken: true}},
		{[]int{1, 0, 1}, Requirement{anyToken: true}},
		{[]int{1, 1}, Requirement{anyToken: true, Visible: true, InBand: true}},
		{[]int{1, 2, 1}, Requirement{AllOf: []string{"a"}, Visible: true, InBand: true}},
		{[]int{2, 2}, Requirement{AllOf: []string{"a", "a"}, Visible: true, InBand: true}}, // emptied by code, it denies as one rule does
	} {
		assert.Equal(t, row.want, set.merged(row.rules), "%v", row.rules)
	}
}
