package isolation

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// presence says which session a caller presents.
type presence int

const (
	nobody presence = iota // none
	own                    // the one that it began
	stolen                 // the other's
)

// side is how one of two callers comes.
type side struct {
	version  string
	presence presence
	batches  bool // it sends its messages in batches of one
}

func (s side) modern() bool { return s.version == modernVersion }

// setup is how two callers come to one server.
type setup struct {
	era, name        string
	victim, attacker side
}

const earlier = "2025-06-18"

var setups = []setup{
	{"legacy", "nobody presents a session", side{version: latest}, side{version: latest}},
	{"legacy", "each presents its own", side{version: earlier, presence: own}, side{version: earlier, presence: own}},
	{"legacy", "one presents the other's", side{version: latest, presence: own}, side{version: latest, presence: stolen}},
	{"legacy", "one presents its own, one none", side{version: latest, presence: own}, side{version: latest}},
	{"legacy", "batches, nobody presents a session", side{}, side{batches: true}},
	{"legacy", "batches, each presents its own", side{presence: own}, side{presence: own, batches: true}},
	{"modern", "both", side{version: modernVersion}, side{version: modernVersion}},
	{"across", "modern against legacy without a session", side{version: modernVersion}, side{version: latest}},
	{"across", "modern against legacy with a session", side{version: modernVersion}, side{version: latest, presence: own}},
	{"across", "legacy without a session against modern", side{version: latest}, side{version: modernVersion}},
	{"across", "legacy with a session against modern", side{version: latest, presence: own}, side{version: modernVersion}},
}

// serves reports whether the bare server serves the calls of such a caller.
func (b *backend) serves(s side) bool {
	switch {
	case s.modern():
		return b.modern
	case s.presence == nobody:
		return b.stateless
	}
	return b.sessions
}

// holds reports whether two callers can come to the server like that. An
// attacker without a session can come anywhere.
func (b *backend) holds(s setup) bool {
	switch {
	case !b.serves(s.victim) || s.attacker.presence != nobody && !b.sessions:
		return false
	case s.attacker.modern():
		return b.modern
	case s.attacker.batches:
		return b.batches
	}
	return true
}

// scene is one cell: two callers at a server.
type scene struct {
	t testing.TB
	*backend
	setup
	pair
	world            *world
	victim, attacker *caller
	stream           *answer // of the victim's session
	canary           string  // what only the victim may see
	crossings        []string
}

// cross writes down that something of one caller came to the other.
func (s *scene) cross(format string, values ...any) {
	s.crossings = append(s.crossings, fmt.Sprintf(format, values...))
}

// enter brings both callers to the server.
func (s *scene) enter() {
	s.t.Helper()
	s.canary = unique("canary")
	s.victim = s.world.caller(s.t, "victim", s.pair.victim, s.setup.victim.version)
	s.attacker = s.world.caller(s.t, "attacker", s.pair.attacker, s.setup.attacker.version)
	if s.setup.victim.presence == own {
		if !s.victim.begin(s.level) {
			s.t.Fatalf("the victim could not begin a session: %s", s.victim.saw())
		}
		if !s.sse {
			s.stream = s.victim.listen()
			if s.stream.began() != http.StatusOK {
				s.t.Fatalf("the victim has no stream: %d", s.stream.status)
			}
		}
	}
	switch s.setup.attacker.presence {
	case own:
		if !s.attacker.begin(s.level) {
			s.t.Fatalf("the attacker could not begin a session: %s", s.attacker.saw())
		}
	case stolen:
		s.attacker.session, s.attacker.messages, s.attacker.answers = s.victim.session, s.victim.messages, s.victim
	case nobody:
		s.attacker.messages = s.world.url
	}
	s.attacker.batches = s.setup.attacker.batches
}

// newGate is a gate that is open at the end of the test: no tool waits for ever.
func (s *scene) newGate() string {
	name := unique("gate")
	s.t.Cleanup(func() { theStage.open(name) })
	return name
}

// standing is a call of the victim's that goes on while something happens.
type standing struct {
	*scene
	tag, first, last string
	call             *answer
}

const (
	notes  = 20 // notifications of a standing call
	before = 5  // of them, those that are sent at once
)

