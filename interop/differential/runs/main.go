// Command runs looks for bodies which the readers of both SDKs, or their real servers behind the gate, take
// otherwise than the gate, and counts the runs: what it adds stands in differential/runs.tsv, and it ends with
// the sum of all. The Fuzz targets are guided by coverage, and go on with the corpus that they have collected.
// The Generated ones mutate that corpus, and their own, unguided and many times as fast; one run of
// GeneratedServers is a request to one server, one of FuzzExecuted the same to each.
//
// What costs most of a run with go test -fuzz is not the run but the counters of everything that is linked,
// which are looked at after each. So only the packages that read messages are instrumented here: this command
// is its own -toolexec, and takes the instrumentation out of the rest. That makes it four times as fast.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guided and generated are the targets of package differential: fuzz targets, and tests with a flag.
var (
	guided    = []string{"FuzzDifferential", "FuzzExecuted"}
	generated = []string{"GeneratedReaders", "GeneratedServers"}
)

// leg is how many runs of a target are made before they are written down, and the next has its turn: who kills
// this command loses as many.
const leg = 1_000_000

// counterFile is where the runs are counted, in the directory of package differential.
const counterFile = "runs.tsv"

func main() {
	if len(os.Args) > 2 && os.Args[1] == toolexec {
		os.Exit(runTool(os.Args[2], os.Args[3:]))
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "runs:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "differential", "directory of package differential")
	runs := flag.Int64("runs", 0, "how many runs of each fuzz target to add")
	more := flag.Int64("generated", -1, "how many of each generated one (default ten times -runs)")
	only := flag.String("target", "", "of this target alone")
	parallel := flag.Int("parallel", 1, "workers of a fuzz target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path := filepath.Join(*dir, counterFile)
	if left := plan(*runs, *more, *only); len(left) > 0 {
		binaries, err := os.MkdirTemp("", "differential-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(binaries)
		r := &runner{dir: *dir, binaries: binaries, parallel: *parallel}
		if err := errors.Join(r.prepare(ctx, left), ctx.Err()); err != nil {
			return err
		}
		if err := r.add(ctx, left, path); err != nil {
			return err
		}
	}
	counted, err := readCounts(path)
	fmt.Print(counted)
	return err
}

// plan says how often each target is to run.
func plan(runs, more int64, only string) map[string]int64 {
	if more < 0 {
		more = 10 * runs
	}
	left := map[string]int64{}
	for _, target := range slices.Concat(guided, generated) {
		n := more
		if slices.Contains(guided, target) {
			n = runs
		}
		if n > 0 && (only == "" || only == target) {
			left[target] = n
		}
	}
	return left
}

// runner runs the targets of two test binaries, of which one is instrumented.
type runner struct {
	dir, binaries, corpus, commit string
	parallel                      int
}

// prepare builds what the targets need.
func (r *runner) prepare(ctx context.Context, left map[string]int64) (err error) {
	if r.commit, err = commitOf(ctx, r.dir); err != nil {
		return err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	r.corpus = filepath.Join(caches, "mcpauth", "differential")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	needed := func(target string) bool { return left[target] > 0 }
	if slices.ContainsFunc(guided, needed) {
		err = r.build(ctx, "guided", "-fuzz=.", "-toolexec="+self+" "+toolexec)
	}
	if slices.ContainsFunc(generated, needed) {
		err = errors.Join(err, r.build(ctx, "generated"))
	}
	return err
}

func (r *runner) build(ctx context.Context, name string, flags ...string) error {
	args := append([]string{"test", "-c", "-o", filepath.Join(r.binaries, name)}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, ".")...)
	build.Dir, build.Stdout, build.Stderr = r.dir, os.Stdout, os.Stderr
	return build.Run()
}

// commitOf names what is fuzzed, by the last commit that has changed code of mcpauth. A tree with such changes is marked.
func commitOf(ctx context.Context, dir string) (string, error) {
	git := func(args ...string) (string, error) {
		args = append([]string{"-C", dir}, append(args, "--", ":(top)*.go", ":(top,exclude)*_test.go", ":(top,exclude)interop")...)
		output, err := exec.CommandContext(ctx, "git", args...).Output()
		return strings.TrimSpace(string(output)), err
	}
	commit, err := git("log", "-1", "--format=%h", "--abbrev=12")
	changes, failed := git("status", "--porcelain", "--untracked-files=no")
	if changes != "" {
		commit += "+"
	}
	return commit, errors.Join(err, failed)
}

// add runs the targets so often, in turns, and writes down what it has run, also of what failed or was interrupted.
func (r *runner) add(ctx context.Context, left map[string]int64, path string) error {
	for len(left) > 0 && ctx.Err() == nil {
		for _, target := range slices.Sorted(maps.Keys(left)) {
			if ctx.Err() != nil {
				break
			}
			done, err := r.run(ctx, target, min(left[target], leg))
			here := row{time.Now().UTC().Format(time.DateOnly), r.commit, target}
			if err = errors.Join(err, count(path, here, done)); err != nil {
				return err
			}
			if left[target] -= leg; left[target] <= 0 {
				delete(left, target)
			}
		}
	}
	return nil
}

// command is what makes so many runs of a target. The seed is for a generated one: a leg with the same makes the same bodies.
func (r *runner) command(ctx context.Context, target string, runs int64, seed uint64) *exec.Cmd {
	if slices.Contains(guided, target) {
		return exec.CommandContext(ctx, filepath.Join(r.binaries, "guided"), "-test.run=^$", "-test.fuzz=^"+target+"$", fmt.Sprintf("-test.fuzztime=%dx", runs),
			"-test.fuzzminimizetime=100x", "-test.timeout=0", fmt.Sprintf("-test.parallel=%d", r.parallel), "-test.fuzzcachedir="+r.corpus)
	}
	command := exec.CommandContext(ctx, filepath.Join(r.binaries, "generated"), "-test.run=^Test"+target+"_", "-test.v", "-test.timeout=0",
		fmt.Sprintf("-generate=%d", runs), fmt.Sprintf("-seed=%d", seed), "-collected="+r.corpus)
	command.Env = append(os.Environ(), "GOGC=400") // a fifth of the time, for 200 MB
	return command
}

// run runs a target and returns how often.
func (r *runner) run(ctx context.Context, target string, runs int64) (done int64, err error) {
	command := r.command(ctx, target, runs, rand.Uint64())
	command.Dir = r.dir // where what fails is kept, in testdata
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	output, into := io.Pipe()
	command.Stdout, command.Stderr = into, into
	fmt.Println(target, command.Args[1:])
	ended := make(chan error, 1)
	go func() {
		err := command.Run()
		_ = into.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		done = max(done, runsSoFar(lines.Text()))
		fmt.Println(lines.Text())
	}
	_, _ = io.Copy(io.Discard, output)
	if err = <-ended; ctx.Err() != nil {
		err = nil // it was interrupted, and what it has run counts
	}
	return done, err
}

var progress = regexp.MustCompile(`^(?:fuzz: elapsed: .* execs: (\d+) |    generated_test\.go:\d+: generated (\d+): )`)

// runsSoFar is the count in a line of the fuzzing engine or of a generated target, 0 if there is none.
func runsSoFar(line string) int64 {
	found := progress.FindStringSubmatch(line)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseInt(cmp.Or(found[1], found[2]), 10, 64) // digits
	return n
}

// toolexec is the first argument with which go test calls this command in place of a tool.
const toolexec = "toolexec"

// instrumented are the packages whose ways through a message guide the fuzzer.
var instrumented = []string{
	"github.com/seed-1e292522/mcpauth", "github.com/mark3labs/mcp-go", "github.com/modelcontextprotocol/go-sdk", "github.com/segmentio/encoding/json",
}

// runTool runs a tool, and the compiler without instrumentation where that tells nothing.
func runTool(tool string, args []string) int {
	whole := len(args) > 0 && args[0] == "-V=full" // what go test takes for the tool's version: with ours it shares no cache
	var kept []string
	for _, arg := range args {
		if arg != "-d=libfuzzer" || isInstrumented(os.Getenv("TOOLEXEC_IMPORTPATH")) {
			kept = append(kept, arg)
		}
	}
	command := exec.Command(tool, kept...)
	command.Stdin, command.Stderr = os.Stdin, os.Stderr
	if !whole {
		command.Stdout = os.Stdout
		return exitCode(command.Run())
	}
	version, err := command.Output()
	fmt.Println(strings.TrimSpace(string(version)) + " X:readers")
	return exitCode(err)
}

func isInstrumented(path string) bool {
	path, _, _ = strings.Cut(path, " ") // of a package with its tests
	for _, prefix := range instrumented {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return cmp.Or(exit.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, "runs:", err)
	return 1
}
