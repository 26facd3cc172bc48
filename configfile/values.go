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
	failed  map[string]bool // paths of mistakes
	doubts  []string
	secrets []secret
}

// read reads the text of a file.
func read(name string, data []byte) (*File, []*Error) {
	t := &source{name: name, data: data, places: map[string]int{}}
	f := &File{text: t}
	root, err := t.parse()
	if err != nil {
		f.doubts = []string{""}
		return f, []*Error{err}
	}
	r := &reader{text: t, failed: map[string]bool{}}
	object(fileMembers)(r, f, root, "")
	f.secrets, f.doubts = r.secrets, r.doubts
	return f, r.errs
}

func (r *reader) fail(at int, path, what, fix string) {
	r.errs = append(r.errs, r.text.mistake(at, path, what, fix))
	r.failed[path] = true
	r.doubts = append(r.doubts, plain(path))
}

// is reports whether a value is of a kind, and fails otherwise.
func (r *reader) is(n *node, kind strictjson.Kind, path, fix string) bool {
	if n.kind != kind {
		r.fail(n.at, path, kinds[n.kind], fix)
	}
	return n.kind == kind
}

// each visits the members of an object, each name once.
func (r *reader) each(n *node, path func(name string) string, visit func(m member, path string)) {
	first := map[string]int{}
	for _, m := range n.members {
		at := path(m.name)
		if line, twice := first[m.name]; twice {
			r.fail(m.at, at, "stands twice", fmt.Sprintf("remove one: the first is on line %d", line))
			continue
		}
		first[m.name] = r.text.mistake(m.at, "", "", "").Line
		visit(m, at)
	}
}

// object reads an object with members that are known: a misspelt one would be a rule that does not exist.
func object[T any](of members[T]) reading[T] {
	return func(r *reader, into *T, n *node, path string) {
		if !r.is(n, strictjson.Object, path, "write an object, {\"name\": value}") {
			return
		}
		name := func(name string) string {
			if path == "" {
				return shortName(name)
			}
			return path + "." + shortName(name)
		}
		r.each(n, name, func(m member, at string) {
			if read, known := of[m.name]; !known {
				r.fail(m.at, at, "no such member", suggestion(m.name, of.names()))
			} else if r.text.places[plain(at)] = m.value.at; !m.value.isNothing() {
				read(r, into, m.value, at)
			}
			if r.failed[at] { // what is said of the others may come of it
				r.doubts = append(r.doubts, plain(path))
			}
		})
	}
}

// shortName is a name in a path, in quotes if it could be read in another way.
func shortName(name string) string {
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return foreign.Quote(name)
		}
	}
	return name
}

// byName reads an object whose names are free.
func byName[V any](of reading[V]) reading[map[string]V] {
	return func(r *reader, into *map[string]V, n *node, path string) {
		if !r.is(n, strictjson.Object, path, "write an object, {\"name\": value}") {
			return
		}
		*into = make(map[string]V, len(n.members))
		r.each(n, func(name string) string { return fmt.Sprintf("%s[%q]", path, name) }, func(m member, at string) {
			r.text.places[plain(at)] = m.at
			var value V
			of(r, &value, m.value, at)
			(*into)[m.name] = value
		})
	}
}

// list reads a list. An empty one is not the same as none.
func list[V any](of reading[V]) reading[[]V] {
	return func(r *reader, into *[]V, n *node, path string) {
		if !r.is(n, strictjson.Array, path, `write a list, ["a", "b"]`) {
			return
		}
		*into = make([]V, len(n.items))
		for i, item := range n.items {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.text.places[plain(at)] = item.at
			of(r, &(*into)[i], item, at)
		}
	}
}

// optional reads into a pointer, which is nil without the member.
func optional[V any](of reading[V]) reading[*V] {
	return func(r *reader, into **V, n *node, path string) {
		*into = new(V)
		of(r, *into, n, path)
	}
}

var texts = list(aText)

func aText(r *reader, into *string, n *node, path string) {
	if r.is(n, strictjson.String, path, `write a text in double quotes`) {
		*into = n.text
	}
}

func aBool(r *reader, into *bool, n *node, path string) {
	if *into = n.kind == strictjson.True; !*into {
		r.is(n, strictjson.False, path, "write true or false")
	}
}

func anInteger(r *reader, into *int64, n *node, path string) {
	const fix = "write a whole number, such as 4194304"
	if !r.is(n, strictjson.Number, path, fix) {
		return
	}
	var err error
	if *into, err = strconv.ParseInt(n.text, 10, 64); err != nil {
		r.fail(n.at, path, foreign.Line(n.text), fix)
	}
}

func aDuration(r *reader, into *time.Duration, n *node, path string) {
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
func anything(r *reader, into *any, n *node, path string) {
	switch n.kind {
	case strictjson.Object:
		var object map[string]any
		byName(anything)(r, &object, n, path)
		*into = object
	case strictjson.Array:
		var items []any
		list(anything)(r, &items, n, path)
		*into = items
	default:
		_ = json.Unmarshal(n.raw, into) // it has been read once
	}
}

// keySet reads a JWK Set, or PEM as a text.
func keySet(r *reader, into *[]byte, n *node, path string) {
	switch n.kind {
	case strictjson.Object:
		*into = n.raw
	case strictjson.String:
		*into = []byte(n.text)
	default:
		r.fail(n.at, path, kinds[n.kind], `write a JWK Set, {"keys": [...]}, or PEM as a text`)
	}
}

func someRules(r *reader, into *mcpauth.Policy, n *node, path string) {
	var rules mcpauth.Rules
	object(ruleMembers)(r, &rules, n, path)
	*into = rules
}

// requirement reads a list of scopes of which all are needed, the word "authenticated" for any valid token,
// or an object.
func requirement(r *reader, into *mcpauth.Requirement, n *node, path string) {
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
