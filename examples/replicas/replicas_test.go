package main

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/configfile"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const told = `1. Ada begins a report. The proxy sends each request to the next replica.
  ada   tasks/get at both: 200 task working
  bob   tasks/get at both: 200 task not found
2. The file changes while calls run: reports need reports:admin now.
  calls went on until the new rule was in force at both, and none had another answer than yes or no
  ada   tasks/get at both: 403 insufficient scope
  ada   tasks/get at both: 200 task working
3. Redis is killed: nobody knows whose the task is, nor who is revoked.
  ada   tasks/get at both: 503 authorization temporarily unavailable
   Redis is back, and no server was restarted.
  ada   tasks/get at both: 200 task working
4. One replica is told that Ada's tokens of before are good no more.
  ada   tools/call at both: 401 token revoked
  bob   tools/call at both: 200 bob
`

// TestStory: the command tells what its output says here.
func TestStory_STORE_04_STORE_07_STORE_09_RELOAD_10(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("MCPAUTH_INTEROP") == "required" {
			t.Fatal("redis-server is not installed: apt-get install redis-server")
		}
		t.Skip("redis-server is not installed")
	}
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), &out, slog.New(slog.NewTextHandler(&log, nil))), "%s\n%s", &out, &log)
	assert.Equal(t, told, out.String())
}

// TestCoverage_RELOAD_12: each tool of the server has a rule, and each rule a tool.
func TestCoverage_RELOAD_12(t *testing.T) {
	l, err := newLogin()
	require.NoError(t, err)
	s := &story{login: l, file: t.TempDir() + "/mcpauth.json"}
	require.NoError(t, s.rules("reports:read"))
	auth, err := configfile.New(s.file, nil)
	require.NoError(t, err)
	coverage := mcpauthtest.CoversHandler(t, auth, server.NewStreamableHTTPServer(newServer(t.Context())))
	assert.NotEmpty(t, coverage.Entries)
}
