// Command mcpauth finds out why an MCP server refuses what it should accept,
// and the other way round. It has three subcommands:
//
//	mcpauth doctor --resource URL    walks through a set-up and names each fault with its fix
//	mcpauth check URL                black-box conformance checks of any MCP server
//	mcpauth policy --policy FILE     prints, lints and explains a policy
//
// docs/cli.md describes the flags, the file and the exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Exit codes, the same for all subcommands.
const (
	exitOK          = 0
	exitFindings    = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		color: isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}))
}

// environment is what a run reads and writes besides files and the network.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	color          bool
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// codedError ends a run with an exit code. Without a text the output has said it all.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

func run(ctx context.Context, args []string, env environment) int {
	err := app(env).Run(ctx, append([]string{"mcpauth"}, args...))
	if err == nil {
		return exitOK
	}
	// What cli itself objects to is the command line.
	code := exitUsage
	var coded *codedError
	if errors.As(err, &coded) {
		code = coded.code
	}
	mistakes := []error{err}
	if coded != nil && coded.err != nil {
		mistakes = unjoin(coded.err) // a file may have several
	}
	for _, mistake := range mistakes {
		if text := mistake.Error(); text != "" {
			fmt.Fprintln(env.stderr, "mcpauth: "+foreign.Line(withoutTokens(strings.ReplaceAll(text, "\n", "; "))))
		}
	}
	return code
}
