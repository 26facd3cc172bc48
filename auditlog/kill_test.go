package auditlog_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/auditlog"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

const (
	killVariable = "MCPAUTH_AUDIT_FILE"
	killRequests = 100_000
)

// TestKilledChild serves requests until it is killed. It runs in a process of
// its own, which [TestKilled_AUDIT_01] starts.
func TestKilledChild(t *testing.T) {
	path := os.Getenv(killVariable)
	if path == "" {
		t.Skip("the other half of TestKilled_AUDIT_01")
	}
	file := openFile(t, path, 10*time.Millisecond)
	queue := auditlog.NewQueue(file, 1<<14)
	s := newServer(t, queue, auditlog.Options{FailClosed: true})
	token, other := s.token(nil), s.token(mcpauthtest.Claims{"aud": "x"})
	for i := range killRequests {
		switch i % 20 {
		case 0:
			s.call(token, "echo") // refused, should the queue be full
		case 1:
			s.call(other, "echo")
		default:
			s.call("", "echo")
		}
		if i%100 == 0 {
			_, synced := file.Written()
			fmt.Println("synced", i, synced)
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // lives until it is killed, however late that comes
}

// A process that is killed while it serves 100,000 requests: every record that
// was promised before is there, the file is whole but for its last line, and
// the next process goes on behind it.
func TestKilled_AUDIT_01(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
	child.Env = append(os.Environ(), killVariable+"="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	_, err = child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	promised := uint64(0)
	served := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var n int
		var synced uint64
		if _, err := fmt.Sscanf(lines.Text(), "synced %d %d", &n, &synced); err != nil {
			continue
		}
		served, promised = n, max(promised, synced)
		if n == killRequests/2 {
			require.NoError(t, child.Process.Kill())
		}
	}
	assert.Error(t, child.Wait())
	require.GreaterOrEqual(t, served, killRequests/2)
	require.Positive(t, promised)

	records, torn := readFile(t, path)
	assert.LessOrEqual(t, len(torn), 1)
	require.GreaterOrEqual(t, uint64(len(records)), promised, "records lost that were promised")
	for i, r := range records {
		require.EqualValues(t, i+1, r.Seq, "a gap")
	}
	t.Logf("killed after %d requests: promised %d, found %d, torn lines %d", served, promised, len(records), len(torn))

	write(t, openFile(t, path, 0), 1)
	again, _ := readFile(t, path)
	assert.EqualValues(t, len(records)+1, again[len(again)-1].Seq)
}
