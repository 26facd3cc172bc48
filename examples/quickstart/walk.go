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
	do    func(context.Context) (string, error)
}

// walk runs the steps, until one does not do what it should.
func walk(ctx context.Context, s *site, w *wire) error {
	j := journey{site: s, client: newClient(s.resource, w)}
	steps := j.steps()
	for i, step := range steps {
		fmt.Fprintf(w.out, "%d. %s\n", i+1, step.title)
		found, err := step.do(ctx)
		if err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.title, err)
		}
		w.print("  = ", found)
		fmt.Fprintln(w.out)
	}
	fmt.Fprintf(w.out, "All %d steps did what they should.\n", len(steps))
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
		{"Call a tool without a token", j.challenged},
		{"Read the metadata that the challenge points to", j.discovered},
		{"Read the metadata of the authorization server", j.read},
		{"Introduce the client", j.registered},
		{"Send the user to the authorization server, who allows what is asked", j.authorized},
		{"Exchange the code for a token", j.received},
		{"Call the tool again", j.called("query_usage")},
		{"Call a tool that needs more", j.refused},
		{"Step up: ask the user for the scope of the challenge too", j.authorized},
		{"Exchange the code for a token that can do more", j.received},
		{"Call the tool that needed more", j.called("edit_dashboard")},
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
	return "refused; the challenge says where to look and what to ask for to begin with", nil
}

func (j *journey) discovered(ctx context.Context) (found string, err error) {
	j.issuer, err = j.findIssuer(ctx)
	return "the metadata is about the URL that was dialled, and names " + j.issuer, err
}

func (j *journey) read(ctx context.Context) (string, error) {
	return "the issuer is the one that was named, and it has PKCE", j.readServer(ctx, j.issuer)
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
	return "refused; the challenge names the scope that would help, and the tool did not run", nil
}
