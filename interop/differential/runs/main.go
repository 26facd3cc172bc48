// Command runs fuzzes the readers of both SDKs, and their real servers behind the gate, and counts the
// runs: what it adds stands in differential/runs.tsv, the next time it goes on with the corpus that it has
// collected, and it ends with the sum of all.
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
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// targets are the fuzz targets of package differential.
var targets = []string{"FuzzDifferential", "FuzzExecuted"}

// leg is how many runs of a target are made before they are written down, and the other has its turn: who kills
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
	runs := flag.Int64("runs", 0, "how many runs of each target to add")
	only := flag.String("target", "", "of this target alone")
	parallel := flag.Int("parallel", 1, "workers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path := filepath.Join(*dir, counterFile)
	if *runs > 0 {
		f, err := newFuzzer(ctx, *dir, *parallel)
		if err != nil {
			return err
		}
		defer os.Remove(f.binary)
		if err := f.add(ctx, *runs, *only, path); err != nil {
			return err
		}
	}
	counted, err := readCounts(path)
	fmt.Print(counted)
	return err
}

// fuzzer runs the targets of one test binary.
type fuzzer struct {
	dir, binary, corpus, commit string
	parallel                    int
}

func newFuzzer(ctx context.Context, dir string, parallel int) (*fuzzer, error) {
	commit, err := commitOf(ctx, dir)
	if err != nil {
		return nil, err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	f := &fuzzer{dir: dir, commit: commit, parallel: parallel, corpus: filepath.Join(caches, "mcpauth", "differential")}
	file, err := os.CreateTemp("", "differential-*.test")
	if err != nil {
		return nil, err
	}
	f.binary = file.Name()
	self, err := os.Executable()
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-toolexec="+self+" "+toolexec, "-o", f.binary, ".")
	build.Dir, build.Stdout, build.Stderr = dir, os.Stdout, os.Stderr
	return f, build.Run()
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

// add runs each target so often, in turns, and writes down what it has run, also of what failed or was interrupted.
func (f *fuzzer) add(ctx context.Context, runs int64, only, path string) error {
	for ; runs > 0; runs -= leg {
		for _, target := range targets {
			if only != "" && only != target || ctx.Err() != nil {
				continue
			}
			done, err := f.fuzz(ctx, target, min(runs, leg))
			here := row{time.Now().UTC().Format(time.DateOnly), f.commit, target}
			if err = errors.Join(err, count(path, here, done)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fuzz runs a target and returns how often.
func (f *fuzzer) fuzz(ctx context.Context, target string, runs int64) (done int64, err error) {
	command := exec.CommandContext(ctx, f.binary, "-test.run=^$", "-test.fuzz=^"+target+"$", fmt.Sprintf("-test.fuzztime=%dx", runs),
		"-test.fuzzminimizetime=100x", "-test.timeout=0", fmt.Sprintf("-test.parallel=%d", f.parallel), "-test.fuzzcachedir="+f.corpus)
	command.Dir = f.dir // where what fails is kept, in testdata
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	output, into := io.Pipe()
	command.Stdout, command.Stderr = into, into
	fmt.Println(target)
	ended := make(chan error, 1)
	go func() {
		err := command.Run()
		_ = into.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		done = max(done, execs(lines.Text()))
		fmt.Println(lines.Text())
	}
	_, _ = io.Copy(io.Discard, output)
	if err = <-ended; ctx.Err() != nil {
		err = nil // it was interrupted, and what it has run counts
	}
	return done, err
}

var execsPattern = regexp.MustCompile(`^fuzz: elapsed: .* execs: (\d+) `)

// execs is the count in a line of the fuzzing engine, 0 if there is none.
func execs(line string) int64 {
	found := execsPattern.FindStringSubmatch(line)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseInt(found[1], 10, 64) // digits
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
