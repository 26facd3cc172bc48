package isolation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// steers is how one may not steer what is the other's.
var steers = []attack{
	{"a cancellation of an equal id", "steer", nil, func(s *scene) {
		st := s.stand()
		s.cancel(1)
		st.finish()
	}},
	{"a cancellation of an id that both have", "steer", nil, func(s *scene) {
		gate := s.newGate()
		s.inFlight(gate)
		st := s.stand()
		s.cancel(1)
		theStage.open(gate)
		st.finish()
	}},
	{"a cancellation of a listen stream", "steer", func(b *backend, s setup) bool { return s.victim.modern() && b.listens }, func(s *scene) {
		uri := "note://" + s.canary
		stream := listenTo(s, s.victim, uri)
		s.cancel(1)
		s.victim.call(2, "run", unique("call"), step{Do: "updated", URI: uri})
		if !theStage.until(func() bool { return strings.Contains(stream.text(), "resources/updated") || isClosed(stream.done) }) || isClosed(stream.done) {
			s.cross("the victim's listen stream ended or missed its update")
		}
	}},
	{"a cancellation of a listen stream for lists", "steer", func(b *backend, s setup) bool { return s.victim.modern() && b.marks }, func(s *scene) {
		stream := listenTo(s, s.victim, "note://all")
		s.cancel(1)
		marker := unique("marker")
		s.victim.call(2, "look", unique("call"), step{Do: "broadcast", Text: marker})
		if !theStage.until(func() bool { return strings.Contains(stream.text(), marker) || isClosed(stream.done) }) || isClosed(stream.done) {
			s.cross("the victim's listen stream ended or missed a change")
		}
	}},
	{"the level of log messages", "steer", func(_ *backend, s setup) bool { return !s.attacker.modern() }, func(s *scene) {
		usual := s.levels()
		for _, level := range []string{"emergency", "debug"} {
			s.attacker.request(2, "logging/setLevel", map[string]any{"level": level})
			s.attacker.there()
			if now := s.levels(); !slices.Equal(now, usual) {
				s.cross("the victim hears %q instead of %q after the attacker has set %s", now, usual, level)
			}
		}
	}},
	{"the end of a subscription", "steer", func(b *backend, s setup) bool { return b.subs && s.victim.presence == own }, func(s *scene) {
		uri := "note://" + unique("note")
		s.victim.request(1, "resources/subscribe", map[string]any{"uri": uri})
		s.attacker.request(1, "resources/unsubscribe", map[string]any{"uri": uri})
		s.attacker.there()
		s.victim.call(2, "run", unique("call"), step{Do: "updated", URI: uri})
		if !theStage.until(func() bool { return strings.Contains(s.victim.saw(), `"uri":"`+uri+`"`) }) {
			s.cross("the victim missed the update")
		}
	}},
	{"an answer to an elicitation", "steer", asks, func(s *scene) {
		q := s.ask("elicit", "elicitation/create")
		s.answerFor(q.id, `{"action":"accept","content":{}}`)
		if theStage.has(q.tag, "elicited accept") {
			s.cross("the attacker's consent counted as the victim's")
		}
		q.settle(declines, "elicited decline")
		if theStage.has(q.tag, "elicited accept") {
			s.cross("the attacker's consent counted as the victim's")
		}
	}},
	{"an answer to a sampling request", "steer", asks, func(s *scene) {
		q := s.ask("sample", "sampling/createMessage")
		s.answerFor(q.id, `{"role":"assistant","model":"attackers","content":{"type":"text","text":"x"}}`)
		q.settle(samples, "sampled victims")
		if theStage.has(q.tag, "sampled attackers") {
			s.cross("the attacker's text counted as the victim's")
		}
	}},
	{"the end of a task", "steer", func(b *backend, s setup) bool { return b.tasks && !s.victim.modern() }, func(s *scene) {
		task := s.beginTask(s.newGate())
		s.attacker.request(2, "tasks/cancel", map[string]any{"taskId": task.id})
		s.attacker.there()
		theStage.open(task.gate)
		theStage.until(func() bool { return theStage.ended(task.tag) != "" })
		s.victim.request(3, "tasks/result", map[string]any{"taskId": task.id})
		if !s.victim.awaits(s.canary) {
			s.cross("the victim's task has no result: %s", s.victim.saw())
		}
	}},
	{"other notifications", "steer", nil, func(s *scene) {
		st := s.stand()
		s.attacker.notify("notifications/progress", map[string]any{"progressToken": "p", "progress": 1})
		s.attacker.notify("notifications/roots/list_changed", nil)
		s.attacker.notify("notifications/initialized", nil)
		s.attacker.there()
		st.finish()
	}},
}

// cancel sends the attacker's cancellation and waits until it has been dealt with.
func (s *scene) cancel(id any) {
	s.t.Helper()
	s.attacker.notify("notifications/cancelled", map[string]any{"requestId": id, "reason": "steered"})
	s.attacker.there()
}

