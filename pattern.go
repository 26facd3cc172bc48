package mcpauth

import (
	"errors"
	"iter"
	"slices"
	"strings"
)

// pattern is a key of [Rules] that stands for more than itself.
type pattern struct {
	glob
	key string // as it is written in the rules
	req Requirement

	read reading // the pattern with marks for its wildcards; of resources only
}

// glob is a literal text, perhaps followed by the rest of a template, and
// perhaps by anything.
type glob struct {
	prefix string   // before the first wildcard
	parts  []string // after each variable of a template
	open   bool     // anything may follow
}

var (
	errEmptyKey = errors.New("the name is empty")
	errStar     = errors.New("* may only stand at the end: list the names, or shorten the pattern")
	errTemplate = errors.New("not a URI template of this kind: write variables as {name}")
)

// parseGlob reads a key of [Rules]. It returns nil for an exact name.
func parseGlob(key string, templates bool) (*glob, error) {
	switch star := strings.IndexByte(key, '*'); {
	case key == "":
		return nil, errEmptyKey
	case star >= 0 && star < len(key)-1:
		return nil, errStar
	case star >= 0 && templates && strings.ContainsAny(key, "{}"):
		return nil, errTemplate
	case star >= 0:
		return &glob{prefix: key[:star], open: true}, nil
	case templates && strings.ContainsAny(key, "{}"):
		return parseTemplate(key)
	}
	return nil, nil
}

// parseTemplate takes "db://{table}/rows" apart.
func parseTemplate(key string) (*glob, error) {
	prefix, rest, _ := strings.Cut(key, "{")
	if strings.Contains(prefix, "}") {
		return nil, errTemplate
	}
	g := &glob{prefix: prefix}
	for more := true; more; {
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" || !isVariable(name) {
			return nil, errTemplate
		}
		var literal string
		literal, rest, more = strings.Cut(after, "{")
		if strings.Contains(literal, "}") {
			return nil, errTemplate
		}
		g.parts = append(g.parts, literal)
	}
	return g, nil
}

// isVariable leaves out the operators and modifiers of RFC 6570: they match
// more, or other things, than one segment.
func isVariable(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '.' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// matches reports whether the glob covers the name.
func (g glob) matches(name string) bool {
	rest, ok := strings.CutPrefix(name, g.prefix)
	if !ok || len(g.parts) == 0 {
		return ok && (g.open || rest == "")
	}
	return matchTemplate(rest, g.parts, g.open, strings.Contains(g.prefix, "?"))
}

// What ends the segment that a variable stands for, and in a query the parameter.
const (
	endsSegment   = "/?#"
	endsParameter = "/?#&;+"
)

// matchTemplate matches V parts[0] V parts[1] ... against the whole of s, or,
// if anything may follow, against its beginning. V is [^/?#]+, in a query
// [^/?#&;+]+. Taking each literal where it can first stand is enough: no
// variable can cross a slash, so a later place never opens a match that the
// first one closes.
func matchTemplate(s string, parts []string, open, query bool) bool {
	last := len(parts) - 1
	for i, literal := range parts {
		ends := endsSegment
		if query {
			ends = endsParameter
		}
		if s == "" {
			return false
		}
		if i == last && !open {
			variable, found := strings.CutSuffix(s, literal)
			return found && variable != "" && !strings.ContainsAny(variable, ends)
		}
		end := strings.Index(s[1:], literal) + 1
		if end == 0 || strings.ContainsAny(s[:end], ends) {
			return false
		}
		s = s[end+len(literal):]
		query = query || strings.Contains(literal, "?")
	}
	return true
}

// prefixes finds values by the beginnings of a text.
type prefixes[T any] struct {
	lengths []int // of the prefixes, longest first
	values  map[string][]T
}

func (p *prefixes[T]) add(prefix string, value T) {
	if p.values == nil {
		p.values = make(map[string][]T)
	}
	p.values[prefix] = append(p.values[prefix], value)
	i, found := slices.BinarySearchFunc(p.lengths, len(prefix), func(length, wanted int) int { return wanted - length })
	if !found {
		p.lengths = slices.Insert(p.lengths, i, len(prefix))
	}
}

// of yields the values whose prefix the text has, longest prefix first.
func (p *prefixes[T]) of(text string) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, length := range p.lengths {
			if length > len(text) {
				continue
			}
			for _, value := range p.values[text[:length]] {
				if !yield(value) {
					return
				}
			}
		}
	}
}
