package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module writes a module of one package.
func module(t *testing.T, code, tests string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.25\n", "p/p.go": code, "p/p_test.go": tests} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	return root
}

const everything = `package p

import (
	"errors"
	"time"
)

const (
	most  = 4
	pause = 2 * time.Second
	name  = "n"
)

var errRefused = errors.New("refused")

type held struct{ n int }

func (h *held) add(n int, ok bool) (int, error) {
	if n > most && ok {
		return n, errRefused
	}
	if h == nil {
		return 0, errRefused
	}
	h.n += n
	return h.n, nil
}

func wait(d time.Duration) bool { return d == pause || d < 0 }

func each(f func(string)) {
	for i := range most {
		if i == 1 {
			continue
		}
		f(name)
	}
	var table [most]int
	_ = table
}
`

// The kinds, each where it belongs, and nothing that does not compile.
func TestKinds_TEST_10(t *testing.T) {
	root := module(t, everything, "package p\n")
	mutants, err := mutate(root, []string{"p"})
	require.NoError(t, err)
	var got []string
	for _, m := range mutants {
		got = append(got, strings.TrimPrefix(strings.ReplaceAll(m.key(), "\t", " | "), "p | "))
	}
	slices.Sort(got)
	assert.Equal(t, []string{
		"each | false | i == 1",
		"each | negate | i == 1",
		"each | remove | continue",
		"each | remove | f(name)",
		"held.add | bound >= | n > most",
		"held.add | false | h == nil",
		"held.add | false | n > most && ok",
		"held.add | negate | h == nil",
		"held.add | negate | n > most && ok",
		"held.add | no refusal | return 0, errRefused",
		"held.add | no refusal | return n, errRefused",
		"held.add | no refusal | return n, errRefused #2",
		"held.add | operand true | n > most",
		"held.add | operand true | ok",
		"held.add | remove | h.n += n",
		"held.add | return zero | return h.n, nil",
		"most | constant + 1 | 4",
		"most | constant halved | 4",
		"most | constant zero | 4",
		"name | constant changed | \"n\"",
		"name | constant empty | \"n\"",
		"pause | constant doubled | 2000000000",
		"pause | constant halved | 2000000000",
		"pause | constant zero | 2000000000",
		"wait | bound <= | d < 0",
		"wait | negate | d == pause || d < 0",
		"wait | operand false | d < 0",
		"wait | operand false | d == pause",
		"wait | return zero | return d == pause || d < 0",
	}, got)
	build := exec.Command("go", "vet", "./...")
	build.Dir = root
	out, err := build.CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

const judged = `package p

func dies(n int) bool { return n > 3 }

func lives(n int) int {
	if n < 0 {
		n = 0
	}
	return n
}

func hangs(n int) (sum int) {
	for n > 0 {
		n--
		sum++
	}
	return
}

func unasked() int { return 1 }

func counts(n *int) bool { return next(n) > 1 }

func next(n *int) int { *n++; return *n }

func flees(exit func(int)) int {
	exit(0)
	return 7
}
`

// exits ends the process as no test that fails does.
const judges = `package p

import (
	"os"
	"testing"
)

func TestDies(t *testing.T) {
	if dies(3) || !dies(4) {
		t.Error()
	}
}

func TestCounts(t *testing.T) {
	n := 0
	if counts(&n) || n != 1 || !counts(&n) || n != 2 {
		t.Error(n)
	}
}

func TestLives(t *testing.T) { lives(1) }

func TestHangs(t *testing.T) {
	if hangs(2) != 2 {
		t.Error()
	}
}

func TestFlees(t *testing.T) {
	if flees(func(int) {}) != 7 {
		os.Exit(3)
	}
}

func TestFails(t *testing.T) { t.Error("with and without mutants") }
`

// What has not failed because of a mutant is never counted as its death.
func TestVerdicts_TEST_10(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	root := module(t, judged, judges)
	mutants, err := mutate(root, []string{"p"})
	require.NoError(t, err)
	keep := t.TempDir()
	p := &plan{options: options{workers: 2}, copied: root, work: t.TempDir(), keep: keep, suites: map[string]*suite{}}
	p.store, err = openStore(keep)
	require.NoError(t, err)
	defer func(old []string) { users = old }(users)
	users = nil
	h, err := p.hunt("p", mutants, nil)
	require.NoError(t, err)
	got := map[string]verdict{}
	for _, m := range mutants {
		got[m.function+" "+m.kind+" "+m.text] = h.final(m)
	}
	assert.Equal(t, map[string]verdict{
		"dies bound >= n > 3":                   killed,
		"dies negate n > 3":                     killed,
		"dies return zero return n > 3":         killed,
		"counts bound >= next(n) > 1":           killed,
		"counts negate next(n) > 1":             killed,
		"counts return zero return next(n) > 1": killed,
		"next remove *n++":                      killed,
		"next return zero return *n":            killed,
		"flees remove exit(0)":                  alive,
		"flees return zero return 7":            broken,
		"hangs bound >= n > 0":                  killed,
		"hangs remove n--":                      late,
		"hangs remove sum++":                    killed,
		"lives bound <= n < 0":                  alive,
		"lives false n < 0":                     alive,
		"lives negate n < 0":                    alive,
		"lives remove n = 0":                    alive,
		"lives return zero return n":            alive,
		"unasked return zero return 1":          alive,
	}, got)

	var survivors bytes.Buffer
	negative, zero := "p\tlives\tbound <=\tn < 0", "p\tlives\tremove\tn = 0"
	s := h.count(mutants, map[string]string{negative: "0 either way", zero: "dearer"}, map[string]bool{zero: true}, &survivors)
	assert.Equal(t, score{mutants: 19, killed: 10, late: 1, alive: 5, equivalent: 1, cost: 1, unfinished: 1}, s)
	assert.Contains(t, survivors.String(), "broken\t")
	assert.Contains(t, survivors.String(), "no test reaches it")

	// A second run asks nothing again; a change of the tests makes all of it new.
	again, err := openStore(keep)
	require.NoError(t, err)
	v, known := again.verdict(h.suites[0], mutants[0])
	assert.True(t, known)
	assert.Equal(t, h.final(mutants[0]), v)
	_, known = again.verdict(&suite{hash: "other"}, mutants[0])
	assert.False(t, known)
}

// TestNothingReaches: a mutant that the failing test never came to is not killed by it.
func TestNotByItself_TEST_10(t *testing.T) {
	assert.Equal(t, alive, (&hunter{complete: true}).final(&mutant{}))
	assert.Equal(t, verdict(""), (&hunter{}).final(&mutant{}), "not all suites were asked")
	s := &suite{hash: "h"}
	store := &store{verdicts: map[string]verdict{}}
	assert.Equal(t, verdict(""), (&hunter{complete: true, store: store, suites: []*suite{s}}).final(&mutant{}), "not run")
}

func TestOrderOfEdits(t *testing.T) {
	edits := []edit{
		{3, 3, 1, false, ")"}, {0, 3, 1, true, "("}, // the whole, first
		{0, 3, 2, true, "["}, {3, 3, 2, false, "]"}, // the whole again, within
		{0, 1, 3, true, "<"}, {1, 1, 3, false, ">"},
	}
	assert.Equal(t, "([<a>bc])", string(apply([]byte("abc"), edits)))
}

// A row says why, and what a second reader has found.
func TestEquivalentRows_TEST_10(t *testing.T) {
	read := func(text string) (map[string]string, map[string]bool, error) {
		name := filepath.Join(t.TempDir(), "list")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return equivalents(name)
	}
	reasons, costs, err := read("# p\n\np\tf\tk\tt\twhy\tsame\np\tf\tk\tt #2\tdearer\tcost\n")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"p\tf\tk\tt": "why", "p\tf\tk\tt #2": "dearer"}, reasons)
	assert.Equal(t, map[string]bool{"p\tf\tk\tt": false, "p\tf\tk\tt #2": true}, costs)
	for _, text := range []string{"p\tf\tk\tt\twhy", "p\tf\tk\tt\twhy\t", "p\tf\tk\tt\twhy\tyes", "p\tf\tk\tt\t \tsame", "p\tf\tk\tt\tsame",
		"p\tf\tk\tt\twhy\tsame\np\tf\tk\tt\twhy\tsame"} {
		_, _, err := read(text)
		assert.Error(t, err, text)
	}
}

