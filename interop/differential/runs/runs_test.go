package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

func TestRunsSoFar_TEST_06(t *testing.T) {
	for line, want := range map[string]int64{
		"fuzz: elapsed: 9s, execs: 60000 (8822/sec), new interesting: 51 (total: 443)": 60000,
		"fuzz: elapsed: 1m9s, execs: 7 (0/sec), new interesting: 0 (total: 1)":         7,
		"fuzz: elapsed: 0s, gathering baseline coverage: 0/392 completed":              0,
		"    generated_test.go:57: generated 20000: 20004 requests, 3 let through":     20000,
		"        \tError: body 7: \"    generated_test.go:57: generated 9: \"":         0,
		"PASS":                               0,
		"--- FAIL: FuzzExecuted, execs: 5 (": 0,
	} {
		assert.Equal(t, want, runsSoFar(line), line)
	}
}

func TestPlan_TEST_06(t *testing.T) {
	for _, tt := range []struct {
		name       string
		runs, more int64
		only       string
		want       map[string]int64
	}{
		{"TEST-06 nothing", 0, -1, "", map[string]int64{}},
		{"TEST-06 both kinds", 5, -1, "", map[string]int64{"FuzzDifferential": 5, "FuzzExecuted": 5, "GeneratedReaders": 50, "GeneratedServers": 50}},
		{"TEST-06 generated alone", 0, 7, "", map[string]int64{"GeneratedReaders": 7, "GeneratedServers": 7}},
		{"TEST-06 guided alone", 7, 0, "", map[string]int64{"FuzzDifferential": 7, "FuzzExecuted": 7}},
		{"TEST-06 one target", 5, 6, "GeneratedServers", map[string]int64{"GeneratedServers": 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, plan(tt.runs, tt.more, tt.only))
		})
	}
}

// What a generated target has done is counted, also where it fails or is interrupted, with a seed of its own for each leg.
func TestGeneratedLegs_TEST_06(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         int64
		fails        bool
	}{
		{"TEST-06 done", `echo "    generated_test.go:57: generated $n: all"`, 2 * leg, false},
		{"TEST-06 failed", `echo "    generated_test.go:57: generated 20000: some"; exit 1`, 20000, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			const arguments = `case "$*" in *-test.run=^TestGeneratedReaders_*) ;; *) exit 3;; esac; for a; do case "$a" in -generate=*) n=${a#*=};; -seed=*) echo "$a" >>seeds;; esac; done; `
			require.NoError(t, os.WriteFile(filepath.Join(dir, "generated"), []byte("#!/bin/sh\n"+arguments+tt.script+"\n"), 0o700))
			r := &runner{dir: dir, binaries: dir, commit: "abc"}
			path := filepath.Join(dir, counterFile)
			err := r.add(t.Context(), map[string]int64{"GeneratedReaders": 2 * leg}, path)
			assert.Equal(t, tt.fails, err != nil, "%v", err)
			c, err := readCounts(path)
			require.NoError(t, err)
			assert.Contains(t, c.String(), fmt.Sprintf("all                %14d runs\n", tt.want))
			for r := range c {
				assert.Equal(t, "abc GeneratedReaders", r.commit+" "+r.target)
			}
			seeds, err := os.ReadFile(filepath.Join(dir, "seeds"))
			require.NoError(t, err)
			if lines := strings.Fields(string(seeds)); !tt.fails {
				require.Len(t, lines, 2)
				assert.NotEqual(t, lines[0], lines[1])
			}
		})
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
