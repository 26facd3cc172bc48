// Command codegen tells the story of tools with a scope for each action. The
// names of scopes follow a convention, an administrator's scope includes the
// others, and what a deployment needs depends on where it goes.
//
//	go run -C examples/codegen .
//	go run -C examples/codegen . --serve
//
// server.go is the part that you would write. The server is made with the
// official Go SDK and has sessions.
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

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/tool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(stage.Run(ctx, play(newPolicy()), os.Args[1:], os.Stdout, os.Stderr))
}

// theEditor is known to the authorization server. A session belongs to the client that began it, and the SDK
// registers another one for each step-up of a client without an id.
const theEditor = "editor"

// play tells the story under a policy; the test gives it wrong ones, to see it fail.
func play(policy mcpauth.Policy) stage.Play {
	return stage.Play{Name: "codegen", Open: func(at stage.Stage) (stage.Set, error) {
		w := &workshop{}
		handler, err := protect(at, policy, w)
		if err != nil {
			return stage.Set{}, err
		}
		s := story{
			workshop: w,
			bob:      &tool.Tool{Name: "editor of bob", Endpoint: at.Resource, ID: theEditor, Person: &tool.Person{Name: "bob", Password: rand.Text()}},
			carol:    &tool.Tool{Name: "console of carol", Endpoint: at.Resource, Person: &tool.Person{Name: "carol", Password: rand.Text()}},
		}
		// Both ask for everything. Whether they get it is not for them to say.
		s.bob.Scopes, s.carol.Scopes = []string{everyTool}, []string{everyTool}
		return stage.Set{
			Server: stage.Endpoint(handler),
			Login: login.Config{
				Scopes: []string{executeGenerate, executeDeploy, prodDeploy, inspectDebug, everyTool},
				People: []login.Person{
					{Name: "bob", Password: s.bob.Person.Password, Scopes: []string{executeGenerate, executeDeploy, prodDeploy}},
					{Name: "carol", Password: s.carol.Person.Password, Scopes: []string{everyTool}},
				},
				Clients:          []login.Client{{ID: theEditor, Name: "Editor", RedirectURIs: []string{tool.RedirectURI}}},
				OpenRegistration: true,
			},
			Steps: s.steps(),
			Close: func() { s.bob.Close(); s.carol.Close() },
		}, nil
	}}
}

// story is a developer and an administrator.
type story struct {
	workshop   *workshop
	bob, carol *tool.Tool
}

// codeInsufficientScope is what a server answers to a call whose token lacks a scope.
const codeInsufficientScope = -31403

func to(environment any) map[string]any { return map[string]any{"environment": environment} }

func (s *story) steps() []stage.Step {
	return []stage.Step{
		{Title: "The editor of bob asks for " + everyTool + " too, which is not bob's to give", Do: s.connect(s.bob, "deploy", "generate")},
		{Title: "bob generates code", Do: s.does(s.bob, 0, "generate", nil, "bob generated code")},
		{Title: "bob deploys to staging: " + executeDeploy + " is missing, and bob consents", Do: s.does(s.bob, 1, "deploy", to("staging"), "bob deployed to staging")},
		{Title: "bob deploys to dev: the same scope will do", Do: s.does(s.bob, 0, "deploy", to("dev"), "bob deployed to dev")},
		{Title: "bob deploys to prod: one scope more is needed, and bob thinks better of it", Do: s.refused(s.bob, "deploy", to("prod"))},
		{Title: "bob deploys to PROD", Do: s.refused(s.bob, "deploy", to("PROD"))},
		{Title: "bob deploys to an environment that is no text", Do: s.refused(s.bob, "deploy", to([]string{"dev"}))},
		{Title: "bob deploys and calls the argument Environment", Do: s.refused(s.bob, "deploy", map[string]any{"Environment": "dev"})},
		{Title: "bob deploys to prod, and consents", Do: s.does(s.bob, 1, "deploy", to("prod"), "bob deployed to prod")},
		{Title: "bob debugs: he consents, but the scope is not his to give", Do: s.powerless(s.bob, "debug")},
		{Title: "carol is an administrator and gives " + everyTool, Do: s.connect(s.carol, "debug", "deploy", "generate")},
		{Title: "carol debugs without further questions", Do: s.does(s.carol, 0, "debug", nil, "carol looked into the program")},
		{Title: "carol deploys to prod without further questions", Do: s.does(s.carol, 0, "deploy", to("prod"), "carol deployed to prod")},
	}
}

