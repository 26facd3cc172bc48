package matrix

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth/interop/authservers"
)

// redirect is where the authorization server sends the browser for clients that
// are libraries. Nobody listens there: the browser hands them the URL.
const redirect = "http://127.0.0.1:7/callback"

// job is what a client under test is to do.
type job struct {
	url      string // of the MCP server
	clientID string // empty: the client registers itself
	secret   string // of that client id, if it has one
	scope    string // what to ask for if the client library asks for nothing
	browser  *authservers.Browser
	steps    []string // "connect", "list", "call:TOOL", "wait:SECONDS", "operator:WHAT"

	operator  func(ctx context.Context, what string) error // does what no client can
	redirects func(uri string)                             // lists a redirect URI of that client id, where ports count
}

// report is what a client says about one step.
type report struct {
	Step string
	OK   bool
	Text string // the result, or the error
}

// client is a client under test.
type client struct {
	name, version string
	run           func(t *testing.T, j job) []report
}

// session is a client library, connected by the first step.
type session interface {
	connect(ctx context.Context) error
	list(ctx context.Context) ([]string, error)
	call(ctx context.Context, tool string) (string, error)
	close()
}

// drive does the steps of a job with a library that runs in this process.
func drive(t *testing.T, s session, j job) []report {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	defer s.close()
	var reports []report
	for _, step := range j.steps {
		text, err := doStep(ctx, s, j, step)
		r := report{Step: step, OK: err == nil, Text: text}
		if err != nil {
			r.Text = err.Error()
		}
		reports = append(reports, r)
		if err != nil && step == "connect" {
			break
		}
	}
	return reports
}

func doStep(ctx context.Context, s session, j job, step string) (string, error) {
	verb, argument, _ := strings.Cut(step, ":")
	switch verb {
	case "connect":
		return "", s.connect(ctx)
	case "list":
		names, err := s.list(ctx)
		slices.Sort(names)
		return strings.Join(names, " "), err
	case "wait":
		life, err := time.ParseDuration(argument + "s")
		if err != nil {
			return "", err
		}
		// Real time: the token's life is counted by three programs.
		select {
		case <-time.After(life):
			return "", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	case "operator":
		return "", j.operator(ctx, argument)
	case "call":
		return s.call(ctx, argument)
	}
	return "", fmt.Errorf("no step %q", step)
}

// serveBrowser lets clients in other processes use the browser: they post the
// authorization URL and get the URL at which the browser came back. Elsewhere
// they reach the operator.
func serveBrowser(t *testing.T, j job) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if what := strings.Trim(r.URL.Path, "/"); what != "" {
			if err := j.operator(r.Context(), what); err != nil {
				t.Error(err)
			}
			return
		}
		authorization, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		back, err := j.browser.Walk(r.Context(), string(authorization))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, back.String())
	}))
	t.Cleanup(server.Close)
	return server.URL
}
