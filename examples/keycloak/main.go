// Command keycloak tells the story of examples/analytics with a real Keycloak,
// which it starts with the realm of realm.json: a developer tool that nobody has
// heard of registers itself, its user signs in and consents, and steps up when a
// tool needs more.
//
//	go run -C examples/keycloak .
//	go run -C examples/keycloak . --serve
//
// It needs Java 17 or newer, and Maven to fetch Keycloak once (190 MB, kept in the
// user's cache); or a Keycloak of yours in KEYCLOAK_HOME, of which
// it runs a copy.
//
// server.go is the part that a platform would write, and realm.json what its
// administrator would import.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/tool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(stage.Run(ctx, play(ctx, os.Stderr), os.Args[1:], os.Stdout, os.Stderr))
}

func play(ctx context.Context, say io.Writer) stage.Play {
	return stage.Play{Name: "keycloak", Open: func(at stage.Stage) (stage.Set, error) {
		alice := &tool.Person{Name: "alice", Password: rand.Text()}
		alice.Visit = func(ctx context.Context, address string) (*url.URL, error) { return visit(ctx, alice, address) }
		keycloak, err := start(ctx, say, "MCP_RESOURCE="+at.Resource, "ALICE_PASSWORD="+alice.Password)
		if err != nil {
			return stage.Set{}, err
		}
		at.Issuer = keycloak.url + "/realms/analytics"
		p := &platform{}
		handler, err := protect(at, p)
		if err != nil {
			keycloak.stop()
			return stage.Set{}, err
		}
		s := story{platform: p, alice: alice, chart: &tool.Tool{Name: "chart-cli", Endpoint: at.Resource, Person: alice}}
		return stage.Set{
			Server: stage.Endpoint(handler),
			Issuer: at.Issuer,
			Login:  login.Config{People: []login.Person{{Name: alice.Name, Password: alice.Password}}},
			Steps:  s.steps(),
			Close:  func() { s.chart.Close(); keycloak.stop() },
		}, nil
	}}
}

// story is a tool of one user.
type story struct {
	platform *platform
	alice    *tool.Person
	chart    *tool.Tool
}

func (s *story) steps() []stage.Step {
	return []stage.Step{
		{Title: "chart-cli comes without a token, registers at Keycloak, and asks for analytics:data:read; alice signs in and says yes", Do: s.connect},
		{Title: "chart-cli reads the usage log", Do: s.call("read_usage_log", 0)},
		{Title: "chart-cli edits a view; the server asks for dashboard:modify, and alice says no", Do: s.refused},
		{Title: "chart-cli reads the usage log again: the refusal has cost it nothing", Do: s.call("read_usage_log", 0)},
		{Title: "chart-cli edits a view; the server asks for dashboard:modify, and alice says yes", Do: s.call("edit_view", 1)},
		{Title: "chart-cli still reads the usage log", Do: s.call("read_usage_log", 0)},
		{Title: "The token of chart-cli expires; it fetches another without alice", Do: s.refreshed},
	}
}

func (s *story) connect(ctx context.Context) (string, error) {
	if err := s.chart.Connect(ctx); err != nil {
		return "", err
	}
	asked := s.chart.Asked()
	if len(asked) != 1 || !slices.Contains(asked[0], readUsage) || slices.Contains(asked[0], modifyDashboard) {
		return "", fmt.Errorf("expected one request, for %s, got %q", readUsage, asked)
	}
	tools, err := s.chart.Tools(ctx)
	return fmt.Sprintf("alice has allowed %q; the tools on offer are %q", asked[0], tools), err
}

// call expects that a call is served, after so many questions to alice.
func (s *story) call(name string, questions int) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ran, asked := s.platform.runs(name), len(s.chart.Asked())
		s.alice.Allows = nil
		text, err := s.chart.Call(ctx, name, nil)
		switch {
		case err != nil:
			return "", err
		case s.platform.runs(name) != ran+1:
			return "", errors.New("the tool did not run once")
		case len(s.chart.Asked()) != asked+questions:
			return "", fmt.Errorf("alice was asked %d times", len(s.chart.Asked())-asked)
		}
		return "allowed: " + text, nil
	}
}

// refused expects that alice is asked, denies, and that nothing has run.
func (s *story) refused(ctx context.Context) (string, error) {
	ran, asked := s.platform.runs("edit_view"), len(s.chart.Asked())
	s.alice.Allows = []string{}
	_, err := s.chart.Call(ctx, "edit_view", nil)
	switch {
	case !errors.Is(err, tool.ErrDenied):
		return "", fmt.Errorf("expected a refusal, got %v", err)
	case s.platform.runs("edit_view") != ran:
		return "", errors.New("the tool ran although the call was refused")
	case len(s.chart.Asked()) != asked+1:
		return "", errors.New("alice was not asked")
	}
	return fmt.Sprintf("refused; the tool asked for %q, and nothing ran", s.chart.Asked()[asked]), nil
}

func (s *story) refreshed(ctx context.Context) (string, error) {
	renewed := s.chart.Tokens()
	s.chart.Expire()
	found, err := s.call("read_usage_log", 0)(ctx)
	if err == nil && !renewed() {
		err = errors.New("the token is the old one")
	}
	return "refreshed, then " + found, err
}
