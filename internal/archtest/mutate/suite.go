package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A suite is the test binary of one package, with all mutants of all packages in it.
type suite struct {
	dir, work, binary string
	hash              string // of the binary and what its tests read below testdata: results are of this and no other
	tests             []*test

	plain   string // for the suite that reads constants: the root of the copy in which it does
	writing sync.Mutex
}

// A test is one function of a suite, as it goes while no mutant is active.
type test struct {
	Name  string
	Fails bool
	Took  time.Duration
	Seen  map[string][]int // the mutants that it reaches, by directory

	file string // without _test.go
}

// build compiles the tests of a package of the copy. A package without tests has no suite.
func build(root, dir, out string) (*suite, error) {
	s := &suite{dir: dir, work: filepath.Join(root, dir), binary: filepath.Join(out, strings.ReplaceAll(dir, "/", "-")+".test")}
	command := exec.Command("go", "test", "-c", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-vet=off", "-o", s.binary, "./"+dir)
	command.Dir = root
	if text, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", dir, err, text)
	}
	if _, err := os.Stat(s.binary); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	sum := sha256.New()
	digest := func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(sum, "%s\n", filepath.Base(name))
		_, err = io.Copy(sum, f)
		return err
	}
	err := errors.Join(filepath.WalkDir(s.binary, digest), filepath.WalkDir(filepath.Join(s.work, "testdata"), digest))
	s.hash = fmt.Sprintf("%x", sum.Sum(nil)[:12])
	return s, err
}

// reach runs each test alone, with no mutant active, to learn which mutants it reaches. What is known of the same
// binary is read from a file, to which each test is added as it comes.
func (s *suite) reach(keep string, workers int, asked string) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	matches, err := regexp.Compile(asked)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !matches.MatchString(name) })
	name := filepath.Join(keep, "reach-"+s.hash+".json")
	known := map[string]*test{}
	if text, err := os.ReadFile(name); err == nil {
		for line := range bytes.Lines(text) {
			if t := new(test); json.Unmarshal(line, t) == nil {
				known[t.Name] = t
			}
		}
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	tests := make([]*test, len(names))
	each(workers, len(names), func(i int) {
		if tests[i] = known[names[i]]; tests[i] == nil {
			tests[i] = s.alone(names[i])
			text, _ := json.Marshal(tests[i])
			_, _ = file.Write(append(text, '\n'))
		}
	})
	for _, t := range tests {
		if t.Fails {
			fmt.Printf("%s: %s fails without any mutant: it is left out\n", s.dir, t.Name)
			continue
		}
		s.tests = append(s.tests, t)
	}
	return s.place()
}

// place finds the files that tests stand in.
func (s *suite) place() error {
	names, err := filepath.Glob(filepath.Join(s.work, "*_test.go"))
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, found := range declared.FindAllSubmatch(text, -1) {
			files[string(found[1])] = strings.TrimSuffix(filepath.Base(name), "_test.go")
		}
	}
	for _, t := range s.tests {
		t.file = files[t.Name]
	}
	return nil
}

var declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// names are the tests, examples and fuzz targets with their seeds.
func (s *suite) names() ([]string, error) {
	command := exec.Command(s.binary, "-test.list=.")
	command.Dir = s.work
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.dir, err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(name string) bool { return strings.HasPrefix(name, "Benchmark") }), nil
}

// write leaves either the whole file or none.
func write(name string, text []byte) error {
	return errors.Join(os.WriteFile(name+".new", text, 0o600), os.Rename(name+".new", name))
}

// alone runs one test, a second time if it fails.
func (s *suite) alone(name string) *test {
	for range 2 {
		start := time.Now()
		r := s.run("", []string{name}, 10*time.Minute)
		if r.passed {
			return &test{Name: name, Took: time.Since(start), Seen: r.seen}
		}
	}
	return &test{Name: name, Fails: true}
}

// result is what one run of a test binary came to.
type result struct {
	passed bool
	failed string // the test that did, or what else there is to say; empty if nothing shows that a test failed
	late   bool
	seen   map[string][]int
}

// addressSpace in KiB: a mutant that takes memory without end hurts nobody else.
const addressSpace = 6 << 20

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	running = regexp.MustCompile(`(?m)^running tests:\n\s+(\w+)`)
	crash   = regexp.MustCompile(`(?m)^(panic: |fatal error: |goleak: |runtime: )`)
)

// run runs some tests of the suite with one mutant active.
func (s *suite) run(mutant string, names []string, timeout time.Duration) result {
	seen, err := os.CreateTemp(filepath.Dir(s.binary), "seen")
	if err != nil {
		return result{}
	}
	defer os.Remove(seen.Name())
	defer seen.Close()
	command := exec.Command("sh", "-c", `ulimit -v "$1"; shift; exec "$@"`, "sh", strconv.Itoa(addressSpace), s.binary,
		"-test.run=^("+strings.Join(names, "|")+")$", "-test.failfast", "-test.timeout="+timeout.String())
	command.Dir = s.work
	command.Env = append(os.Environ(), "MUTATE="+mutant, "MUTATE_SEEN="+seen.Name())
	var out ends
	command.Stdout, command.Stderr = &out, &out
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		return result{}
	}
	var late bool
	var mu sync.Mutex
	timer := time.AfterFunc(timeout+timeout/4+5*time.Second, func() {
		mu.Lock()
		late = true
		mu.Unlock()
		_ = command.Process.Kill()
	})
	err = command.Wait()
	timer.Stop()
	mu.Lock()
	defer mu.Unlock()
	text := out.String()
	r := result{passed: err == nil, late: late || strings.Contains(text, "panic: test timed out after"), seen: map[string][]int{}}
	switch {
	case r.passed:
	case failure.MatchString(text):
		r.failed = failure.FindStringSubmatch(text)[1]
	case running.MatchString(text):
		r.failed = running.FindStringSubmatch(text)[1]
	case r.late, crash.MatchString(text):
		r.failed = "(" + names[0] + " or later)"
	}
	r.read(seen)
	return r
}

func (r *result) read(seen io.Reader) {
	text, _ := io.ReadAll(seen)
	for line := range strings.Lines(string(text)) {
		dir, number, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.Atoi(number); err == nil {
			r.seen[dir] = append(r.seen[dir], n)
		}
	}
}

// ends keeps the beginning and the end of what is written.
type ends struct{ head, tail []byte }

const kept = 256 << 10

func (e *ends) Write(p []byte) (int, error) {
	n := min(len(p), kept-len(e.head))
	e.head = append(e.head, p[:n]...)
	if e.tail = append(e.tail, p[n:]...); len(e.tail) > 2*kept {
		e.tail = slices.Clone(e.tail[len(e.tail)-kept:])
	}
	return len(p), nil
}

func (e *ends) String() string { return string(e.head) + string(e.tail) }

// each calls f for 0 to n-1, some at a time.
func each(workers, n int, f func(i int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}
