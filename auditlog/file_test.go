package auditlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/auditlog"
)

func openFile(t *testing.T, path string, every time.Duration) *auditlog.File {
	t.Helper()
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: path, SyncEvery: every})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	return file
}

func seqs(records []auditlog.Record) (all []uint64) {
	for _, r := range records {
		if r.Event != "sealed" {
			all = append(all, r.Seq)
		}
	}
	return all
}

func upTo(n uint64) (all []uint64) {
	for i := uint64(1); i <= n; i++ {
		all = append(all, i)
	}
	return all
}

func write(t *testing.T, file *auditlog.File, n int) {
	t.Helper()
	for range n {
		require.NoError(t, file.Write(auditlog.Record{Event: "decision", Decision: "allow"}))
	}
}

func TestFileContinues(t *testing.T) {
	for _, every := range []time.Duration{0, time.Hour, auditlog.NoSync} {
		t.Run(every.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			file := openFile(t, path, every)
			write(t, file, 3)
			seq, synced := file.Written()
			assert.EqualValues(t, 3, seq)
			assert.Equal(t, every == 0, synced == 3)
			require.NoError(t, file.Sync())
			require.NoError(t, file.Close())
			assert.ErrorIs(t, file.Write(auditlog.Record{}), auditlog.ErrClosed)
			assert.ErrorIs(t, file.Sync(), auditlog.ErrClosed)
			assert.ErrorIs(t, file.Reopen(), auditlog.ErrClosed)

			write(t, openFile(t, path, every), 2)
			records, torn := readFile(t, path)
			assert.Empty(t, torn)
			assert.Equal(t, upTo(5), seqs(records))
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "for the owner alone")
		})
	}
}

// However much of the last line a crash has left, it is closed, marked, and
// never the beginning of another; the numbers go on.
func TestTornLine(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	write(t, openFile(t, whole, 0), 3)
	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(content), "\n")
	before := len(lines[0]) + len(lines[1])
	for cut := before; cut <= len(content); cut++ {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		require.NoError(t, os.WriteFile(path, content[:cut], 0o600))
		write(t, openFile(t, path, 0), 2)
		write(t, openFile(t, path, 0), 1)
		records, torn := readFile(t, path)
		left := cut - before
		switch {
		case left == 0:
			assert.Empty(t, torn)
			assert.Equal(t, upTo(5), seqs(records))
		case cut == len(content):
			assert.Empty(t, torn)
			assert.Equal(t, upTo(6), seqs(records))
		case cut == len(content)-1: // only the newline is missing: the record is whole
			assert.Empty(t, torn)
			assert.Equal(t, upTo(6), seqs(records))
		default:
			assert.Len(t, torn, 1, "cut at %d", cut)
			assert.Equal(t, upTo(5), seqs(records))
			assert.Equal(t, "sealed", records[2].Event)
			assert.Equal(t, left, records[2].TornBytes)
		}
	}
	t.Run("read before it is sealed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		require.NoError(t, os.WriteFile(path, content[:len(content)-2], 0o600))
		records, torn := readFile(t, path)
		assert.Len(t, records, 2)
		assert.Len(t, torn, 1)
	})
}

// Whatever a tool that rotates does to the file while eight goroutines write, the pieces
// together have every record.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	file := openFile(t, path, time.Hour)
	var writers sync.WaitGroup
	var written atomic.Int64
	var rotated atomic.Bool // until then there is always one more record, and so a file to rename
	for range 8 {
		writers.Go(func() {
			for n := 0; n < 500 || !rotated.Load(); n++ {
				write(t, file, 1)
				written.Add(1)
			}
		})
	}
	pieces := []string{path}
	for i := range 20 {
		piece := filepath.Join(dir, fmt.Sprintf("audit.%d", i))
		for os.Rename(path, piece) != nil {
			runtime.Gosched() // until the writers have made it anew
		}
		pieces = append(pieces, piece)
		if i%5 == 0 {
			require.NoError(t, file.Reopen())
		}
	}
	rotated.Store(true)
	writers.Wait()
	seen := map[uint64]int{}
	for _, piece := range pieces {
		if _, err := os.Stat(piece); err != nil {
			continue // nothing was written since the last rename
		}
		records, torn := readFile(t, piece)
		assert.Empty(t, torn)
		for _, seq := range seqs(records) {
			seen[seq]++
		}
	}
	assert.Len(t, seen, int(written.Load()))
	for _, seq := range upTo(uint64(written.Load())) {
		assert.Equal(t, 1, seen[seq])
	}
}

// Truncated in place: what follows stands at the beginning, whole, without a hole.
func TestCopyTruncate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	file := openFile(t, path, 0)
	write(t, file, 10)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 0))
	write(t, file, 5)
	records, torn := readFile(t, path)
	assert.Empty(t, torn)
	assert.Equal(t, []uint64{11, 12, 13, 14, 15}, seqs(records))
	assert.Equal(t, 10, strings.Count(string(content), "\n"))
}

// A directory that goes away and comes back is an outage of the sink and not its end.
func TestFileGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "audit.jsonl")
	file := openFile(t, path, 0)
	write(t, file, 1)
	require.NoError(t, os.RemoveAll(dir))
	assert.Error(t, file.Write(auditlog.Record{}))
	assert.Error(t, file.Write(auditlog.Record{}))
	require.NoError(t, os.Mkdir(dir, 0o700))
	write(t, file, 2)
	records, _ := readFile(t, path)
	assert.Equal(t, []uint64{2, 3}, seqs(records))

	_, err := auditlog.OpenFile(auditlog.FileOptions{})
	assert.ErrorContains(t, err, "no path")
	_, err = auditlog.OpenFile(auditlog.FileOptions{Path: filepath.Join(dir, "none", "x")})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestSyncEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := openFile(t, filepath.Join(t.TempDir(), "audit.jsonl"), time.Minute)
		for i := range uint64(3) {
			write(t, file, 2)
			seq, synced := file.Written()
			assert.Equal(t, []uint64{2*i + 2, 2 * i}, []uint64{seq, synced})
			time.Sleep(time.Minute)
			synctest.Wait()
			_, synced = file.Written()
			assert.Equal(t, 2*i+2, synced)
		}
	})
}
