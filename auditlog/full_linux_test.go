package auditlog_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/auditlog"
)

// fullEnv is set in the process whose files are limited.
const fullEnv = "AUDITLOG_TEST_FULL"

// A disk that is full in the middle of a line is stood in for by a limit on
// the size of files. What was cut off is marked once there is room again, and no
// record that was acknowledged is lost. The limit is of a whole process, so that it
// is set in one of its own.
func TestDiskFull(t *testing.T) {
	if os.Getenv(fullEnv) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		child.Env = append(os.Environ(), fullEnv+"=1")
		output, err := child.CombinedOutput()
		require.NoError(t, err, string(output))
		assert.Contains(t, string(output), "--- PASS: TestDiskFull")
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	file := openFile(t, path, 0)
	record := auditlog.Record{Event: "decision", Decision: "allow"}

	limited := before
	limited.Cur = 1000
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited))
	var acknowledged []uint64
	var err error
	for range 100 {
		if err = file.Write(record, record, record); err != nil {
			break
		}
		seq, _ := file.Written()
		acknowledged = append(acknowledged, seq-2, seq-1, seq)
	}
	again := file.Write(record)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	require.ErrorIs(t, err, syscall.EFBIG)
	require.ErrorIs(t, again, syscall.EFBIG)

	write(t, file, 2)
	records, torn := readFile(t, path)
	assert.Len(t, torn, 1)
	counts, sealed := map[uint64]int{}, 0
	for _, r := range records {
		if r.Event == "sealed" {
			sealed++
			assert.Positive(t, r.TornBytes)
			continue
		}
		counts[r.Seq]++
		assert.Equal(t, 1, counts[r.Seq], "seq %d", r.Seq)
	}
	assert.Equal(t, 1, sealed)
	require.NotEmpty(t, acknowledged)
	for _, seq := range acknowledged {
		assert.Equal(t, 1, counts[seq], "seq %d was acknowledged", seq)
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.Count(string(content), "\n"), len(records)+len(torn))
}

// A reader that fails ends the reading.
func TestReadFails(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	var errs []error
	for _, err := range auditlog.Read(dir) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	assert.NotErrorIs(t, errs[0], auditlog.ErrTorn)
	_, err = auditlog.OpenFile(auditlog.FileOptions{Path: dir.Name()})
	assert.Error(t, err)
}

// A path that leads nowhere any more: each write says so, and goes on when
// there is a place again.
func TestPathLost_AUDIT_07(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "audit.jsonl")
	file := openFile(t, path, 0)
	record := auditlog.Record{Event: "decision", Decision: "allow"}
	require.NoError(t, file.Write(record))

	require.NoError(t, os.Rename(dir, dir+".old"))
	require.NoError(t, os.WriteFile(dir, nil, 0o600)) // a file where the directory was
	require.ErrorIs(t, file.Write(record), syscall.ENOTDIR)
	require.ErrorIs(t, file.Reopen(), syscall.ENOTDIR)

	require.NoError(t, os.Remove(dir))
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, file.Write(record))
	records, torn := readFile(t, path)
	assert.Empty(t, torn)
	require.Len(t, records, 1)
	assert.Greater(t, records[0].Seq, uint64(1), "no number is used twice")
}

// A device without room takes nothing, and nothing is promised.
func TestDeviceFull_AUDIT_07(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	require.NoError(t, os.Symlink("/dev/full", path))
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: path})
	require.NoError(t, err)
	require.ErrorIs(t, file.Write(auditlog.Record{Event: "decision"}), syscall.ENOSPC)
	seq, synced := file.Written()
	assert.Zero(t, seq)
	assert.Zero(t, synced)
	assert.Error(t, file.Close(), "what cannot be synced is said at the end too")
}
