// Mutate changes one thing at a time in the code that decides, and runs the tests that reach it. A change that no test
// sees is a rule without a test, or changes nothing: then it is listed in equivalents.tsv with the reason, and with what
// somebody has found who has read it a second time.
//
// It works on a copy. All mutants are in one test binary for each package, and a variable of the environment chooses
// which is active. What has been found out is kept below -out, and a further run goes on from there.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// decides are the packages with code that decides, the smallest and most decisive first.
var decides = []string{
	"internal/token", "internal/refusal", "internal/identity", "internal/jose", "internal/strictjson", "internal/seal",
	"internal/match", "internal/challenge", "internal/tokencache", "internal/introspect", "internal/dpop",
	"internal/fetch", "internal/onward", "internal/between", "internal/keys", "internal/owned", "internal/mcp",
	"internal/jsonrpc", "internal/reply", "internal/cachescope", "internal/overhear", "internal/fold",
	"internal/foreign", "sealed", "internal/edition", "internal/shared", "internal/inprocess", "revoke", "configfile", "clientauth", ".",
}

// undecided are files of these packages that only find words for what has been decided.
var undecided = []string{"explain.go"}

// users are the packages whose tests are asked about every mutant, after those of its own package.
var users = []string{textDir, "."}

const list = "internal/archtest/mutate/equivalents.tsv"

type options struct {
	root, out, pkg, only string
	tests                string
	workers              int
	own, quick, listOnly bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.out, "out", "mutate.out", "where verdicts are kept, below the repository")
	flag.StringVar(&o.pkg, "pkg", "", "only these packages, as in internal/token,internal/refusal")
	flag.StringVar(&o.only, "only", "", "only mutants whose file:line, or function and text, match")
	flag.StringVar(&o.tests, "tests", "", "ask only the tests whose names match: what a new one kills is known at once, and nothing is alive")
	flag.IntVar(&o.workers, "workers", 2, "how many mutants at a time")
	flag.BoolVar(&o.own, "own", false, "ask only the tests of the mutant's own package for now")
	flag.BoolVar(&o.quick, "quick", false, "leave out the slow tests for now")
	flag.BoolVar(&o.listOnly, "list", false, "list the mutants and run nothing")
	flag.Parse()
	if err := mutateAll(o); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func mutateAll(o options) error {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if work, err = filepath.EvalSymlinks(work); err != nil {
		return err
	}
	copied := filepath.Join(work, "copy")
	if err := copyTree(o.root, copied); err != nil {
		return err
	}
	mutants, err := mutate(copied, decides)
	if err != nil {
		return err
	}
	reasons, costs, err := equivalents(filepath.Join(o.root, list))
	if err != nil {
		return err
	}
	for _, key := range unknown(reasons, mutants) {
		fmt.Printf("%s: there is no such mutant: %s\n", list, key)
	}
	if o.listOnly {
		for _, m := range mutants {
			fmt.Printf("%d\t%s\t%s\n", m.n, m.at, m.key())
		}
		return nil
	}
	return o.hunt(copied, work, mutants, reasons, costs)
}

func (o options) hunt(copied, work string, mutants []*mutant, reasons map[string]string, costs map[string]bool) error {
	keep := filepath.Join(o.root, o.out)
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return err
	}
	results, err := openStore(keep)
	if err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	p := &plan{options: o, copied: copied, work: work, keep: keep, store: results, suites: map[string]*suite{}}
	var survivors bytes.Buffer
	var total score
	header(os.Stdout)
	for _, dir := range decides {
		if o.pkg != "" && !slices.Contains(strings.Split(o.pkg, ","), dir) {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool {
			return m.dir != dir || !only.MatchString(m.at) && !only.MatchString(m.function+" "+m.text)
		})
		h, err := p.hunt(dir, mine, reasons)
		if err != nil {
			return err
		}
		s := h.count(mine, reasons, costs, &survivors)
		s.print(os.Stdout, dir, results.took[dir])
		total.add(s)
		if err := write(filepath.Join(keep, "survivors.tsv"), survivors.Bytes()); err != nil {
			return err
		}
	}
	total.print(os.Stdout, "all", 0)
	return nil
}

// plan is what the hunts in all packages share.
type plan struct {
	options
	copied, work, keep string
	store              *store
	suites             map[string]*suite // nil for a package without tests
}

// hunt goes over the mutants of one package three times: with its own tests; with the quick tests of its users; and
// with those that are slow. Mutants that are listed as equivalents meet the first alone.
func (p *plan) hunt(dir string, mutants []*mutant, reasons map[string]string) (*hunter, error) {
	h := &hunter{store: p.store, recent: map[string][]string{}, some: p.tests != ""}
	pass := func(quick bool) {
		h.quick = quick
		each(p.workers, len(mutants), func(i int) {
			if len(h.suites) == 1 && quick || reasons[mutants[i].key()] == "" {
				h.hunt(mutants[i])
			}
		})
	}
	for _, of := range append([]string{dir}, users...) {
		s, err := p.suite(of)
		if err != nil {
			return nil, err
		}
		if s != nil && !slices.Contains(h.suites, s) {
			h.suites = append(h.suites, s)
		}
		if of == dir {
			if pass(true); p.own {
				return h, nil
			}
		}
	}
	h.complete = true
	if pass(true); !p.quick {
		pass(false)
	}
	return h, nil
}

func (p *plan) suite(dir string) (*suite, error) {
	if s, known := p.suites[dir]; known {
		return s, nil
	}
	var s *suite
	var err error
	if dir == textDir {
		s, err = buildText(p.root, p.work)
	} else if s, err = build(p.copied, dir, p.work); err == nil && s != nil {
		err = s.reach(p.keep, p.workers, p.tests)
	}
	p.suites[dir] = s
	return s, err
}

// copyTree copies what git knows of, or would take.
func copyTree(from, to string) error {
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = from
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // deleted, but not yet for git
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
