// Command gate compares the benchmarks with those of the previous tag, in
// interleaved rounds of the same harness, and prints what benchstat makes of
// it. It only reports: times on a shared machine are no reason to fail, and
// what must not grow, the allocations, is held by a test of the root package.
//
//	go run ./cmd/gate                 # against the last tag before HEAD, or firstBase while there is none
//	go run ./cmd/gate -base COMMIT
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/seed-1e292522/mcpauth"

// firstBase is what to compare with before the first release: the first commit that
// this harness can measure.
const firstBase = "7bdea67"

func main() {
	base := flag.String("base", "", "commit to compare with; default: the last tag before HEAD, or "+firstBase)
	bench := flag.String("bench", "Warm/.*/impl=mcpauth|ColdWrapper/.*/impl=mcpauth|Refuse|Lists", "benchmarks to compare")
	rounds := flag.Int("rounds", 6, "rounds of each side")
	flag.Parse()
	if err := run(*base, *bench, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
}

func run(base, bench string, rounds int) error {
	if base == "" {
		base = lastTag()
	}
	if err := exec.Command("git", "cat-file", "-e", base+"^{commit}").Run(); err != nil {
		fmt.Printf("%s is not in this clone: nothing to compare with\n", base)
		return nil
	}
	fmt.Println("before:", base)
	dir, err := os.MkdirTemp("", "mcpauth-gate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if err := execute(io.Discard, "git", "worktree", "add", "--detach", tree, base); err != nil {
		return err
	}
	defer execute(io.Discard, "git", "worktree", "remove", "--force", tree) //nolint:errcheck // it is temporary
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	if err := execute(io.Discard, "go", "test", "-c", "-o", after, "."); err != nil {
		return err
	}
	modfile, err := moduleAt(dir, tree)
	if err != nil {
		return err
	}
	if err := execute(io.Discard, "go", "test", "-c", "-modfile="+modfile, "-o", before, "."); err != nil {
		fmt.Printf("%s cannot be measured by this harness: %v\n", base, err)
		return nil
	}
	return compare(dir, before, after, bench, rounds)
}

// lastTag is the last release of the root module before HEAD; nested modules have tags
// of their own.
func lastTag() string {
	tag, err := exec.Command("git", "describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^").Output()
	if err != nil {
		return firstBase
	}
	return strings.TrimSpace(string(tag))
}

// moduleAt writes a go.mod like ours, in which mcpauth is the one in tree.
func moduleAt(dir, tree string) (string, error) {
	modfile := filepath.Join(dir, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return modfile, execute(io.Discard, "go", "mod", "edit", "-replace="+module+"="+tree, modfile)
}

// compare runs both in turn and hands the figures to benchstat.
func compare(dir, before, after, bench string, rounds int) error {
	figures := map[string]*bytes.Buffer{before: {}, after: {}}
	for range rounds {
		for _, program := range []string{before, after} {
			if err := execute(figures[program], program, "-test.run=^$", "-test.benchtime=50ms", "-test.bench="+bench); err != nil {
				return err
			}
		}
	}
	args := []string{"tool", "benchstat"}
	for _, program := range []string{before, after} {
		name := filepath.Join(dir, filepath.Base(program)+".txt")
		if err := os.WriteFile(name, figures[program].Bytes(), 0o600); err != nil {
			return err
		}
		args = append(args, filepath.Base(program)+"="+name)
	}
	return execute(os.Stdout, "go", args...)
}

func execute(w io.Writer, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = w, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
	}
	return nil
}
