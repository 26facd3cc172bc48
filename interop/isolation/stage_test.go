package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// news wakes up everybody who waits for something, whenever anything happens.
type news struct {
	mu   sync.Mutex
	next chan struct{}
}

func (n *news) channel() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// until waits for a condition. It reports false when that took longer than
// only a failure takes.
func (n *news) until(condition func() bool) bool {
	late := time.NewTimer(*patience)
	defer late.Stop()
	for {
		changed := n.channel()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-late.C:
			return condition()
		}
	}
}

// stage is where the tools of all servers meet the test: they wait at its
// gates and note what they did, by the tag of the call. Servers that are other
// programs reach it by HTTP.
type stage struct {
	news
	lock  sync.Mutex
	gates map[string]chan struct{}
	notes map[string][]string
}

// theStage is one for all, because programs serve several tests.
var theStage = &stage{gates: map[string]chan struct{}{}, notes: map[string][]string{}}

// note writes down what a call did, unless it has no tag.
func (s *stage) note(tag, what string) {
	if tag == "" {
		return
	}
	s.lock.Lock()
	s.notes[tag] = append(s.notes[tag], what)
	s.lock.Unlock()
	s.tell()
}

// noted returns what a call did.
func (s *stage) noted(tag string) []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.notes[tag])
}

// has reports whether a call has noted that.
func (s *stage) has(tag, what string) bool { return slices.Contains(s.noted(tag), what) }

// count is how often a call noted that.
func (s *stage) count(tag, what string) (n int) {
	for _, noted := range s.noted(tag) {
		if noted == what {
			n++
		}
	}
	return n
}

// ended is the last word of a call, "" while it goes on.
func (s *stage) ended(tag string) string {
	for _, noted := range s.noted(tag) {
		if how, ok := strings.CutPrefix(noted, "ended "); ok {
			return how
		}
	}
	return ""
}

func (s *stage) gate(name string) chan struct{} {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.gates[name] == nil {
		s.gates[name] = make(chan struct{})
	}
	return s.gates[name]
}

// open lets through who waits at a gate, and who comes later.
func (s *stage) open(name string) {
	gate := s.gate(name)
	s.lock.Lock()
	defer s.lock.Unlock()
	select {
	case <-gate:
	default:
		close(gate)
	}
}

// pass waits at a gate.
func (s *stage) pass(ctx context.Context, name string) error {
	select {
	case <-s.gate(name):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stageURL serves the stage to other programs.
var stageURL = sync.OnceValue(func() string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /note", func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Tag, What string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		theStage.note(body.Tag, body.What)
	})
	mux.HandleFunc("GET /gate/{name}", func(w http.ResponseWriter, r *http.Request) {
		if theStage.pass(r.Context(), r.PathValue("name")) != nil {
			http.Error(w, "gone", http.StatusRequestTimeout)
		}
	})
	return httptest.NewServer(mux).URL
})

// step is one thing that a tool does. A tool gets its steps as arguments, so
// that every server has the same two tools, whatever a test needs.
type step struct {
	Do    string `json:"do"`
	Text  string `json:"text,omitempty"`  // what is said, with a canary in it
	N     int    `json:"n,omitempty"`     // how often, or up to where
	From  int    `json:"from,omitempty"`  // numbers begin here
	Token string `json:"token,omitempty"` // of progress
	Level string `json:"level,omitempty"` // of a log message
	Gate  string `json:"gate,omitempty"`
	URI   string `json:"uri,omitempty"`
}

// script is what a call is to do.
type script struct {
	Tag   string `json:"tag"`
	Steps []step `json:"steps"`
}

// player does the steps that need a server.
type player interface {
	notify(ctx context.Context, text string) error
	progress(ctx context.Context, token, text string, n int) error
	log(ctx context.Context, level, text string) error
	elicit(ctx context.Context, text string) (action string, err error)
	sample(ctx context.Context, text string) (answer string, err error)
	addTool(ctx context.Context, name string) error
	updated(ctx context.Context, uri string) error
	broadcast(ctx context.Context, text string) error
}

// play does the steps in their order and returns what the call says.
func (s *script) play(ctx context.Context, p player) string {
	theStage.note(s.Tag, "ran")
	said := []string{}
	for _, step := range s.Steps {
		if err := s.one(ctx, p, step, &said); err != nil {
			how := "failed: " + err.Error()
			if ctx.Err() != nil {
				how = "cancelled"
			}
			theStage.note(s.Tag, "ended "+how)
			return strings.Join(append(said, how), " ")
		}
	}
	theStage.note(s.Tag, "ended well")
	return strings.Join(said, " ")
}

func (s *script) one(ctx context.Context, p player, step step, said *[]string) (err error) {
	switch step.Do {
	case "say":
		*said = append(*said, step.Text)
	case "wait":
		theStage.note(s.Tag, "waits "+step.Gate)
		err = theStage.pass(ctx, step.Gate)
	case "notify":
		for i := range step.N {
			if err = p.notify(ctx, numbered(step.Text, step.From+i)); err != nil {
				return err
			}
		}
	case "progress":
		for i := range step.N {
			if err = p.progress(ctx, step.Token, numbered(step.Text, step.From+i), step.From+i+1); err != nil {
				return err
			}
		}
	case "log":
		err = p.log(ctx, step.Level, step.Text)
	case "elicit":
		theStage.note(s.Tag, "elicits")
		var action string
		if action, err = p.elicit(ctx, step.Text); err == nil {
			theStage.note(s.Tag, "elicited "+action)
			*said = append(*said, "elicited", action)
		}
	case "sample":
		theStage.note(s.Tag, "samples")
		var answer string
		if answer, err = p.sample(ctx, step.Text); err == nil {
			theStage.note(s.Tag, "sampled "+answer)
			*said = append(*said, "sampled", answer)
		}
	case "tool":
		if err := p.addTool(ctx, step.Text); err != nil { // a server may refuse: nobody has the tool then
			theStage.note(s.Tag, "no tool")
		}
	case "updated":
		err = p.updated(ctx, step.URI)
	case "broadcast":
		err = p.broadcast(ctx, step.Text)
	default:
		err = fmt.Errorf("unknown step %q", step.Do)
	}
	return err
}

// numbered is the text of one of several notifications: none is part of another.
func numbered(text string, i int) string { return fmt.Sprintf("%s-n%d;", text, i) }
