package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// row is what runs are counted by.
type row struct{ date, commit, target string }

// counts are all runs that were written down.
type counts map[row]int64

// header is the first line of the file.
const header = "date\tcommit\ttarget\truns"

// readCounts reads the file. One that is not there has none; one that cannot be read is no reason to begin anew.
func readCounts(path string) (counts, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return counts{}, nil
	}
	if err != nil {
		return nil, err
	}
	c := counts{}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if lines[0] != header {
		return nil, fmt.Errorf("%s: the first line is not %q", path, header)
	}
	for i, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s: line %d has %d fields, want 4", path, i+2, len(fields))
		}
		runs, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil || runs < 0 {
			return nil, fmt.Errorf("%s: line %d: no number of runs: %q", path, i+2, fields[3])
		}
		c.add(row{fields[0], fields[1], fields[2]}, runs)
	}
	return c, nil
}

// count adds runs to the file, which another run of this command may have written to meanwhile.
func count(path string, to row, runs int64) error {
	c, err := readCounts(path)
	if err != nil {
		return err
	}
	c.add(to, runs)
	return c.write(path)
}

func (c counts) add(to row, runs int64) { c[to] += runs }

// write replaces the file in one step: nothing is lost of what it held.
func (c counts) write(path string) error {
	var text bytes.Buffer
	fmt.Fprintln(&text, header)
	for _, r := range c.rows() {
		fmt.Fprintf(&text, "%s\t%s\t%s\t%d\n", r.date, r.commit, r.target, c[r])
	}
	if err := os.WriteFile(path+".new", text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (c counts) rows() []row {
	return slices.SortedFunc(maps.Keys(c), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.commit, b.commit), cmp.Compare(a.target, b.target))
	})
}

// String is the sum, by target and of all.
func (c counts) String() string {
	sums, total := map[string]int64{}, int64(0)
	for r, runs := range c {
		sums[r.target] += runs
		total += runs
	}
	var text strings.Builder
	for _, target := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&text, "%-18s %14d runs\n", target, sums[target])
	}
	fmt.Fprintf(&text, "%-18s %14d runs\n", "all", total)
	return text.String()
}
