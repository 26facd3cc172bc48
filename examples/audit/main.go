// Command audit tells the story of an audit tool in a financial firm. The
// authorization server is the firm's own, employees have roles there, and
// every decision is appended to a file that tells who was allowed what, when,
// by which rule and by which role. No request is served without its record.
//
//	go run -C examples/audit .
//	go run -C examples/audit . --serve
//
// server.go and trail.go are the parts that the firm would write.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
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

// theClient is known to the firm's authorization server; strangers cannot register there.
const theClient = "audit-desk"

// play tells the story under rules; the test gives it wrong ones, to see it fail.
func play(rules mcpauth.Rules) stage.Play {
	return stage.Play{Name: "audit", Open: func(at stage.Stage) (stage.Set, error) {
		directory, err := os.MkdirTemp("", "audit")
		if err != nil {
			return stage.Set{}, err
		}
		s := story{at: at, path: filepath.Join(directory, "decisions.jsonl"), desk: &desk{}}
		trail, decided, err := openTrail(s.path)
		if err != nil {
			return stage.Set{}, err
		}
		at.Log.Info("decisions are appended to a file, which goes when this program ends", "path", s.path)
		handler, err := protect(at, rules, decided, s.desk)
		if err != nil {
			return stage.Set{}, err
		}
		staff := []login.Person{
			{Name: "frank", Password: rand.Text(), Roles: []string{"clerk"}},
			{Name: "gina", Password: rand.Text(), Roles: []string{"auditor", "clerk"}},
			{Name: "hugo", Password: rand.Text(), Roles: []string{"lead-auditor"}},
		}
		for _, p := range staff {
			s.staff = append(s.staff, &tool.Tool{Name: "audit desk of " + p.Name, Endpoint: at.Resource, ID: theClient,
				Person: &tool.Person{Name: p.Name, Password: p.Password}, Scopes: []string{"openid"}})
		}
		return stage.Set{
			Server: stage.Endpoint(handler),
			Login:  login.Config{People: staff, Clients: []login.Client{{ID: theClient, Name: "Audit desk", RedirectURIs: []string{tool.RedirectURI}}}},
			Steps:  s.steps(),
			Close: func() {
				for _, t := range s.staff {
					t.Close()
				}
				_ = trail.Close()
				_ = os.RemoveAll(directory)
			},
		}, nil
	}}
}

// story is a clerk, an auditor and a lead auditor.
type story struct {
	at    stage.Stage
	path  string
	desk  *desk
	staff []*tool.Tool
}

func (s *story) steps() []stage.Step {
	frank, gina, hugo := s.staff[0], s.staff[1], s.staff[2]
	return []stage.Step{
		{Title: "Somebody comes without a token", Do: s.stranger("")},
		{Title: "Somebody comes with a token that nobody issued", Do: s.stranger("Bearer forged")},
		{Title: "frank, a clerk, signs in: there is nothing for him", Do: s.connect(frank)},
		{Title: "frank views an account all the same", Do: s.refused(frank, "view_account")},
		{Title: "gina, an auditor, signs in", Do: s.connect(gina, "view_account")},
		{Title: "gina views an account", Do: s.allowed(gina, "view_account", "gina viewed an account")},
		{Title: "gina creates a report: no role of hers grants it, and no consent can", Do: s.refused(gina, "create_report")},
		{Title: "hugo, a lead auditor, signs in", Do: s.connect(hugo, "create_report", "view_account")},
		{Title: "hugo creates a report", Do: s.allowed(hugo, "create_report", "hugo created a report")},
		{Title: "The file is asked: who was allowed what, when, by which rule and role?", Do: s.asked},
	}
}

// stranger expects a 401.
func (s *story) stranger(authorization string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at.Resource,
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"view_account"}}`))
		if err != nil {
			return "", err
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized || len(s.desk.deeds()) > 0 {
			return "", fmt.Errorf("expected 401 and no deed, got %s and %q", response.Status, s.desk.deeds())
		}
		return response.Status, nil
	}
}

// connect expects that the person then sees these tools and no others.
func (s *story) connect(t *tool.Tool, wanted ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := t.Connect(ctx); err != nil {
			return "", err
		}
		listed, err := t.Tools(ctx)
		if err == nil && !slices.Equal(listed, wanted) {
			err = fmt.Errorf("expected the tools %q, got %q", wanted, listed)
		}
		return fmt.Sprintf("the tools on offer are %q", listed), err
	}
}

func (s *story) allowed(t *tool.Tool, name, deed string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		text, err := t.Call(ctx, name, nil)
		if deeds := s.desk.deeds(); err == nil && (text != deed || deeds[len(deeds)-1] != deed) {
			err = fmt.Errorf("expected %q, got %q", deed, text)
		}
		return "allowed: " + text, err
	}
}

func (s *story) refused(t *tool.Tool, name string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		done := len(s.desk.deeds())
		_, err := t.Call(ctx, name, nil)
		if err == nil {
			return "", errors.New("expected a refusal")
		}
		if len(s.desk.deeds()) != done {
			return "", errors.New("it was done although it was refused")
		}
		return "refused, and nothing was done", nil
	}
}

// asked reads the file and expects exactly what has happened so far.
func (s *story) asked(context.Context) (string, error) {
	records, err := readTrail(s.path)
	if err != nil {
		return "", err
	}
	var answer strings.Builder
	fmt.Fprintf(&answer, "%d decisions, those about tools:\n", len(records))
	var found []string
	strangers := map[string]int{}
	for _, r := range records {
		line := describe(r)
		switch {
		case r.Subject == "":
			strangers[r.Reason]++
		case line == "" || len(found) > 0 && found[len(found)-1] == line:
			// Not about a tool, or a client that repeats a call after it has asked for more.
		default:
			found = append(found, line)
			fmt.Fprintf(&answer, "     %s  %s\n", r.Time.Format("15:04:05.000"), line)
		}
	}
	wanted := []string{
		`frank was refused view_account: insufficient_scope, by tools["view_account"], without audit:account:view`,
		`gina was allowed view_account by tools["view_account"], granted by auditor`,
		`gina was refused create_report: insufficient_scope, by tools["create_report"], without audit:report:create`,
		`hugo was allowed create_report by tools["create_report"], granted by lead-auditor`,
	}
	if !slices.Equal(found, wanted) {
		return "", fmt.Errorf("expected\n%s\ngot\n%s", strings.Join(wanted, "\n"), strings.Join(found, "\n"))
	}
	if len(strangers) != 2 {
		return "", fmt.Errorf("expected two reasons to refuse strangers, got %v", strangers)
	}
	fmt.Fprintf(&answer, "     and nobody in particular was refused: %v", strangers)
	return answer.String(), nil
}
