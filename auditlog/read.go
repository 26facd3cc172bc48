package auditlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// ErrTorn stands in the place of a line that is no record: one that a crash
// has cut off.
var ErrTorn = errors.New("auditlog: a line is cut off")

// Read returns the records of a file, in order. A line that is no record comes
// as an error that wraps [ErrTorn], and reading goes on behind it; any other
// error is the reader's, and the last.
func Read(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		lines := bufio.NewReader(r)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err != nil && err != io.EOF {
				yield(Record{}, err)
				return
			}
			if len(line) == 0 {
				return
			}
			record, torn := parseLine(line, n)
			if !yield(record, torn) || err == io.EOF {
				return
			}
		}
	}
}

func parseLine(line []byte, n int) (Record, error) {
	var record Record
	if !bytes.HasSuffix(line, []byte("\n")) {
		return record, fmt.Errorf("%w: line %d, %d bytes, the last", ErrTorn, n, len(line))
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return Record{}, fmt.Errorf("%w: line %d, %d bytes", ErrTorn, n, len(line))
	}
	return record, nil
}

// maxLine bounds how far back the last whole line is looked for. The longest
// record is well below it.
const maxLine = 256 << 10

// readEnd finds the seq of the last record of a file, and how many bytes follow
// its last whole line.
func readEnd(file *os.File) (seq uint64, torn int, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	size := info.Size()
	end := make([]byte, min(size, maxLine))
	if _, err := file.ReadAt(end, size-int64(len(end))); err != nil && err != io.EOF {
		return 0, 0, err
	}
	whole := bytes.LastIndexByte(end, '\n') + 1
	torn = len(end) - whole
	var last Record
	if json.Unmarshal(end[whole:], &last) == nil {
		seq = last.Seq // nothing but the end of the line is missing
	}
	for lines := end[:whole]; len(lines) > 0 && seq == 0; {
		start := bytes.LastIndexByte(lines[:len(lines)-1], '\n') + 1
		var record Record
		if json.Unmarshal(lines[start:], &record) == nil {
			seq = record.Seq // 0 for a seal: look further
		}
		lines = lines[:start]
	}
	return seq, torn, nil
}
