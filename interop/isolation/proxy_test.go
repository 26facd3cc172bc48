package isolation

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProxyIsTheExample: the proxy of these tests lets the same header fields
// through as examples/proxy, whose code is a program.
func TestProxyIsTheExample_ISOL_11(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "examples", "proxy", "proxy.go"))
	require.NoError(t, err)
	var fields []string
	for _, match := range regexp.MustCompile(`(?m)^\t"([A-Za-z-]+)": +true,$`).FindAllSubmatch(source, -1) {
		fields = append(fields, string(match[1]))
	}
	slices.Sort(fields)
	assert.Equal(t, fields, slices.Sorted(maps.Keys(passedOn)))
}
