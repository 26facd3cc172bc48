package sealed

// scan follows JSON-RPC messages byte by byte, in pieces of any size, and knows where the value of result.requestState
// stands: in one message or in the elements of a batch. It holds nothing. What is no JSON has no such place.
type scan struct {
	depth  int32 // open containers
	base   int32 // 1 in a batch
	mode   mode
	left   uint8  // hexadecimal digits of an escape that are still to come
	char   uint16 // that they make
	fits   int8   // bytes of the name under way that are those of the one that is looked for; unfit if others came
	valued bool   // a colon stands in front of what comes next
	named  bool   // the string under way is a name that may be looked for
	found  bool   // the last name was
	result bool   // the last container in a message was its result: the one that is open, if one is
}

// mode is what a byte belongs to.
type mode uint8

const (
	outside mode = iota // of strings
	inString
	inEscape
	inHex
)

const unfit = -1

// event is what begins or ends with a byte.
type event uint8

const (
	nothing  event = iota
	begins         // the value of result.requestState, a string, with this quote
	ends           // a string, with this quote
	unsuited       // the value of result.requestState, which is neither a string nor null
)

// names are those that are looked for: in a message, and in its result.
var names = [2]string{"result", "requeststate"}

// atRest reports whether no message is under way.
func (s *scan) atRest() bool { return s.depth <= 0 && s.mode == outside }

// level is 0 for the members of a message, 1 for those of its result, and negative for others.
func (s *scan) level() int {
	switch {
	case s.depth == s.base+1:
		return 0
	case s.depth == s.base+2 && s.result:
		return 1
	}
	return -1
}

// next takes a byte.
func (s *scan) next(c byte) event {
	switch s.mode {
	case outside:
		return s.structure(c)
	case inEscape:
		s.mode = inString
		if c == 'u' {
			s.mode, s.left, s.char = inHex, 4, 0
		} else {
			s.fits = unfit // of the names that are looked for, no letter can be written so
		}
	case inHex:
		s.hex(c)
	case inString:
		switch {
		case c == '\\':
			s.mode = inEscape
		case c == '"':
			s.mode = outside
			if s.named {
				s.found = int(s.fits) == len(names[s.level()])
			}
			return ends
		case s.named:
			s.letter(uint16(c))
		}
	}
	return nothing
}

// hex takes a digit of an escape.
func (s *scan) hex(c byte) {
	digit := uint16(0)
	switch {
	case c-'0' <= 9:
		digit = uint16(c - '0')
	case c|0x20-'a' <= 5:
		digit = uint16(c|0x20-'a') + 10
	}
	s.char = s.char<<4 | digit
	if s.left--; s.left == 0 {
		s.mode = inString
		s.letter(s.char)
	}
}

// letter compares a character of a name. Readers that ignore case take other spellings for the same name.
func (s *scan) letter(c uint16) {
	if !s.named || s.fits == unfit {
		return
	}
	name := names[s.level()]
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	if int(s.fits) < len(name) && c == uint16(name[s.fits]) {
		s.fits++
		return
	}
	s.fits = unfit
}

// structure takes a byte that is in no string.
func (s *scan) structure(c byte) (e event) {
	isState := s.valued && s.found && s.level() == 1
	switch c {
	case ' ', '\t', '\n', '\r':
		return nothing
	case '"':
		s.mode, s.fits = inString, 0
		if s.named = !s.valued && s.level() >= 0; isState {
			e = begins
		}
		s.valued = false
	case ':':
		s.valued = true
	case '{', '[':
		s.open(c)
		if isState {
			e = unsuited
		}
	case '}', ']':
		s.depth--
		s.valued = false
	default: // a comma, or of a number, true, false, null
		if isState && c != 'n' {
			e = unsuited
		}
		s.valued = false
	}
	return e
}

func (s *scan) open(c byte) {
	if s.depth <= 0 {
		*s = scan{}
		if c == '[' {
			s.base = 1
		}
	}
	if s.level() == 0 {
		s.result = s.valued && s.found
	}
	s.depth++
	s.valued, s.found = false, false
}

// lines follows an event stream, and knows which bytes are data (HTML Living Standard section 9.2.6).
type lines struct {
	at      place
	match   uint8 // bytes of the name of the field that fit
	first   bool  // no line has ended
	blank   bool  // the line has no byte yet
	inEvent bool  // a line of an event has been passed, and not the blank one that ends it
	wasCR   bool
}

// place is where in a line the next byte stands.
type place uint8

const (
	atName place = iota // of the field, which may become data
	inData              // with the space in front, which JSON has anywhere
	elsewhere
)

const field = "data"

// kind is what a byte of an event stream is.
type kind uint8

const (
	syntax kind = iota
	datum
	newline  // ends a line
	eventEnd // ends an event
)

func newLines() lines { return lines{first: true, blank: true} }

// next takes a byte.
func (l *lines) next(c byte) kind {
	switch {
	case c == '\n' && l.wasCR:
		l.wasCR = false
		return syntax
	case c == '\n' || c == '\r':
		ended := l.blank
		*l = lines{blank: true, inEvent: !ended, wasCR: c == '\r'}
		if ended {
			return eventEnd
		}
		return newline
	}
	l.wasCR = false
	if l.first && l.blank && (c == 0xef || c == 0xbb || c == 0xbf) {
		return syntax // of a byte order mark, which readers pass over
	}
	l.blank = false
	switch l.at {
	case atName:
		switch {
		case int(l.match) < len(field) && c == field[l.match]:
			l.match++
		case int(l.match) == len(field) && c == ':':
			l.at = inData
		default:
			l.at = elsewhere
		}
		return syntax
	case inData:
		return datum
	}
	return syntax
}

// atRest reports whether no event is under way. Its fields' lines are judged by the blank one behind them.
func (l *lines) atRest() bool { return l.blank && !l.inEvent }
