package match

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a key that stands for more than itself.
type pattern struct {
	glob
	key      string    // as it is written
	index    int       // of the key, as the set answers
	marked   string    // with marks for its wildcards
	template *template // nil for prefix*
	read     neighbour // of URIs, the first reading
}

// glob is a literal text, perhaps followed by the rest of a template, and
// perhaps by anything.
type glob struct {
	prefix string         // before the first wildcard
	parts  []string       // after each variable of a template
	open   bool           // anything may follow
	rest   *regexp.Regexp // of what the other fields cannot say
}

var (
	errEmptyKey = errors.New("the name is empty: write the name, or * for all that are not listed")
	errStar     = errors.New("* may only stand at the end: list the names, or shorten the pattern")
	errTemplate = errors.New("not a URI template of this kind: write variables as {name}")
)

// parsePattern reads a key. It returns nil for an exact name.
func parsePattern(key string, templates bool) (*pattern, error) {
	switch star := strings.IndexByte(key, '*'); {
	case key == "":
		return nil, errEmptyKey
	case templates && strings.ContainsAny(key, "{}"):
		t, err := parseTemplate(key)
		if err != nil || strings.Contains(t.whole, "*") {
			return nil, errTemplate
		}
		return &pattern{glob: t.glob(), key: key, marked: t.marked, template: t}, nil
	case star >= 0 && star < len(key)-1:
		return nil, errStar
	case star >= 0:
		return &pattern{glob: glob{prefix: key[:star], open: true}, key: key, marked: key[:star] + string(anyRest)}, nil
	}
	return nil, nil
}

// text is the key with a mark for each of its wildcards.
func (p *pattern) text() string {
	if p.template != nil {
		return p.template.whole
	}
	return p.marked
}

// matches reports whether the glob covers the name.
func (g glob) matches(name string) bool {
	rest, ok := strings.CutPrefix(name, g.prefix)
	if ok && g.rest != nil {
		return g.rest.MatchString(rest)
	}
	if !ok || len(g.parts) == 0 {
		return ok && (g.open || rest == "")
	}
	return matchTemplate(rest, g.parts, g.open, strings.Contains(g.prefix, "?"))
}

// What ends the segment that a variable stands for, and in a query the parameter.
const (
	endsSegment   = "/?#" + string(anyRest)
	endsParameter = "/?#&;+" + string(anyRest)
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
		_, first := utf8.DecodeRuneInString(s) // of a mark, too, there is no half
		end := strings.Index(s[first:], literal)
		if end < 0 || strings.ContainsAny(s[:first+end], ends) {
			return false
		}
		end += first
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
