package mcpauth

import (
	"errors"
	"strings"
)

// pattern is a key of [Rules] that stands for more than itself.
type pattern struct {
	glob
	key     string // as it is written in the rules
	blurred glob   // what it is to a server that ignores case and escapes; of resources only
	req     Requirement
}

// glob is a literal text followed by anything, or by the rest of a template.
type glob struct {
	prefix string   // before the first wildcard
	parts  []string // after each variable of a template; nil for prefix*
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
		return &glob{prefix: key[:star]}, nil
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

// String is the glob with its variables' names removed.
func (g glob) String() string {
	if g.parts == nil {
		return g.prefix + "*"
	}
	return g.prefix + "{}" + strings.Join(g.parts, "{}")
}

// blur returns the glob as a server sees it that ignores case and escapes.
func (g glob) blur() glob {
	blurred := glob{prefix: blur(g.prefix)}
	for _, part := range g.parts {
		blurred.parts = append(blurred.parts, blur(part))
	}
	return blurred
}

// matches reports whether the glob covers the name.
func (g glob) matches(name string) bool {
	rest, ok := strings.CutPrefix(name, g.prefix)
	if !ok || g.parts == nil {
		return ok
	}
	return matchTemplate(rest, g.parts)
}

// endsVariable are the characters at which a server would end the segment that
// a variable stands for.
const endsVariable = "/?#"

// matchTemplate matches V parts[0] V parts[1] ... against the whole of s,
// where V is [^/?#]+. Taking each literal where it can first stand is enough:
// no variable can cross a slash, so a later place never opens a match that the
// first one closes.
func matchTemplate(s string, parts []string) bool {
	last := len(parts) - 1
	for _, literal := range parts[:last] {
		if s == "" {
			return false
		}
		end := strings.Index(s[1:], literal) + 1
		if end == 0 || strings.ContainsAny(s[:end], endsVariable) {
			return false
		}
		s = s[end+len(literal):]
	}
	variable, found := strings.CutSuffix(s, parts[last])
	return found && variable != "" && !strings.ContainsAny(variable, endsVariable)
}
