// Command downstream tells the story of an MCP server whose tools call a second API as their user: with a
// token that the authorization server exchanges for the user's, when the user has agreed. It shows consent,
// step-up, an outage, and work that goes on when its request is over.
//
//	go run -C examples/downstream .
//	go run -C examples/downstream . --serve
//
// server.go is the part that you would write, records.go the API that somebody else has.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/login"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/stage"
	"github.com/seed-1e292522/mcpauth/examples/internal/stories/tool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(stage.Run(ctx, play(policy(), needs()), os.Args[1:], os.Stdout, os.Stderr))
}

// needs says what the caller's token has to have for a scope of the API. The authorization server knows.
func needs() map[string]string {
	return map[string]string{recordsRead: useDesk, recordsWrite: changeDesk}
}

// play tells the story under a policy, and with an authorization server; the test gives it wrong ones, to see it fail.
func play(rules mcpauth.Policy, needs map[string]string) stage.Play {
	return stage.Play{Name: "downstream", Open: func(at stage.Stage) (stage.Set, error) {
		api, err := openRecords(at.Issuer)
		if err != nil {
			return stage.Set{}, err
		}
		secret := rand.Text()
		s := &story{api: api}
		if s.desk, err = newDesk(at, api.url, secret); err != nil {
			return stage.Set{}, err
		}
		handler, err := s.desk.protect(at, rules)
		if err != nil {
			return stage.Set{}, err
		}
		person := func(name string) *tool.Tool {
			return &tool.Tool{Name: name + "'s assistant", Endpoint: at.Resource, OpensURLs: true, Person: &tool.Person{Name: name, Password: rand.Text()}}
		}
		s.alice, s.bob = person("alice"), person("bob")
		return stage.Set{
			Server: stage.Endpoint(handler),
			Login: login.Config{
				Scopes:           []string{useDesk, changeDesk},
				People:           []login.Person{{Name: "alice", Password: s.alice.Person.Password}, {Name: "bob", Password: s.bob.Person.Password}},
				OpenRegistration: true,
				Services:         []login.Service{{ID: service, Secret: secret}},
				APIs:             []login.API{{URL: api.url, Scopes: needs}},
				Exchanging:       s.exchanging,
			},
			Steps: s.steps(),
			Close: func() { s.alice.Close(); s.bob.Close(); _ = api.http.Close() },
		}, nil
	}}
}

// story is two users of one MCP server.
type story struct {
	desk       *desk
	api        *records
	alice, bob *tool.Tool

	exchanges atomic.Int32 // that were asked for
	down      atomic.Bool  // nobody exchanges anything
}

func (s *story) exchanging() bool {
	s.exchanges.Add(1)
	return !s.down.Load()
}

func (s *story) steps() []stage.Step {
	return []stage.Step{
		{Title: "alice's and bob's assistants sign in, each for the MCP server", Do: s.connect},
		{Title: "The token of alice's assistant is tried at the records API itself", Do: s.passedOn},
		{Title: "alice reads her records; the authorization server wants her consent, the assistant opens the page, and she agrees", Do: s.consent},
		{Title: "alice reads them again", Do: s.remembered},
		{Title: "bob reads his records; he is asked for himself, and closes the page", Do: s.declined},
		{Title: "alice adds a record; for that the API wants more than her token has, and she steps up", Do: s.stepUp},
		{Title: "The authorization server exchanges nothing any more; alice reads her records, and bob tries to change his", Do: s.outage},
		{Title: "It works again, and bob agrees", Do: s.recovered},
		{Title: "alice begins an export, which goes on when the call has been answered", Do: s.outlives},
	}
}

func (s *story) connect(ctx context.Context) (string, error) {
	for _, t := range []*tool.Tool{s.alice, s.bob} {
		if err := t.Connect(ctx); err != nil {
			return "", err
		}
	}
	tools, err := s.alice.Tools(ctx)
	return fmt.Sprintf("both may %s; the tools on offer are %q", useDesk, tools), err
}

func (s *story) passedOn(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.api.url, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+s.alice.AccessToken())
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		return "", fmt.Errorf("the API answers %s", response.Status)
	}
	return "refused: it is addressed to the MCP server", nil
}

