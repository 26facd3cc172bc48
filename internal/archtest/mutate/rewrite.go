package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chosen is put into each package that has mutants. MUTATE names the one that is to be active, and MUTATE_SEEN a file
// to which each that is reached is written, if none is named, or the one.
const chosen = `package %[1]s

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

var zzMutActive, zzMutSeen = zzMutInit()

var zzMutReached [%[3]d]atomic.Bool

func zzMutInit() (int, *os.File) {
	dir, number, one := strings.Cut(os.Getenv("MUTATE"), ":")
	if one && dir != %[2]q {
		return 0, nil
	}
	n, _ := strconv.Atoi(number)
	seen, err := os.OpenFile(os.Getenv("MUTATE_SEEN"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return n, nil
	}
	return n, seen
}

func zzMut(n int) bool {
	if zzMutSeen != nil && (zzMutActive == 0 || zzMutActive == n) {
		zzMutNote(n)
	}
	return zzMutActive == n
}

func zzMutNote(n int) {
	if !zzMutReached[n].Load() && !zzMutReached[n].Swap(true) {
		zzMutSeen.WriteString(%[2]q + ":" + strconv.Itoa(n) + "\n")
	}
}

func ZzMutValue[T any](n int, other, value T) T {
	if zzMut(n) {
		return other
	}
	return value
}
`

// mutate rewrites packages below root, so that one test binary has all mutants of them.
func mutate(root string, dirs []string) ([]*mutant, error) {
	sources, err := load(root, dirs)
	if err != nil {
		return nil, err
	}
	all, order := map[string]*mutator{}, []*mutator(nil)
	for _, s := range sources {
		u := newMutator(s)
		all[s.pkg.Path()], order = u, append(order, u)
		for _, f := range s.files {
			if !slices.Contains(undecided, strings.TrimPrefix(s.dir+"/"+f.name, "./")) {
				u.declared(f)
				u.find(f)
			}
		}
	}
	changed := map[*mutant]bool{}
	for _, u := range order {
		for _, f := range u.files {
			u.used(f, all, changed)
		}
	}
	var mutants []*mutant
	for _, u := range order {
		if err := u.write(); err != nil {
			return nil, err
		}
		for _, m := range u.mutants {
			if !strings.HasPrefix(m.kind, "constant") || changed[m] {
				mutants = append(mutants, m)
			}
		}
	}
	return mutants, nil
}

func (u *mutator) write() error {
	for f, edits := range u.edits {
		if err := os.WriteFile(f.path, apply(f.text, edits), 0o600); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(chosen, u.pkg.Name(), u.dir, len(u.mutants)+1)
	return os.WriteFile(filepath.Join(filepath.Dir(u.files[0].path), "zz_mutants.go"), []byte(text), 0o600)
}

func apply(text []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int {
		switch {
		case a.offset != b.offset:
			return cmp.Compare(a.offset, b.offset)
		case a.begins != b.begins:
			if b.begins {
				return -1
			}
			return 1
		case a.begins:
			return cmp.Or(cmp.Compare(b.width, a.width), cmp.Compare(a.order, b.order))
		}
		return cmp.Or(cmp.Compare(a.width, b.width), cmp.Compare(b.order, a.order))
	})
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, text[at:e.offset]...), e.text...)
		at = e.offset
	}
	return append(out, text[at:]...)
}