// answerFor answers in place of the victim, with the id that it was asked
// under and with those that a server would begin with.
func (s *scene) answerFor(id, result string) {
	s.t.Helper()
	ids := []string{id, `"` + strings.Trim(id, `"`) + `"`}
	for n := range 4 {
		ids = append(ids, fmt.Sprint(n))
	}
	for _, id := range ids {
		if strings.Trim(id, `"`) != "" {
			s.attacker.raw(`{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`).ended()
		}
	}
	s.attacker.there()
}

// levels are the levels of the log messages that the victim hears of one of each.
func (s *scene) levels() (heard []string) {
	s.t.Helper()
	tag := unique("level")
	all := []string{"debug", "info", "warning", "error", "emergency"}
	steps := []step{}
	for _, level := range all {
		steps = append(steps, step{Do: "log", Level: level, Text: level + "-of-" + tag})
	}
	gate := s.newGate()
	// What is sent last comes last: when it is there, or the call has ended, nothing more comes.
	steps = append(steps, step{Do: "notify", Text: tag, N: 1}, step{Do: "wait", Gate: gate}, step{Do: "say", Text: tag + "-done"})
	call := s.victim.call(1, "run", tag, steps...)
	theStage.until(func() bool {
		return theStage.has(tag, "waits "+gate) || isBad(theStage.ended(tag)) || !s.sse && isClosed(call.done)
	})
	if len(theStage.noted(tag)) == 0 {
		s.cross("the victim is not served: %d", call.status)
		return []string{"refused"}
	}
	if s.hears(s.setup.victim) {
		s.victim.awaits(numbered(tag, 0))
	}
	theStage.open(gate)
	if !s.victim.awaits(tag + "-done") {
		s.cross("the victim has no result")
	}
	if s.stream != nil && s.reaches(s.setup.victim) { // what comes there is in order
		s.marks(s.victim, s.stream)
	}
	for _, level := range all {
		if strings.Contains(s.victim.saw(), level+"-of-"+tag) {
			heard = append(heard, level)
		}
	}
	return heard
}

// breaks is how one may not break what is the other's.
var breaks = []attack{
	{"the end of a session", "break", legacyAttacker, func(s *scene) {
		tool := unique("own")
		had := s.tools && (s.setup.victim.presence == own || s.setup.victim.modern())
		if had {
			s.victim.call("tool", "run", unique("call"), step{Do: "tool", Text: tool}, step{Do: "say", Text: "added"})
			s.victim.awaits("added")
		}
		st := s.stand()
		s.attacker.send("DELETE", s.world.url, "").ended()
		s.attacker.send("DELETE", s.attacker.target(), "").ended()
		st.finish()
		s.works()
		if had {
			called := unique("called")
			s.victim.call("tool", tool, unique("call"), step{Do: "say", Text: called})
			if !s.victim.awaits(called) {
				s.cross("the victim's session has lost its tool")
			}
		}
	}},
	{"sessions begun in a loop", "break", legacyAttacker, func(s *scene) {
		st := s.stand()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range s.rounds(50) {
					s.attacker.beginAgain()
				}
			})
		}
		all.Wait()
		st.finish()
		s.works()
	}},
	{"streams opened and left in a loop", "break", legacyAttacker, func(s *scene) {
		st := s.stand()
		for range s.rounds(20) {
			a := s.openStream()
			if a.cancel != nil {
				a.close()
			}
		}
		s.attacker.there()
		st.finish()
		s.works()
	}},
	{"a stream that stands already", "break", func(b *backend, s setup) bool { return !s.attacker.modern() && !s.victim.modern() && !b.sse }, func(s *scene) {
		s.openStream()
		if s.stream == nil {
			s.stream = s.victim.listen()
			s.stream.began()
		}
		st := s.stand()
		st.finish()
		if s.stream.status == 200 && s.reaches(s.setup.victim) && !s.marks(s.victim, s.stream) {
			s.cross("the victim's stream is dead")
		}
	}},
	{"leaving a call of an equal id", "break", nil, func(s *scene) {
		gate := s.newGate()
		mine := s.inFlight(gate)
		st := s.stand()
		mine.close()
		theStage.open(gate)
		s.attacker.there()
		st.finish()
	}},
}

// rounds is a number of repetitions, fewer where each costs more.
func (b *backend) rounds(n int) int {
	if b.upstream != "" {
		return (n + 9) / 10
	}
	return n
}

// target is where the caller's messages go.
func (c *caller) target() string {
	if c.sse {
		return c.messages
	}
	return c.url
}

// beginAgain begins a session and forgets it.
func (c *caller) beginAgain() {
	if c.sse {
		a := c.send("GET", c.url, "")
		a.began()
		a.close()
		return
	}
	c.send("POST", c.url, fmt.Sprintf(initialize, latest)).ended()
}