// TestEquivalents: each row names a mutant that there is, and says why.
func TestEquivalents_TEST_10(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	root := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, copyTree("../../..", root))
	root, err := filepath.EvalSymlinks(root)
	require.NoError(t, err)
	mutants, err := mutate(root, decides)
	require.NoError(t, err)
	reasons, _, err := equivalents("equivalents.tsv")
	require.NoError(t, err)
	assert.Empty(t, unknown(reasons, mutants))
	t.Logf("%d mutants, %d listed as equivalent", len(mutants), len(reasons))
}

// TestText: the page for operators says what a bound is, and its test that the code has the same. A constant of which
// no page speaks lives.
func TestText_TEST_10(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary")
	}
	s, err := buildText("../../..", t.TempDir())
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(s.plain, "config.go"))
	require.NoError(t, err)
	find := func(what string) *declaration {
		from := bytes.Index(text, []byte(what))
		require.Positive(t, from)
		return &declaration{"config.go", from + len(what), from + len(what) + bytes.IndexAny(text[from+len(what):], "\n /"), "(%s + 1)"}
	}
	assert.Equal(t, killed, s.reads(find("maxOldKeys = ")))
	other := find("maxOldKeys = ")
	other.format = "%s"
	assert.Equal(t, alive, s.reads(other), "the same value")
	other.file = "none.go"
	assert.Equal(t, broken, s.reads(other), "no file")
	after, err := os.ReadFile(filepath.Join(s.plain, "config.go"))
	require.NoError(t, err)
	assert.Equal(t, text, after)
	assert.False(t, s.judges(&mutant{}))
}