func (s *story) consent(ctx context.Context) (string, error) {
	s.alice.Person.Agrees = true
	text, err := s.alice.Call(ctx, "read_records", nil)
	if err == nil && (len(s.alice.Visited()) != 1 || text != "invoice 1, invoice 2") {
		err = fmt.Errorf("alice was sent to %d pages, and then read %q", len(s.alice.Visited()), text)
	}
	return "one page, then: " + text, err
}

// remembered expects that neither alice nor the authorization server is asked.
func (s *story) remembered(ctx context.Context) (string, error) {
	before := s.exchanges.Load()
	text, err := s.alice.Call(ctx, "read_records", nil)
	if err == nil && (len(s.alice.Visited()) != 1 || s.exchanges.Load() != before) {
		err = errors.New("somebody was asked again")
	}
	return "no page and no exchange: " + text, err
}

func (s *story) declined(ctx context.Context) (string, error) {
	served := s.api.count()
	text, err := s.bob.Call(ctx, "read_records", nil)
	switch {
	case err == nil:
		return "", fmt.Errorf("bob has read %q", text)
	case len(s.bob.Visited()) != 1 || s.api.count() != served:
		return "", fmt.Errorf("bob was sent to %d pages, and the API called %d times", len(s.bob.Visited()), s.api.count()-served)
	}
	return "he is told: " + err.Error(), nil
}

func (s *story) stepUp(ctx context.Context) (string, error) {
	asked := len(s.alice.Asked())
	text, err := s.alice.Call(ctx, "change_record", map[string]any{"record": "invoice 3"})
	switch {
	case err != nil:
		return "", err
	case text != "invoice 1, invoice 2, invoice 3":
		return "", fmt.Errorf("the records are %q", text)
	case len(s.alice.Asked()) != asked+1 || !slices.Contains(s.alice.Asked()[asked], changeDesk) || !slices.Contains(s.alice.Asked()[asked], useDesk):
		return "", fmt.Errorf("alice was asked for %q", s.alice.Asked()[asked:])
	}
	return fmt.Sprintf("the assistant asked for %q, then: %s", slices.Sorted(slices.Values(s.alice.Asked()[asked])), text), nil
}

// outage expects that what is remembered goes on, and that nobody is sent to sign in.
func (s *story) outage(ctx context.Context) (string, error) {
	if _, err := s.alice.Call(ctx, "read_records", nil); err != nil { // with the token of now
		return "", err
	}
	s.down.Store(true)
	asked := len(s.alice.Asked()) + len(s.bob.Asked())
	text, err := s.alice.Call(ctx, "read_records", nil)
	if err != nil {
		return "", err
	}
	_, err = s.bob.Call(ctx, "change_record", map[string]any{"record": "letter 8"})
	switch {
	case err == nil || !strings.Contains(err.Error(), http.StatusText(http.StatusServiceUnavailable)):
		return "", fmt.Errorf("bob's call ends with %v", err)
	case len(s.alice.Asked())+len(s.bob.Asked()) != asked:
		return "", errors.New("somebody was sent to sign in")
	}
	return "alice: " + text + "; bob: 503, and nobody had to sign in again", nil
}

func (s *story) recovered(ctx context.Context) (string, error) {
	s.down.Store(false)
	s.bob.Person.Agrees = true
	for {
		text, err := s.bob.Call(ctx, "read_records", nil)
		if err == nil || !strings.Contains(err.Error(), "not available now") {
			return "bob: " + text, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Second): // as Retry-After says
		}
	}
}

func (s *story) outlives(ctx context.Context) (string, error) {
	text, err := s.alice.Call(ctx, "export_records", nil)
	if err != nil {
		return "", err
	}
	select {
	case done := <-s.desk.exported:
		if done.err != nil || done.late == nil {
			return "", fmt.Errorf("the export ended with %v, and a late request for a token with %v", done.err, done.late)
		}
		return fmt.Sprintf("%s; then %d records with the token that it had taken; who asks later is told: %v", text, len(done.records), done.late), nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(10 * time.Second):
		return "", errors.New("the export does not end")
	}
}
