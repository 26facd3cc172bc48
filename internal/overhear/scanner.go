package overhear

import "github.com/seed-1e292522/mcpauth/internal/strictjson"

// state says what may come next.
type state uint8

const (
	value      state = iota // a value
	firstValue              // a value, or the end of the array
	firstName               // a name, or the end of the object
	name
	colon
	after // a comma, or the end of what is open
	text  // more of a string
	escaped
	word // more of a number or a literal
	flawed
)

// member is a name that matters, where it does.
type member uint8

const (
	result member = 1 << iota // of a message
	failure
	requestID
	task         // of a result
	taskOfResult // its taskId
	taskOfTask   // the taskId of its task
)

// scanner follows one JSON text: its brackets, its strings, and the members that matter.
// Everything else it takes as it comes, within [strictjson.MaxDepth].
type scanner struct {
	heard func(Answer)
	state state

	depth  int
	arrays uint64 // a bit for each depth: what is open there is an array
	base   int    // depth of what the messages stand in: 1 in a batch
	within member // result or task, if what is open at its depth is that of the message

	isName bool   // the string under way is a name
	of     member // what the value under way is of; 0 for what does not matter
	keeps  bool   // the string or word under way is kept
	kept   []byte // as it is written
	cut    bool   // it was too long

	message struct {
		seen  member
		id    []byte
		tasks []string
		long  bool
	}
}

// pass takes the next bytes of the text.
func (s *scanner) pass(p []byte) {
	for len(p) > 0 {
		switch s.state {
		case flawed:
			return
		case text:
			p = s.passString(p)
		case escaped:
			s.keep(p[:1])
			s.state = text
			p = p[1:]
		case word:
			p = s.passWord(p)
		default:
			if c := p[0]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				s.take(c)
			}
			if s.state == word {
				continue
			}
			p = p[1:]
		}
	}
}

// take takes one byte between strings and words.
func (s *scanner) take(c byte) {
	switch {
	case (s.state == value || s.state == firstValue) && c == '"':
		s.begin(text, false)
	case (s.state == value || s.state == firstValue) && (c == '{' || c == '['):
		s.open(c)
	case (s.state == value || s.state == firstValue) && isWord(c):
		s.begin(word, false)
	case s.state == firstValue && c == ']', s.state == firstName && c == '}':
		s.close(c)
	case (s.state == name || s.state == firstName) && c == '"':
		s.begin(text, true)
	case s.state == colon && c == ':':
		s.state = value
	case s.state == after && s.depth > 0 && c == ',' && s.inArray():
		s.state = value
	case s.state == after && s.depth > 0 && c == ',':
		s.state = name
	case s.state == after && s.depth > 0 && (c == ']' || c == '}'):
		s.close(c)
	default:
		s.fail()
	}
}

// inArray reports whether the innermost that is open is an array.
func (s *scanner) inArray() bool { return s.arrays>>(s.depth-1)&1 == 1 }

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// begin begins a string or a word. It is kept if it is a name where names matter, or the value of one.
func (s *scanner) begin(as state, isName bool) {
	s.state, s.isName = as, isName
	s.keeps = s.of&(requestID|taskOfResult|taskOfTask) != 0
	if isName {
		s.keeps = s.matters()
	}
	s.kept, s.cut = s.kept[:0], false
	if as == text {
		s.keep([]byte{'"'})
	}
}

// matters reports whether names do where the scanner is.
func (s *scanner) matters() bool {
	switch s.depth - s.base {
	case 1:
		return true
	case 2:
		return s.within&result != 0
	case 3:
		return s.within&task != 0
	}
	return false
}

func (s *scanner) keep(p []byte) {
	switch {
	case !s.keeps || s.cut:
	case len(s.kept)+len(p) > MaxID:
		s.cut = true
	default:
		s.kept = append(s.kept, p...)
	}
}

