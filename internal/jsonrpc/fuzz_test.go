package jsonrpc

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
)

// FuzzParse is MCP-13: no body is accepted that another reader reads
// differently.
func FuzzParse(f *testing.F) {
	for _, b := range corpus.Bodies {
		if len(b.Body) < 2000 {
			f.Add([]byte(b.Body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { agree(t, body) })
}

// TestFuzzCorpus fails when the fuzz target has lost its committed corpus.
func TestFuzzCorpus(t *testing.T) {
	seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", "FuzzParse", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, seeds)
}
