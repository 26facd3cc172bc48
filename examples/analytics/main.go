// Command analytics tells the story of an analytics platform. Developer tools
// that the platform has never heard of register themselves; a user consents to
// what each of them may do, and steps up when a tool needs more. Tokens are
// short-lived JWTs of a real authorization server.
//
//	go run -C examples/analytics .
//	go run -C examples/analytics . --serve
//
// server.go is the part that a platform would write.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/tool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(stage.Run(ctx, play(policy()), os.Args[1:], os.Stdout, os.Stderr))
}

// play tells the story under a policy; the test gives it wrong ones, to see it fail.
func play(policy mcpauth.Policy) stage.Play {
	return stage.Play{Name: "analytics", Open: func(at stage.Stage) (stage.Set, error) {
		p := &platform{}
		handler, err := protect(at, policy, p)
		if err != nil {
			return stage.Set{}, err
		}
		alice := &tool.Person{Name: "alice", Password: rand.Text()}
		s := story{
			platform: p,
			alice:    alice,
			chart:    &tool.Tool{Name: "chart-cli", Endpoint: at.Resource, Person: alice},
			layout:   &tool.Tool{Name: "layout-bot", Endpoint: at.Resource, Person: alice},
		}
		return stage.Set{
			Server: stage.Endpoint(handler),
			Login: login.Config{
				Scopes:           []string{readUsage, modifyDashboard},
				People:           []login.Person{{Name: alice.Name, Password: alice.Password}},
				OpenRegistration: true,
			},
			Steps: s.steps(),
			Close: func() { s.chart.Close(); s.layout.Close() },
		}, nil
	}}
}

// story is two tools of one user.
type story struct {
	platform      *platform
	alice         *tool.Person
	chart, layout *tool.Tool
}

func (s *story) steps() []stage.Step {
	return []stage.Step{
		{Title: "chart-cli comes without a token, registers, and asks for both scopes; alice leaves analytics:data:read ticked", Do: s.connect(s.chart, readUsage)},
		{Title: "chart-cli reads the usage log", Do: s.allowed(s.chart, "read_usage_log")},
		{Title: "chart-cli edits a view; the server asks for dashboard:modify, and alice says no", Do: s.refused(s.chart, "edit_view")},
		{Title: "chart-cli reads the usage log again: the refusal has cost it nothing", Do: s.allowed(s.chart, "read_usage_log")},
		{Title: "chart-cli edits a view; the server asks for dashboard:modify, and alice says yes", Do: s.stepUp(s.chart, "edit_view", readUsage, modifyDashboard)},
		{Title: "chart-cli still reads the usage log", Do: s.allowed(s.chart, "read_usage_log")},
		{Title: "layout-bot registers too; alice leaves dashboard:modify ticked", Do: s.connect(s.layout, modifyDashboard)},
		{Title: "layout-bot edits a view", Do: s.allowed(s.layout, "edit_view")},
		{Title: "layout-bot reads the usage log; alice says no", Do: s.refused(s.layout, "read_usage_log")},
		{Title: "layout-bot reads the usage log; alice says yes", Do: s.stepUp(s.layout, "read_usage_log", readUsage, modifyDashboard)},
		{Title: "The token of chart-cli expires; it fetches another without alice", Do: s.refreshed},
	}
}

// connect lets a tool begin, with what alice leaves ticked.
func (s *story) connect(t *tool.Tool, scopes ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		s.alice.Allows = scopes
		if err := t.Connect(ctx); err != nil {
			return "", err
		}
		asked := t.Asked()
		if len(asked) != 1 || !slices.Contains(asked[0], readUsage) || !slices.Contains(asked[0], modifyDashboard) {
			return "", fmt.Errorf("expected one request for both scopes, got %q", asked)
		}
		tools, err := t.Tools(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("alice has allowed %q of %q; the tools on offer are %q", scopes, asked[0], tools), nil
	}
}

// allowed expects that a call is served without any question to alice.
func (s *story) allowed(t *tool.Tool, name string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ran, asked := s.platform.runs(name), len(t.Asked())
		text, err := t.Call(ctx, name, nil)
		switch {
		case err != nil:
			return "", err
		case s.platform.runs(name) != ran+1:
			return "", errors.New("the tool did not run")
		case len(t.Asked()) != asked:
			return "", errors.New("alice was asked again")
		}
		return "allowed: " + text, nil
	}
}

// refused expects that alice is asked, denies, and that nothing has run.
func (s *story) refused(t *tool.Tool, name string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ran, asked := s.platform.runs(name), len(t.Asked())
		s.alice.Allows = []string{}
		_, err := t.Call(ctx, name, nil)
		switch {
		case !errors.Is(err, tool.ErrDenied):
			return "", fmt.Errorf("expected a refusal, got %v", err)
		case s.platform.runs(name) != ran:
			return "", errors.New("the tool ran although the call was refused")
		case len(t.Asked()) != asked+1:
			return "", errors.New("alice was not asked")
		}
		return fmt.Sprintf("refused; the tool asked for %q, and nothing ran", t.Asked()[asked]), nil
	}
}

// stepUp expects that a call succeeds after one question to alice.
func (s *story) stepUp(t *tool.Tool, name string, wanted ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ran, asked := s.platform.runs(name), len(t.Asked())
		s.alice.Allows = nil
		text, err := t.Call(ctx, name, nil)
		switch {
		case err != nil:
			return "", err
		case s.platform.runs(name) != ran+1:
			return "", errors.New("the tool did not run once")
		case len(t.Asked()) != asked+1:
			return "", fmt.Errorf("alice was asked %d times", len(t.Asked())-asked)
		}
		for _, scope := range wanted {
			if !slices.Contains(t.Asked()[asked], scope) {
				return "", fmt.Errorf("the tool asked for %q and would lose %q", t.Asked()[asked], scope)
			}
		}
		return fmt.Sprintf("the tool asked for %q; allowed: %s", t.Asked()[asked], text), nil
	}
}

func (s *story) refreshed(ctx context.Context) (string, error) {
	s.alice.Allows = []string{}
	renewed := s.chart.Tokens()
	s.chart.Expire()
	found, err := s.allowed(s.chart, "read_usage_log")(ctx)
	if err == nil && !renewed() {
		err = errors.New("the token is the old one")
	}
	return "refreshed, then " + found, err
}
