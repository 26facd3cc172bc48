package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// compared are the modules whose versions belong to the figures.
var compared = []string{
	"github.com/golang-jwt/jwt/v5",
	"github.com/MicahParks/keyfunc/v3",
	"github.com/lestrrat-go/jwx/v3",
	"github.com/go-jose/go-jose/v4",
	"github.com/coreos/go-oidc/v3",
	"github.com/auth0/go-jwt-middleware/v3",
	"github.com/modelcontextprotocol/go-sdk",
	"github.com/mark3labs/mcp-go",
	"github.com/hashicorp/golang-lru/v2",
	"github.com/tidwall/gjson",
	"github.com/go-json-experiment/json",
}

// measure writes a header, the rounds of the benchmarks, and the servers.
func measure(w io.Writer, p plan) error {
	dir, err := os.MkdirTemp("", "mcpauth-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tests, e2e := filepath.Join(dir, "bench.test"), filepath.Join(dir, "e2e")
	if err := execute(io.Discard, "go", "test", "-c", "-o", tests, "."); err != nil {
		return err
	}
	if err := execute(io.Discard, "go", "build", "-o", e2e, "./cmd/e2e"); err != nil {
		return err
	}
	if err := header(w, p); err != nil {
		return err
	}
	for round := range p.rounds {
		fmt.Fprintf(os.Stderr, "%s round %d of %d\n", time.Now().Format(time.TimeOnly), round+1, p.rounds)
		skip := "^$"
		if round > 1 {
			skip = "^BenchmarkTokens$" // it is slow and always the same
		}
		if err := execute(w, tests, "-test.run=^$", "-test.bench=.", "-test.skip="+skip, "-test.benchtime="+p.benchtime); err != nil {
			return err
		}
	}
	return execute(w, e2e, p.e2e...)
}

// header describes the run, as configuration lines of the benchmark format.
func header(w io.Writer, p plan) error {
	revision, err := output("git", "describe", "--always", "--dirty", "--tags")
	if err != nil {
		revision = "unknown"
	}
	versions, err := output("go", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, compared...)...)
	if err != nil {
		return err
	}
	environment, err := output("go", "env", "GOVERSION", "GOAMD64")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "mcpauth: %s\n", revision)
	fmt.Fprintf(w, "toolchain: %s\n", strings.ReplaceAll(environment, "\n", ", GOAMD64="))
	fmt.Fprintf(w, "cores: %d\n", runtime.NumCPU())
	fmt.Fprintf(w, "date: %s\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(w, "plan: %d rounds of %s\n", p.rounds, p.benchtime)
	fmt.Fprintf(w, "modules: %s\n", strings.ReplaceAll(versions, "\n", ", "))
	return nil
}

func execute(w io.Writer, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Stdout, command.Stderr = w, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	text, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(text)), err
}