// passString takes what p has of the string under way, and returns the rest.
func (s *scanner) passString(p []byte) (rest []byte) {
	n := 0
	for n < len(p) && p[n] != '"' && p[n] != '\\' && p[n] >= ' ' {
		n++
	}
	s.keep(p[:n])
	if n == len(p) {
		return nil
	}
	switch c := p[n]; c {
	case '"':
		s.keep(p[n : n+1])
		s.endString()
	case '\\':
		s.keep(p[n : n+1])
		s.state = escaped
	default:
		s.fail()
	}
	return p[n+1:]
}

// passWord takes what p has of the number or literal under way, and returns the rest.
func (s *scanner) passWord(p []byte) (rest []byte) {
	n := 0
	for n < len(p) && isWord(p[n]) {
		n++
	}
	s.keep(p[:n])
	if n == len(p) {
		return nil
	}
	if s.of == requestID && !s.cut && (s.kept[0] == '-' || s.kept[0] >= '0' && s.kept[0] <= '9') {
		s.message.id = append(s.message.id[:0], s.kept...)
	}
	s.state, s.of = after, 0
	return p[n:]
}

// endString ends a name, or a string that is a value.
func (s *scanner) endString() {
	if s.isName {
		s.state, s.of = colon, 0
		if s.keeps && !s.cut {
			s.endName()
		}
		return
	}
	of := s.of
	s.state, s.of = after, 0
	switch {
	case of == requestID && !s.cut:
		s.message.id = append(s.message.id[:0], s.kept...)
	case of != taskOfResult && of != taskOfTask:
	case s.cut:
		s.message.long = true
	default:
		if id := s.decoded(); len(id) > 0 {
			s.message.tasks = append(s.message.tasks, string(id))
		}
	}
}

// decoded returns the string that was kept. One that is no string is a flaw.
func (s *scanner) decoded() []byte {
	var r strictjson.Reader
	r.Reset(s.kept, strictjson.Limits{})
	decoded, err := r.String()
	if err != nil {
		s.fail()
	}
	return decoded
}

// endName finds out what the value of a name is. No reader is asked which of two
// members of one name counts: two are a flaw.
func (s *scanner) endName() {
	switch depth, known := s.depth-s.base, s.decoded(); {
	case depth == 1 && string(known) == "result":
		s.of = result
	case depth == 1 && string(known) == "error":
		s.of = failure
	case depth == 1 && string(known) == "id":
		s.of = requestID
	case depth == 2 && string(known) == "task":
		s.of = task
	case depth == 2 && string(known) == "taskId":
		s.of = taskOfResult
	case depth == 3 && string(known) == "taskId":
		s.of = taskOfTask
	}
	if s.message.seen&s.of != 0 {
		s.fail()
		return
	}
	s.message.seen |= s.of
}

// open opens an object or an array.
func (s *scanner) open(c byte) {
	if s.depth == strictjson.MaxDepth {
		s.fail()
		return
	}
	if s.depth == 0 && c == '[' {
		s.base = 1
	}
	if c == '{' {
		s.within |= s.of & (result | task)
	}
	s.of = 0
	s.arrays &^= 1 << s.depth
	s.state = firstName
	if c == '[' {
		s.arrays |= 1 << s.depth
		s.state = firstValue
	}
	s.depth++
}

// close closes what is open, and with it perhaps a message.
func (s *scanner) close(c byte) {
	if s.inArray() != (c == ']') {
		s.fail()
		return
	}
	switch s.depth - s.base {
	case 1:
		s.endMessage()
	case 2:
		s.within = 0
	case 3:
		s.within &^= task
	}
	s.depth--
	s.state = after
}

func (s *scanner) endMessage() {
	m := &s.message
	if m.seen&(result|failure) != 0 {
		a := Answer{ID: m.id, Tasks: m.tasks}
		if m.long {
			a.Flaw = ErrLongID
		}
		s.heard(a)
	}
	m.seen, m.id, m.tasks, m.long = 0, nil, nil, false
}

// fail gives the text up.
func (s *scanner) fail() {
	if s.state != flawed && (len(s.message.tasks) > 0 || s.message.long) {
		s.heard(Answer{Flaw: ErrNotJSON})
	}
	s.state = flawed
}
