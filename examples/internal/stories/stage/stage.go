// Package stage is where the stories are told: it starts the MCP server and
// the authorization server on loopback, goes through the steps, and prints what
// was found. A story that does not go as told ends with exit status 1.
package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
)

// Play is a story.
type Play struct {
	Name string

	// Open makes both servers and the steps. It is called once.
	Open func(Stage) (Set, error)
}

// Stage is what a play knows beforehand.
type Stage struct {
	Resource string // URL of the MCP endpoint, and audience of its tokens
	Issuer   string // URL of the authorization server
	Log      *slog.Logger
}

// Set is a play, ready to begin.
type Set struct {
	Server http.Handler // the protected MCP server
	Login  login.Config // Issuer and Resource are filled in
	Issuer string       // of an authorization server that runs elsewhere, in the place of Login
	Steps  []Step
	Close  func() // if not nil, called at the end
}

// Step does one thing, checks it, and says what was found.
type Step struct {
	Title string
	Do    func(context.Context) (found string, err error)
}

// Run is the program: 0 when every step went as told, 1 when one did not, 2
// when the command line is wrong.
func Run(ctx context.Context, p Play, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	keep := flags.Bool("serve", false, "keep both servers running for clients of your own, instead of telling the story")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", p.Name, flags.Arg(0))
		return 2
	}
	log := slog.New(slog.DiscardHandler)
	if *keep {
		log = slog.New(slog.NewTextHandler(stderr, nil))
	}
	slog.SetDefault(log) // the authorization server's provider knows no other
	if err := perform(ctx, p, log, *keep, stdout); err != nil {
		fmt.Fprintf(stderr, "%s: FAILED: %v\n", p.Name, err)
		return 1
	}
	return 0
}

func perform(ctx context.Context, p Play, log *slog.Logger, keep bool, out io.Writer) error {
	var servers [2]*server
	for i := range servers {
		s, err := listen()
		if err != nil {
			return err
		}
		defer s.stop()
		servers[i] = s
	}
	at := Stage{Resource: servers[0].url + "/mcp", Issuer: servers[1].url, Log: log}
	set, err := p.Open(at)
	if err != nil {
		return err
	}
	if set.Close != nil {
		defer set.Close()
	}
	if set.Issuer == "" {
		set.Login.Issuer, set.Login.Resource = at.Issuer, at.Resource
		provider, err := login.New(set.Login)
		if err != nil {
			return err
		}
		servers[1].serve(provider)
	} else {
		at.Issuer = set.Issuer
	}
	servers[0].serve(set.Server)
	if keep {
		return wait(ctx, at, set.Login.People, out)
	}
	return tell(ctx, set.Steps, out)
}

func wait(ctx context.Context, at Stage, people []login.Person, out io.Writer) error {
	fmt.Fprintln(out, "MCP endpoint:         ", at.Resource)
	fmt.Fprintln(out, "Authorization server: ", at.Issuer)
	for _, p := range people {
		fmt.Fprintf(out, "Sign in as %s with password %s\n", p.Name, p.Password)
	}
	fmt.Fprintln(out, "Point any MCP client that speaks streamable HTTP at the endpoint. Ctrl-C stops.")
	<-ctx.Done()
	return nil
}

func tell(ctx context.Context, steps []Step, out io.Writer) error {
	for i, step := range steps {
		fmt.Fprintf(out, "%d. %s\n", i+1, step.Title)
		found, err := step.Do(ctx)
		if err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.Title, err)
		}
		fmt.Fprintf(out, "   = %s\n\n", found)
	}
	fmt.Fprintf(out, "All %d steps went as told.\n", len(steps))
	return nil
}

// Endpoint answers nothing but the MCP endpoint and what belongs to it: a
// path that does not exist is no reason to ask for a token.
func Endpoint(protected http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/mcp", protected)
	mux.Handle("/.well-known/", protected)
	return mux
}

// server listens before it serves: both have to know the other's URL first.
type server struct {
	url      string
	listener net.Listener
	http     *http.Server
}

func listen() (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &server{url: "http://" + listener.Addr().String(), listener: listener}, nil
}

func (s *server) serve(handler http.Handler) {
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(s.listener) }()
}

func (s *server) stop() {
	if s.http == nil {
		_ = s.listener.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
}
