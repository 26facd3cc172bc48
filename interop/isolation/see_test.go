package isolation

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// attack is one thing that a caller could do to another.
type attack struct {
	name, kind string
	applies    func(*backend, setup) bool // nil for everywhere
	run        func(*scene)
}

// The names of attacks that something is said about.
const (
	replay       = "events of a call, replayed"
	sessionTools = "tools of a session"
	taskStatus   = "the status of a task, on a stream"
)

func legacyAttacker(_ *backend, s setup) bool { return !s.attacker.modern() }

// sees is what one may not see of the other.
var sees = []attack{
	{"notifications of a call, on a stream", "see", legacyAttacker, func(s *scene) {
		stream := s.openStream()
		st := s.stand()
		st.finish()
		s.mark(stream)
	}},
	{"notifications of a call, on an answer", "see", nil, func(s *scene) {
		gate := s.newGate()
		mine := s.inFlight(gate)
		st := s.stand()
		st.finish()
		theStage.open(gate)
		s.answered(mine)
	}},
	{"progress under an equal token", "see", nil, seesProgress},
	{"results under an equal id", "see", nil, func(s *scene) {
		for _, victimFirst := range []bool{true, false} {
			gate := s.newGate()
			mine := s.inFlight(gate)
			st := s.stand()
			if victimFirst {
				st.finish()
			}
			theStage.open(gate)
			s.answered(mine)
			if !victimFirst {
				st.finish()
			}
			if strings.Contains(s.victim.saw(), mine.said) {
				s.cross("the victim had the attacker's result")
			}
		}
	}},
	{replay, "see", legacyAttacker, seesReplay},
	{sessionTools, "see", func(b *backend, _ setup) bool { return b.tools }, func(s *scene) {
		stream := s.openStream()
		name, done, used := unique("own"), unique("done"), unique("call")
		s.victim.call(1, "run", unique("call"), step{Do: "tool", Text: name}, step{Do: "say", Text: done})
		if !s.victim.awaits(done) {
			s.t.Fatalf("the victim could not add its tool: %s", s.victim.saw())
		}
		s.attacker.request(2, "tools/list", nil)
		s.attacker.call(3, name, used).ended()
		s.mark(stream)
		if strings.Contains(s.attacker.saw(), `"name":"`+name+`"`) {
			s.cross("the attacker's list has the victim's tool")
		}
		if len(theStage.noted(used)) > 0 {
			s.cross("the attacker could call the victim's tool")
		}
	}},
	{"an elicitation", "see", asks, func(s *scene) { s.seesQuestion("elicit", "elicitation/create") }},
	{"a sampling request", "see", asks, func(s *scene) { s.seesQuestion("sample", "sampling/createMessage") }},
	{"a task", "see", func(b *backend, s setup) bool { return b.tasks && !s.victim.modern() }, seesTask},
	{taskStatus, "see", func(b *backend, s setup) bool {
		return b.tasks && !s.victim.modern() && !s.attacker.modern() && (b.streams || s.attacker.presence == own)
	}, func(s *scene) {
		stream := s.openStream()
		task := s.beginTask(s.newGate())
		theStage.open(task.gate)
		theStage.until(func() bool { return theStage.ended(task.tag) != "" })
		s.mark(stream)
		if strings.Contains(stream.text(), task.id) {
			s.cross("the attacker's stream had the task")
		}
	}},
	{"an update of a resource", "see", func(b *backend, s setup) bool { return b.subs && s.victim.presence == own }, func(s *scene) {
		stream := s.openStream()
		uri := "note://" + unique("note")
		s.victim.request(1, "resources/subscribe", map[string]any{"uri": uri})
		s.victim.call(2, "run", unique("call"), step{Do: "updated", URI: uri})
		if !theStage.until(func() bool { return strings.Contains(s.victim.saw(), `"uri":"`+uri+`"`) }) {
			s.cross("the victim missed the update")
		}
		s.mark(stream)
		if strings.Contains(s.attacker.saw(), uri) {
			s.cross("the attacker had the update")
		}
	}},
	{"listen streams under an equal id", "see", func(b *backend, s setup) bool {
		return b.listens && s.victim.modern() && s.attacker.modern()
	}, func(s *scene) {
		uri, other := "note://"+s.canary, "note://"+unique("other")
		listenTo(s, s.victim, uri)
		listenTo(s, s.attacker, other)
		s.victim.call(2, "run", unique("call"), step{Do: "updated", URI: uri}, step{Do: "updated", URI: other})
		updated := func(c *caller, uri string) bool {
			return theStage.until(func() bool { return regexp.MustCompile(`resources/updated.*` + uri).MatchString(c.saw()) })
		}
		if !updated(s.victim, uri) {
			s.cross("the victim missed the update")
		}
		if !updated(s.attacker, other) {
			s.t.Errorf("the attacker missed its own update: %s", s.attacker.saw())
		}
	}},
}

