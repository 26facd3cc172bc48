package auditlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FileOptions say where records are kept and how safely.
type FileOptions struct {
	_ [0]func() // keyed literals only

	// Path of the file. It is created with rights for its owner only, and
	// its directory must exist. One process writes to it.
	Path string

	// SyncEvery is the fsync policy. 0: Write returns when its records are on the
	// disk; behind a [Queue] that is one fsync per batch. Above 0: they are on
	// the disk at most so much later, in the file at once; a killed process loses nothing, a
	// power cut what is younger. [NoSync]: when the system thinks fit.
	SyncEvery time.Duration
}

// NoSync leaves it to the operating system when records reach the disk.
const NoSync time.Duration = -1

// File appends records to a file, one JSON object per line. It never changes
// what stands there. A file that is renamed or removed by a tool that rotates
// logs is opened anew at its path before the next record, and one that is
// truncated in place is continued at its new end; what such a tool throws away
// between its copy and the truncation only the gap in seq can tell.
type File struct {
	options FileOptions

	mu     sync.Mutex
	file   *os.File
	seq    uint64 // of the last record written
	synced uint64 // of the last record known to be on the disk
	torn   int    // bytes at the end of the file that are no whole line
	timer  *time.Timer
	failed error // of an fsync that nobody waited for
	closed bool
}

// OpenFile opens the file or creates it. If its last line was cut off by a
// crash, the line is closed and a record "sealed" follows, so that nothing
// that is appended can be taken for its continuation.
func OpenFile(options FileOptions) (*File, error) {
	if options.Path == "" {
		return nil, errors.New("auditlog: no path")
	}
	f := &File{options: options}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.open(); err != nil {
		return nil, err
	}
	f.synced = f.seq
	return f, nil
}

// open must be called with mu held.
func (f *File) open() error {
	file, err := os.OpenFile(f.options.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	seq, torn, err := readEnd(file)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.torn = file, torn
	f.seq = max(f.seq, seq)
	if f.torn > 0 {
		if err := f.append(); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if f.options.SyncEvery >= 0 {
		return syncDirectory(filepath.Dir(f.options.Path))
	}
	return nil
}

// syncDirectory makes the name of a new file durable. Systems that cannot do
// so say that the operation is invalid or not permitted.
func syncDirectory(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = dir.Sync()
	return dir.Close()
}

// Write appends the records in one piece. An error means that some of them
// may not be there; they can be written again.
func (f *File) Write(records ...Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if err := f.follow(); err != nil {
		return err
	}
	if err := f.append(records...); err != nil {
		return err
	}
	switch {
	case f.options.SyncEvery == 0:
		return f.sync()
	case f.options.SyncEvery > 0 && f.timer == nil:
		f.timer = time.AfterFunc(f.options.SyncEvery, f.syncLater)
	}
	err := f.failed
	f.failed = nil
	return err
}

// follow opens the file anew if its path leads to another, or to none.
func (f *File) follow() error {
	there, err := os.Stat(f.options.Path)
	if err == nil {
		ours, err := f.file.Stat()
		if err != nil {
			return err
		}
		if os.SameFile(there, ours) {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.reopen()
}

// Reopen opens the file anew at its path, after what was written to the old
// one is on the disk. It is not needed after a rename: Write notices that itself.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return f.reopen()
}

func (f *File) reopen() error {
	old := f.file
	if err := f.sync(); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		f.file = old // go on where it worked
		return err
	}
	return old.Close()
}

// append writes the lines with one system call: a line is whole, or the last
// thing that this process wrote.
func (f *File) append(records ...Record) error {
	var lines bytes.Buffer
	if f.torn > 0 {
		lines.WriteByte('\n')
		f.line(&lines, Record{Time: time.Now().UTC(), Event: "sealed", TornBytes: f.torn})
	}
	seq := f.seq
	for _, record := range records {
		seq++
		record.Seq = seq
		f.line(&lines, record)
	}
	n, err := f.file.Write(lines.Bytes())
	if err != nil {
		written := lines.Bytes()[:n]
		f.seq += uint64(bytes.Count(written, []byte("\n"))) // too many after a seal: a gap, never a number twice
		if n > 0 {
			f.torn = n - 1 - bytes.LastIndexByte(written, '\n')
		}
		return fmt.Errorf("auditlog: %w", err)
	}
	f.seq, f.torn = seq, 0
	return nil
}

func (f *File) line(into *bytes.Buffer, record Record) {
	line, _ := json.Marshal(record) // strings and numbers
	into.Write(line)
	into.WriteByte('\n')
}

// Sync returns when everything that was written is on the disk.
func (f *File) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return f.sync()
}

func (f *File) sync() error {
	if f.options.SyncEvery < 0 {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("auditlog: %w", err)
	}
	f.synced = f.seq
	return nil
}

func (f *File) syncLater() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	if !f.closed {
		f.failed = f.sync()
	}
}

// Written returns the seq of the last record that is in the file, and that of
// the last one that is known to be on the disk.
func (f *File) Written() (seq, synced uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq, f.synced
}

// Close brings everything to the disk and closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	err := f.sync()
	f.closed = true
	return errors.Join(err, f.file.Close())
}
