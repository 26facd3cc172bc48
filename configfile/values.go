package configfile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// reader reads nodes, and goes on after a mistake.
type reader struct {
	text    *source
	errs    []*Error
	found   int             // mistakes, of which errs has the first
	failed  map[*trail]bool // where mistakes are
	doubts  []string
	lost    bool
	secrets []secret
}

// read reads the text of a file.
func read(name string, data []byte) (*File, []*Error) {
	t := &source{name: name, data: data}
	f := &File{text: t}
	root, err := t.parse()
	if err != nil {
		return f, []*Error{err}
	}
	t.root = root
	r := &reader{text: t, failed: map[*trail]bool{}}
	object(fileMembers)(r, f, root, nil)
	f.secrets, f.doubts, f.lost = r.secrets, r.doubts, r.lost
	if more := r.found - len(r.errs); more > 0 {
		r.errs, f.lost = append(r.errs, &Error{more: more}), true
	}
	return f, r.errs
}

func (r *reader) fail(at int, path *trail, what, fix string) {
	r.failed[path] = true
	if r.found++; r.found > maxMistakes {
		return
	}
	r.errs = append(r.errs, r.text.mistake(at, path.String(), what, fix))
	r.doubts = append(r.doubts, plain(path.String()))
	r.lost = r.lost || path == nil
}

// is reports whether a value is of a kind, and fails otherwise.
func (r *reader) is(n *node, kind strictjson.Kind, path *trail, fix string) bool {
	if n.kind != kind {
		r.fail(n.at, path, kinds[n.kind], fix)
	}
	return n.kind == kind
}

// each visits the members of an object, each name once.
func (r *reader) each(n *node, path *trail, step step, visit func(m member, path *trail)) {
	first := map[string]int{}
	for _, m := range n.members {
		at := &trail{before: path, step: step, name: m.name}
		if begin, twice := first[m.name]; twice {
			line, _ := r.text.position(begin)
			r.fail(m.at, at, "stands twice", fmt.Sprintf("remove one: the first is on line %d", line))
			continue
		}
		first[m.name] = m.at
		visit(m, at)
	}
}

// object reads an object with members that are known: a misspelt one would be a rule that does not exist.
func object[T any](of members[T]) reading[T] {
	return func(r *reader, into *T, n *node, path *trail) {
		if !r.is(n, strictjson.Object, path, "write an object, {\"name\": value}") {
			return
		}
		r.each(n, path, aMember, func(m member, at *trail) {
			if read, known := of[m.name]; !known {
				fix := ""
				if r.found < maxMistakes {
					fix = suggestion(m.name, of.names())
				}
				doubts := len(r.doubts)
				r.fail(m.at, at, "no such member", fix)
				if doubts < len(r.doubts) && n.has(meant(m.name, of)) {
					r.doubts = r.doubts[:doubts] // the one that is meant is there, too
				}
			} else if !m.value.isNothing() {
				read(r, into, m.value, at)
			}
			if r.failed[at] && r.found <= maxMistakes && path != nil { // what is said of the others may come of it
				r.doubts = append(r.doubts, plain(path.String()))
			}
		})
	}
}

// meant is the member whose name a name is but for case and underscores, "" for none.
func meant[T any](name string, of members[T]) string {
	for known := range of {
		if plain(known) == plain(name) {
			return known
		}
	}
	return ""
}

// byName reads an object whose names are free.
func byName[V any](of reading[V]) reading[map[string]V] {
	return func(r *reader, into *map[string]V, n *node, path *trail) {
		if !r.is(n, strictjson.Object, path, "write an object, {\"name\": value}") {
			return
		}
		*into = make(map[string]V, len(n.members))
		r.each(n, path, aName, func(m member, at *trail) {
			var value V
			of(r, &value, m.value, at)
			(*into)[m.name] = value
		})
	}
}