// stand begins a call under the JSON-RPC id 1, which sends notifications, waits, and
// sends the rest.
func (s *scene) stand() *standing {
	s.t.Helper()
	st := &standing{scene: s, tag: unique("call"), first: s.newGate(), last: s.newGate()}
	st.call = s.victim.call(1, "run", st.tag,
		step{Do: "notify", Text: s.canary, N: before}, step{Do: "wait", Gate: st.first},
		step{Do: "notify", Text: s.canary, From: before, N: notes - before}, step{Do: "wait", Gate: st.last},
		step{Do: "say", Text: s.canary + "-done"})
	theStage.until(func() bool {
		return theStage.has(st.tag, "waits "+st.first) || theStage.ended(st.tag) != "" || !s.sse && isClosed(st.call.done)
	})
	if len(theStage.noted(st.tag)) == 0 {
		s.t.Fatalf("the victim's call did not begin: %d %s", st.call.status, st.call.text())
	}
	return st
}

// finish lets the call end, and looks whether it ended as if it had been alone.
func (st *standing) finish() {
	st.t.Helper()
	theStage.open(st.first)
	if st.hears(st.setup.victim) {
		theStage.until(func() bool {
			return st.victim.numbers(st.canary, notes) == notes || strings.Contains(st.attacker.saw(), st.canary) || theStage.ended(st.tag) != ""
		})
		if got := st.victim.numbers(st.canary, notes); got < notes {
			st.cross("the victim had %d of its %d notifications", got, notes)
		}
	} else {
		theStage.until(func() bool { return theStage.has(st.tag, "waits "+st.last) || theStage.ended(st.tag) != "" })
	}
	theStage.open(st.last)
	done := func() bool { return strings.Contains(st.victim.saw(), st.canary+"-done") }
	theStage.until(func() bool { return done() || !st.sse && isClosed(st.call.done) || isBad(theStage.ended(st.tag)) })
	theStage.until(func() bool { return theStage.ended(st.tag) != "" })
	if how := theStage.ended(st.tag); how != "well" {
		st.cross("the victim's call ended %q", how)
	}
	if !done() {
		st.cross("the victim has no result: %d %q", st.call.status, st.call.text())
	}
	if n := theStage.count(st.tag, "ran"); n != 1 {
		st.cross("the victim's call ran %d times", n)
	}
}

func isBad(how string) bool { return how != "" && how != "well" }

// works looks whether the victim is served as before.
func (s *scene) works() {
	s.t.Helper()
	said := unique("works")
	s.victim.call(2, "look", unique("call"), step{Do: "say", Text: said})
	if !s.victim.awaits(said) {
		s.cross("the victim is not served any more")
	}
}

// mark sends a text to everybody, and waits until it has come where nothing
// else may have come before.
func (s *scene) mark(where ...*answer) {
	s.t.Helper()
	for _, a := range where {
		if a.began() != http.StatusOK || !s.reaches(s.setup.attacker) {
			continue
		}
		if !s.marks(s.attacker, a) && !isClosed(a.done) {
			s.t.Errorf("the marker did not come: %q", a.text())
		}
		s.onlyMarkers(a)
	}
}

// marks sends texts to everybody until one has come on this stream of a
// caller's. A server may also put one on the answer to a call in the same session.
func (s *scene) marks(whose *caller, stream *answer) bool {
	s.t.Helper()
	marker := unique("marker")
	for try := range 50 {
		said := fmt.Sprintf("sent-%d-%s", try, marker)
		s.victim.call("mark", "look", unique("call"), step{Do: "broadcast", Text: marker}, step{Do: "say", Text: said})
		if !s.victim.awaits(said) {
			s.cross("the victim is not served any more")
			return false
		}
		came := func(text string) int { return strings.Count(text, marker) - strings.Count(text, "-"+marker) }
		theStage.until(func() bool { return came(whose.saw()) > try || came(stream.text()) > 0 || isClosed(stream.done) })
		if came(stream.text()) > 0 {
			return true
		}
		if isClosed(stream.done) {
			return false
		}
	}
	return false
}

// reaches reports whether a broadcast comes to the stream of such a caller.
func (b *backend) reaches(s side) bool {
	if s.presence == nobody {
		return b.marks
	}
	return true
}

// onlyMarkers looks for anything on a stream that is not for everybody.
func (s *scene) onlyMarkers(a *answer) {
	for line := range strings.Lines(a.text()) {
		if strings.HasPrefix(line, "data:") && strings.Contains(line, `"method"`) && !strings.Contains(line, "marker-") {
			s.cross("the attacker's stream had %s", line)
		}
	}
}

// requestOf finds the id of a request of the server's to its client.
func requestOf(text, method string) (id string, ok bool) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"method":"`+method+`"`) {
			if match := requestID.FindStringSubmatch(line); match != nil {
				return match[1], true
			}
		}
	}
	return "", false
}

var requestID = regexp.MustCompile(`"id":("[^"]*"|[0-9]+)`)
