package configfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// trail is the way to a value. It is written down where there is a mistake: the texts of all together would be far longer than the file.
type trail struct {
	before *trail // nil for the file
	step   step
	name   string
	index  int
}

// step is how one goes from a value to one in it.
type step int

const (
	aMember step = iota // issuers.url
	aName               // tools["echo"], where names are free
	anItem              // issuers[0]
)

// String is the path of a place, "" for the file.
func (t *trail) String() string {
	var parts []string
	for ; t != nil; t = t.before {
		switch {
		case t.step == aName:
			parts = append(parts, fmt.Sprintf("[%q]", t.name)) // as in the field of a [mcpauth.ConfigError]
		case t.step == anItem:
			parts = append(parts, "["+strconv.Itoa(t.index)+"]")
		case t.before == nil:
			parts = append(parts, shortName(t.name))
		default:
			parts = append(parts, "."+shortName(t.name))
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

// shortName is a name in a path, in quotes if it could be read in another way.
func shortName(name string) string {
	if name == "" {
		return `""`
	}
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return foreign.Quote(name)
		}
	}
	return name
}

// find returns where the value of a plain path stands, or what it would be in, if that is not the whole file.
func (n *node) find(path string) (at int, found bool) {
	for path != "" {
		var first string
		first, path = cutStep(path)
		next, begin := n.within(first)
		if next == nil {
			break
		}
		n, at, found = next, begin, true
	}
	return at, found
}

// within finds what a step leads to.
func (n *node) within(step string) (value *node, at int) {
	inside, bracket := strings.CutPrefix(step, "[")
	inside = strings.TrimSuffix(inside, "]")
	switch {
	case !bracket:
		if i, ok := n.names(&n.plainly, plain)[strings.TrimPrefix(step, ".")]; ok {
			return n.members[i].value, n.members[i].value.at
		}
	case strings.HasPrefix(inside, `"`):
		name, _ := strconv.Unquote(inside)
		if i, ok := n.names(&n.named, strings.Clone)[name]; ok {
			return n.members[i].value, n.members[i].at
		}
	default:
		if i, err := strconv.Atoi(inside); err == nil && i >= 0 && i < len(n.items) {
			return n.items[i], n.items[i].at
		}
	}
	return nil, 0
}

func (n *node) names(known *map[string]int, of func(string) string) map[string]int {
	if *known == nil {
		*known = make(map[string]int, len(n.members))
		for i, m := range slices.Backward(n.members) {
			(*known)[of(m.name)] = i
		}
		for i, m := range slices.Backward(n.members) {
			if m.name == strings.ToLower(m.name) { // as the names of members are: another spelling of one is none
				(*known)[of(m.name)] = i
			}
		}
	}
	return *known
}

// cutStep cuts the first step off a path: a name with the point in front of it, or what is in brackets, with them.
func cutStep(path string) (first, rest string) {
	quoted := false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && i > 0 && (c == '.' || c == '['):
			return path[:i], path[i:]
		}
	}
	return path, ""
}

const block = 4 << 10 // bytes

// position is where a place stands: its line, and how many characters of that are in front of it, both from 1.
func (t *source) position(at int) (line, column int) {
	if t.lines == nil {
		t.lines = []int{0}
		for i, c := range t.data {
			if c == '\n' {
				t.lines = append(t.lines, i+1)
			}
		}
		t.characters = []int{0}
		for part := range slices.Chunk(t.data, block) {
			t.characters = append(t.characters, t.characters[len(t.characters)-1]+characters(part))
		}
	}
	line, exact := slices.BinarySearch(t.lines, at)
	if exact {
		line++
	}
	return line, t.before(at) - t.before(t.lines[line-1]) + 1
}

// before is how many characters begin in front of a place.
func (t *source) before(at int) int {
	return t.characters[at/block] + characters(t.data[at/block*block:at])
}

// characters counts those that begin in a text.
func characters(text []byte) int {
	n := len(text)
	for _, c := range text {
		if c&0xC0 == 0x80 {
			n--
		}
	}
	return n
}
