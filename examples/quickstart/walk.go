package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// step does one thing, and says what was checked and found right.
type step struct {
	title string
	label string // in short, where a step without one is not shown
	do    func(context.Context) (string, error)
}

// walk runs the steps, until one does not do what it should.
func walk(ctx context.Context, s *site, w *wire) error {
	j := journey{site: s, client: newClient(s.resource, w)}
	steps := j.steps()
	for i, step := range steps {
		w.title(i+1, step.title)
		found, err := step.do(ctx)
		if err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.title, err)
		}
		w.found(step.label, found)
	}
	w.line(green, fmt.Sprintf("All %d steps did what they should.", len(steps)))
	return nil
}

// journey is a client on its way through the steps.
type journey struct {
	*client
	site   *site
	issuer string
}

func (j *journey) steps() []step {
	return []step{
		{"Call a tool without a token", "call query_usage", j.challenged},
		{"Read the metadata that the challenge points to", "resource metadata", j.discovered},
		{"Read the metadata of the authorization server", "issuer metadata", j.read},
		{"Introduce the client", "registration", j.registered},
		{"Send the user to the authorization server, who allows what is asked", "", j.authorized},
		{"Exchange the code for a token", "consent and token", j.received},
		{"Call the tool again", "call query_usage", j.called("query_usage")},
		{"Call a tool that needs more", "call edit_dashboard", j.refused},
		{"Step up: ask the user for the scope of the challenge too", "", j.authorized},
		{"Exchange the code for a token that can do more", "step-up and token", j.received},
		{"Call the tool that needed more", "call edit_dashboard", j.called("edit_dashboard")},
	}
}

func (j *journey) challenged(ctx context.Context) (string, error) {
	status, _, err := j.call(ctx, "query_usage")
	switch c := j.challenge; {
	case err != nil:
		return "", err
	case status != http.StatusUnauthorized:
		return "", fmt.Errorf("expected 401, got %d", status)
	case c.metadata == "" || len(c.scopes) == 0 || c.code != "":
		return "", fmt.Errorf("expected a challenge with resource_metadata and scope and without error, got %+v", c)
	case j.site.tools.runs("query_usage") != 0:
		return "", fmt.Errorf("the tool ran without a token")
	}
	return "refused: to begin with, ask for " + strings.Join(j.challenge.scopes, " and "), nil
}

func (j *journey) discovered(ctx context.Context) (found string, err error) {
	j.issuer, err = j.findIssuer(ctx)
	return "about the URL dialled; names " + j.issuer, err
}

func (j *journey) read(ctx context.Context) (string, error) {
	return "the issuer is the one that was named, and has PKCE", j.readServer(ctx, j.issuer)
}

func (j *journey) registered(ctx context.Context) (string, error) {
	return "the client has an id and needs no secret", j.register(ctx)
}

func (j *journey) authorized(ctx context.Context) (string, error) {
	err := j.authorize(ctx)
	return "a code came back, with our state and from the right issuer", err
}

func (j *journey) received(ctx context.Context) (string, error) {
	wanted := j.pending.scopes
	if err := j.fetchToken(ctx); err != nil {
		return "", err
	}
	for _, scope := range wanted {
		if !slices.Contains(j.scopes, scope) {
			return "", fmt.Errorf("expected a token with %q, got one with %q", wanted, j.scopes)
		}
	}
	return "a token with " + strings.Join(j.scopes, " and "), nil
}

func (j *journey) called(tool string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		status, text, err := j.call(ctx, tool)
		switch ran := j.site.tools.runs(tool); {
		case err != nil:
			return "", err
		case status != http.StatusOK:
			return "", fmt.Errorf("expected 200, got %d", status)
		case ran != 1:
			return "", fmt.Errorf("expected the tool to have run once, it ran %d times", ran)
		}
		return "allowed: " + text, nil
	}
}

func (j *journey) refused(ctx context.Context) (string, error) {
	status, _, err := j.call(ctx, "edit_dashboard")
	switch c := j.challenge; {
	case err != nil:
		return "", err
	case status != http.StatusForbidden:
		return "", fmt.Errorf("expected 403, got %d", status)
	case c.code != "insufficient_scope" || !slices.Contains(c.scopes, "dashboard:modify") || c.metadata == "":
		return "", fmt.Errorf("expected a challenge for dashboard:modify, got %+v", c)
	case j.site.tools.runs("edit_dashboard") != 0:
		return "", fmt.Errorf("the tool ran although the call was refused")
	}
	return "refused: it needs " + strings.Join(j.challenge.scopes, " and ") + ", and did not run", nil
}
