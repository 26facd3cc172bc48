package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCounts_TEST_06(t *testing.T) {
	path := filepath.Join(t.TempDir(), counterFile)
	day, next := row{"2026-11-30", "abc", "FuzzExecuted"}, row{"2026-12-01", "abc", "FuzzDifferential"}
	require.NoError(t, count(path, next, 5))
	require.NoError(t, count(path, day, 1))
	require.NoError(t, count(path, day, 2))
	c, err := readCounts(path)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, header+"\n2026-11-30\tabc\tFuzzExecuted\t3\n2026-12-01\tabc\tFuzzDifferential\t5\n", string(text))
	assert.Equal(t, "FuzzDifferential                5 runs\nFuzzExecuted                    3 runs\nall                             8 runs\n", c.String())
}

// A file that is damaged is told, and never begun anew.
func TestDamagedCounts_TEST_06(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "another header": "date\truns\n", "a field too few": header + "\n2026-11-30\tabc\t3\n",
		"no number": header + "\n2026-11-30\tabc\tFuzzExecuted\tmany\n", "a negative one": header + "\n2026-11-30\tabc\tFuzzExecuted\t-1\n",
	} {
		t.Run("TEST-06 "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), counterFile)
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := readCounts(path)
			assert.Error(t, err)
		})
	}
}

// The file in the tree can be gone on with.
func TestCounterFile_TEST_06(t *testing.T) {
	_, err := readCounts(filepath.Join("..", counterFile))
	assert.NoError(t, err)
}

func TestExecs_TEST_06(t *testing.T) {
	for line, want := range map[string]int64{
		"fuzz: elapsed: 9s, execs: 60000 (8822/sec), new interesting: 51 (total: 443)": 60000,
		"fuzz: elapsed: 1m9s, execs: 7 (0/sec), new interesting: 0 (total: 1)":         7,
		"fuzz: elapsed: 0s, gathering baseline coverage: 0/392 completed":              0,
		"PASS":                               0,
		"--- FAIL: FuzzExecuted, execs: 5 (": 0,
	} {
		assert.Equal(t, want, execs(line), line)
	}
}

func TestInstrumented_TEST_06(t *testing.T) {
	for path, want := range map[string]bool{
		"github.com/seed-1e292522/mcpauth":                  true,
		"github.com/seed-1e292522/mcpauth/internal/jsonrpc": true,
		"github.com/seed-1e292522/mcpauth/interop/differential [github.com/seed-1e292522/mcpauth/interop/differential.test]": true,
		"github.com/mark3labs/mcp-go/server": true, "github.com/seed-1e292522/mcpauthentic": false, "encoding/json": false, "net/http": false, "": false,
	} {
		assert.Equal(t, want, isInstrumented(path), path)
	}
}