// openStream opens the attacker's stream; it may be refused.
func (s *scene) openStream() *answer {
	s.t.Helper()
	if s.setup.attacker.modern() || s.sse {
		return &answer{begun: closedChannel, done: closedChannel}
	}
	a := s.attacker.listen()
	if a.began() == 0 {
		s.t.Errorf("the attacker's stream was not answered")
	}
	return a
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// flying is a call of the attacker's.
type flying struct {
	*answer
	tag, said string
	served    bool
}

// inFlight begins a call of the attacker's under the JSON-RPC id 1, which waits. It may be refused.
func (s *scene) inFlight(gate string) *flying {
	s.t.Helper()
	f := &flying{tag: unique("call"), said: unique("attackers")}
	f.answer = s.attacker.call(1, "look", f.tag, step{Do: "wait", Gate: gate}, step{Do: "say", Text: f.said})
	theStage.until(func() bool {
		return theStage.has(f.tag, "waits "+gate) || !s.sse && isClosed(f.done) || isClosed(f.done) && f.status >= 400
	})
	f.served = theStage.has(f.tag, "waits "+gate)
	return f
}

// answered waits for the answer to a call of the attacker's.
func (s *scene) answered(f *flying) {
	s.t.Helper()
	if f.served && s.setup.attacker.presence != stolen && !s.attacker.awaits(f.said) {
		s.t.Errorf("the attacker's own call has no answer: %d %q", f.status, f.text())
	}
}

func seesProgress(s *scene) {
	if !s.serves(s.setup.attacker) || s.setup.attacker.presence == stolen {
		s.stand().finish()
		return
	}
	if s.setup.attacker.presence == own {
		s.openStream() // some of it may come there
	}
	other, gate, last := unique("attackers"), s.newGate(), s.newGate()
	tags := [2]string{unique("call"), unique("call")}
	steps := func(text string) []step {
		return []step{{Do: "wait", Gate: gate}, {Do: "progress", Token: "p", Text: text, N: notes}, {Do: "wait", Gate: last}, {Do: "say", Text: text + "-done"}}
	}
	s.victim.call(1, "run", tags[0], steps(s.canary)...)
	s.attacker.call(1, "look", tags[1], steps(other)...)
	theStage.until(func() bool { return theStage.has(tags[0], "waits "+gate) && theStage.has(tags[1], "waits "+gate) })
	theStage.open(gate)
	each := func(visit func(c *caller, side side, mine, others string)) {
		visit(s.victim, s.setup.victim, s.canary, other)
		visit(s.attacker, s.setup.attacker, other, s.canary)
	}
	each(func(c *caller, side side, mine, others string) {
		if s.hearsProgress(side) {
			theStage.until(func() bool { return c.numbers(mine, notes) == notes || strings.Contains(c.saw(), others) })
			if got := c.numbers(mine, notes); got < notes {
				s.cross("the %s had %d of its %d notifications of progress", c.name, got, notes)
			}
		}
	})
	theStage.open(last)
	each(func(c *caller, _ side, mine, others string) {
		if !c.awaits(mine + "-done") {
			s.cross("the %s has no result", c.name)
		}
		if strings.Contains(c.saw(), others) {
			s.cross("the %s had something of the other's", c.name)
		}
	})
}

// seesReplay asks for everything after each event that the victim had, and
// after those that a server would begin with.
func seesReplay(s *scene) {
	st := s.stand()
	st.finish()
	ids := append([]string{"0", "1"}, s.victim.eventIDs()...)
	if len(ids) > 6 {
		ids = append(ids[:4], ids[len(ids)-2:]...)
	}
	for _, id := range ids {
		again := s.attacker.listen("Last-Event-ID", id)
		switch {
		case again.began() != http.StatusOK:
		case strings.HasPrefix(s.backend.name, "mcp-go") && !s.sse:
			s.mark(again)
		default: // nothing else comes on such a stream: what it has to say comes before it answers later requests
			for range 3 {
				s.attacker.there()
			}
		}
		again.close()
	}
	s.works()
}

func asks(b *backend, s setup) bool {
	switch {
	case s.victim.modern():
		return false
	case s.victim.presence == nobody:
		return b.asksBare
	}
	return b.asks
}

// question is what a tool of the victim's asks its client.
type question struct {
	*scene
	tag, id string
	call    *answer
}

// ask begins a call that asks the victim something, and waits until it has been asked.
func (s *scene) ask(do, method string) *question {
	s.t.Helper()
	q := &question{scene: s, tag: unique("call")}
	q.call = s.victim.call(1, "run", q.tag, step{Do: do, Text: s.canary}, step{Do: "say", Text: "asked"})
	theStage.until(func() bool {
		id, asked := requestOf(s.victim.saw(), method)
		q.id = id
		return asked || !s.asked(s.setup.victim, do) && theStage.has(q.tag, do+"s") || theStage.ended(q.tag) != "" || strings.Contains(s.attacker.saw(), s.canary)
	})
	if q.id == "" && !strings.Contains(s.attacker.saw(), s.canary) && s.asked(s.setup.victim, do) {
		s.cross("the victim was not asked: %q %q", theStage.noted(q.tag), s.victim.saw())
	}
	return q
}

// settle ends a question as the victim would: with its own answer, which is
// the one that counts, or by leaving.
func (q *question) settle(answer string, want string) {
	q.t.Helper()
	if q.setup.victim.presence == own && q.id != "" {
		q.victim.raw(`{"jsonrpc":"2.0","id":` + q.id + `,"result":` + answer + `}`).ended()
		if !theStage.until(func() bool { return theStage.has(q.tag, want) || isBad(theStage.ended(q.tag)) }) || !theStage.has(q.tag, want) {
			q.cross("the victim's own answer did not count: %q", theStage.noted(q.tag))
		}
		return
	}
	q.call.close()
	theStage.until(func() bool { return theStage.ended(q.tag) != "" })
}

const (
	declines = `{"action":"decline"}`
	samples  = `{"role":"assistant","model":"victims","content":{"type":"text","text":"x"}}`
)

func (s *scene) seesQuestion(do, method string) {
	stream := s.openStream()
	gate := s.newGate()
	mine := s.inFlight(gate)
	q := s.ask(do, method)
	s.mark(stream)
	if q.id == "" { // this server has questions and notifications in two queues, in no order
		for range 5 {
			s.mark(stream)
		}
	}
	theStage.open(gate)
	s.answered(mine)
	if do == "elicit" {
		q.settle(declines, "elicited decline")
	} else {
		q.settle(samples, "sampled victims")
	}
}

// aTask is a task of the victim's.
type aTask struct{ tag, gate, id string }

func (s *scene) beginTask(gate string) aTask {
	s.t.Helper()
	task := aTask{tag: unique("call"), gate: gate}
	message := callOf(1, "run", task.tag, step{Do: "wait", Gate: gate}, step{Do: "say", Text: s.canary})
	message["params"].(map[string]any)["task"] = map[string]any{"ttl": 60_000}
	a := s.victim.post(message)
	if !theStage.until(func() bool { return taskID.MatchString(s.victim.saw()) }) {
		s.t.Fatalf("the victim could not begin a task: %d %s", a.status, a.text())
	}
	task.id = taskID.FindStringSubmatch(s.victim.saw())[1]
	return task
}

var taskID = regexp.MustCompile(`"taskId":"([^"]+)"`)

func seesTask(s *scene) {
	task := s.beginTask(s.newGate())
	params := map[string]any{"taskId": task.id}
	got := s.attacker.request(2, "tasks/get", params)
	theStage.open(task.gate)
	theStage.until(func() bool { return theStage.ended(task.tag) != "" })
	s.attacker.request(3, "tasks/result", params)
	list := s.attacker.request(4, "tasks/list", nil)
	s.attacker.there()
	for _, a := range []*answer{got, list} {
		if hasTask(a.text(), task.id) {
			s.cross("the attacker had the task: %s", a.text())
		}
	}
	s.victim.request(5, "tasks/result", params)
	if !s.victim.awaits(s.canary) {
		s.cross("the victim has no result of its task: %s", s.victim.saw())
	}
}

// hasTask looks for a task in an answer, as distinct from a refusal that repeats its id.
func hasTask(answer, id string) bool {
	for line := range strings.Lines(answer) {
		var message struct{ Result json.RawMessage }
		if json.Unmarshal([]byte(strings.TrimPrefix(line, "data:")), &message) == nil && strings.Contains(string(message.Result), id) {
			return true
		}
	}
	return false
}

// listenTo opens a stream of 2026-07-28 for a resource, under the JSON-RPC id 1.
func listenTo(s *scene, c *caller, uri string) *answer {
	s.t.Helper()
	a := c.post(map[string]any{"id": 1, "method": "subscriptions/listen", "params": map[string]any{
		"notifications": map[string]any{"resourceSubscriptions": []string{uri}, "toolsListChanged": true},
	}})
	if !theStage.until(func() bool { return strings.Contains(a.text(), "acknowledged") || isClosed(a.done) }) || isClosed(a.done) {
		s.t.Errorf("the %s has no listen stream: %d %s", c.name, a.status, a.text())
	}
	return a
}