// connect expects that the tool then sees these tools and no others.
func (s *story) connect(t *tool.Tool, wanted ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := t.Connect(ctx); err != nil {
			return "", err
		}
		listed, err := t.Tools(ctx)
		if err != nil {
			return "", err
		}
		if !slices.Equal(listed, wanted) {
			return "", fmt.Errorf("expected the tools %q, got %q", wanted, listed)
		}
		return fmt.Sprintf("asked for %q; listed are %q", t.Asked()[0], listed), nil
	}
}

// does expects that a call is served after so many questions to its person.
func (s *story) does(t *tool.Tool, questions int, name string, arguments map[string]any, deed string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		t.Person.Allows = nil
		asked, done := len(t.Asked()), len(s.workshop.deeds())
		text, err := t.Call(ctx, name, arguments)
		deeds := s.workshop.deeds()[done:]
		switch {
		case err != nil:
			return "", err
		case text != deed || len(deeds) != 1 || deeds[0] != deed:
			return "", fmt.Errorf("expected %q, got %q", deed, deeds)
		case len(t.Asked()) != asked+questions:
			return "", fmt.Errorf("expected %d questions, got %q", questions, t.Asked()[asked:])
		}
		return fmt.Sprintf("%s; questions: %q", text, t.Asked()[asked:]), nil
	}
}

// refused expects that the person is asked for the scope of production,
// denies it, and that nothing has been done.
func (s *story) refused(t *tool.Tool, name string, arguments map[string]any) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		t.Person.Allows = []string{}
		asked, done := len(t.Asked()), len(s.workshop.deeds())
		_, err := t.Call(ctx, name, arguments)
		switch questions := t.Asked()[asked:]; {
		case !errors.Is(err, tool.ErrDenied):
			return "", fmt.Errorf("expected a refusal, got %v", err)
		case len(s.workshop.deeds()) != done:
			return "", fmt.Errorf("done although refused: %q", s.workshop.deeds()[done:])
		case len(questions) != 1 || !slices.Contains(questions[0], prodDeploy) || !slices.Contains(questions[0], executeDeploy):
			return "", fmt.Errorf("expected one question for %s, got %q", prodDeploy, questions)
		}
		return "refused: " + prodDeploy + " was asked for, and nothing was done", nil
	}
}

// powerless expects that the person is asked once and says yes, and that the server still wants the scope:
// a consent to what is not the person's to give helps nothing.
func (s *story) powerless(t *tool.Tool, name string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		t.Person.Allows = nil
		asked, done := len(t.Asked()), len(s.workshop.deeds())
		_, err := t.Call(ctx, name, nil)
		refusal := (*jsonrpc.Error)(nil)
		switch questions := t.Asked()[asked:]; {
		case !errors.As(err, &refusal) || refusal.Code != codeInsufficientScope:
			return "", fmt.Errorf("expected insufficient scope, got %v after the questions %q", err, questions)
		case len(s.workshop.deeds()) != done:
			return "", fmt.Errorf("done although refused: %q", s.workshop.deeds()[done:])
		case len(questions) != 1 || !slices.Contains(questions[0], inspectDebug):
			return "", fmt.Errorf("expected one question for %s, got %q", inspectDebug, questions)
		}
		return "refused, although he was asked for " + inspectDebug + ": " + refusal.Message, nil
	}
}