// list reads a list, of which the example says how it is written. An empty one is not the same as none.
func list[V any](of reading[V], example string) reading[[]V] {
	return func(r *reader, into *[]V, n *node, path *trail) {
		if !r.is(n, strictjson.Array, path, "write a list, "+example) {
			return
		}
		*into = make([]V, len(n.items))
		for i, item := range n.items {
			of(r, &(*into)[i], item, &trail{before: path, step: anItem, index: i})
		}
	}
}

// optional reads into a pointer, which is nil without the member.
func optional[V any](of reading[V]) reading[*V] {
	return func(r *reader, into **V, n *node, path *trail) {
		*into = new(V)
		of(r, *into, n, path)
	}
}

var texts = list(aText, `["a", "b"]`)

func aText(r *reader, into *string, n *node, path *trail) {
	if r.is(n, strictjson.String, path, `write a text in double quotes`) {
		*into = n.text
	}
}

func aBool(r *reader, into *bool, n *node, path *trail) {
	if *into = n.kind == strictjson.True; !*into {
		r.is(n, strictjson.False, path, "write true or false")
	}
}

func anInteger(r *reader, into *int64, n *node, path *trail) {
	const fix = "write a whole number, such as 4194304"
	if !r.is(n, strictjson.Number, path, fix) {
		return
	}
	var err error
	if *into, err = strconv.ParseInt(n.text, 10, 64); err != nil {
		r.fail(n.at, path, foreign.Line(n.text), fix)
	}
}

func aDuration(r *reader, into *time.Duration, n *node, path *trail) {
	const fix = `write a duration with its unit, such as "30s" or "1h30m"`
	if !r.is(n, strictjson.String, path, fix) {
		return
	}
	var err error
	if *into, err = time.ParseDuration(n.text); err != nil {
		r.fail(n.at, path, foreign.Quote(n.text), fix)
	}
}

// anything reads what has no form of its own.
func anything(r *reader, into *any, n *node, path *trail) {
	switch n.kind {
	case strictjson.Object:
		var object map[string]any
		byName(anything)(r, &object, n, path)
		*into = object
	case strictjson.Array:
		var items []any
		list(anything, "[]")(r, &items, n, path)
		*into = items
	default:
		_ = json.Unmarshal(n.raw, into) // it has been read once
	}
}

// keySet reads a JWK Set, or PEM as a text.
func keySet(r *reader, into *[]byte, n *node, path *trail) {
	switch n.kind {
	case strictjson.Object:
		*into = n.raw
	case strictjson.String:
		*into = []byte(n.text)
	default:
		r.fail(n.at, path, kinds[n.kind], `write a JWK Set, {"keys": [...]}, or PEM as a text`)
	}
}

// modes are those of DPoP, by name.
var modes = map[string]mcpauth.DPoP{"off": mcpauth.DPoPOff, "accepted": mcpauth.DPoPAccepted, "required": mcpauth.DPoPRequired}

func aMode(r *reader, into *mcpauth.DPoP, n *node, path *trail) {
	const fix = `write "off", "accepted" or "required"`
	if !r.is(n, strictjson.String, path, fix) {
		return
	}
	var known bool
	if *into, known = modes[n.text]; !known {
		r.fail(n.at, path, foreign.Quote(n.text), fix)
	}
}

func someRules(r *reader, into *mcpauth.Policy, n *node, path *trail) {
	var rules mcpauth.Rules
	object(ruleMembers)(r, &rules, n, path)
	*into = rules
}

// requirement reads a list of scopes of which all are needed, the word "authenticated" for any valid token,
// or an object.
func requirement(r *reader, into *mcpauth.Requirement, n *node, path *trail) {
	const fix = `write a list of scopes, an object with all and any, or the word "authenticated" for any valid token`
	switch {
	case n.kind == strictjson.Array:
		texts(r, &into.AllOf, n, path)
	case n.kind == strictjson.Object:
		object(requirementMembers)(r, into, n, path)
	case n.kind == strictjson.String && n.text == "authenticated":
		*into = mcpauth.Authenticated()
	case n.kind == strictjson.String:
		r.fail(n.at, path, foreign.Quote(n.text), fix)
	default:
		r.fail(n.at, path, kinds[n.kind], fix)
	}
}
