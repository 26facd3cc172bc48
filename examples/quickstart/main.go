// Command quickstart shows the whole story on one terminal: a client without
// a token is challenged, finds the authorization server, gets a token, makes a
// call, is refused another one for want of a scope, asks for that scope and
// makes the call. Authorization server, MCP server and client run in this one
// process and talk HTTP over loopback; every message is printed.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart --short
//	go run ./examples/quickstart --serve --addr 127.0.0.1:8080
//
// The file to read first is server.go: it is the part that you would write.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-1e292522/mcpauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], console{os.Stdout, os.Stderr, colourful(os.Stdout, os.Getenv)}))
}

// console is where the program shows itself.
type console struct {
	out, err io.Writer
	colour   bool
}

// run is the program: 0 when every step did what it should, 1 when one did
// not, 2 when the command line is wrong.
func run(ctx context.Context, args []string, c console) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(c.err)
	short := flags.Bool("short", false, "the ten lines that matter, instead of every message")
	keep := flags.Bool("serve", false, "keep both servers running, for other clients")
	addr := flags.String("addr", "127.0.0.1:0", "loopback `host:port` of the MCP server; 0 is any")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(c.err, "quickstart: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if *keep && *short {
		fmt.Fprintln(c.err, "quickstart: --short says nothing with --serve: use one of them")
		return 2
	}
	if *keep {
		return serve(ctx, *addr, c.out, c.err)
	}
	w := newWire(c.out)
	w.colour, w.short = c.colour, *short
	return demonstrate(ctx, *addr, policy(), w, c.err)
}

// demonstrate starts both servers and walks. The test gives it a policy that
// is wrong, to see the walk fail.
func demonstrate(ctx context.Context, addr string, rules mcpauth.Rules, w *wire, stderr io.Writer) int {
	site, err := start(addr, rules, w.logger())
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	defer site.stop()
	if err := walk(ctx, site, w); err != nil {
		fmt.Fprintln(stderr, "quickstart: FAILED:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, addr string, stdout, stderr io.Writer) int {
	site, err := start(addr, policy(), slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	defer site.stop()
	fmt.Fprintln(stdout, "MCP endpoint:         ", site.resource)
	fmt.Fprintln(stdout, "Authorization server: ", site.issuer)
	fmt.Fprintln(stdout, "Point any MCP client that speaks streamable HTTP at the endpoint. Ctrl-C stops.")
	<-ctx.Done()
	return 0
}
