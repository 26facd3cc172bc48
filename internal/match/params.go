package match

import (
	"net/url"
	"slices"
	"strings"
)

// meets reports whether a reading of a URI has all parameters of a key, in any order
// and beside any others, or, if fewer will do, has some of them, and of the others
// none with another value: a server may have the key's for what is missing.
func (n *neighbour) meets(r reading, uri string, fewer bool) bool {
	some, all := false, true
	for _, g := range n.params {
		if slices.ContainsFunc(r.params, g.matches) {
			some = true
			continue
		}
		if all = false; !fewer || n.hasOther(g.name(), r.params) && n.writesAlike(g.name(), uri) {
			return false
		}
	}
	return some || all
}

// name returns the name of a parameter with its "=", "" if that may be any.
func (g glob) name() string {
	name, _, found := strings.Cut(g.prefix, "=")
	if !found {
		return ""
	}
	return name + "="
}

// hasOther reports whether the URI has other values for a parameter, and none that the
// key has: where it has the name twice, a server may take either value.
func (n *neighbour) hasOther(name string, uri []string) (other bool) {
	for _, param := range uri {
		if !strings.HasPrefix(param, name) {
			continue
		}
		if param == name || slices.ContainsFunc(n.params, func(g glob) bool { return g.matches(param) }) {
			return false
		}
		other = true
	}
	return other
}

// writesAlike reports whether the URI names a parameter byte for byte as the key does,
// where no parser loses it: a server that knows no other spelling leaves "YEAR=1" out,
// and has the key's for what is missing.
func (n *neighbour) writesAlike(name, uri string) bool {
	theirs := written(n.of.marked)
	return slices.ContainsFunc(written(uri), func(own string) bool {
		return slices.Contains(theirs, own) && slices.Contains(takeApart("?"+undo(own)).params, name)
	})
}

// written are the names of the parameters of a URI that every server finds there.
func written(uri string) (names []string) {
	uri, _, _ = strings.Cut(uri, "#")
	_, query, _ := strings.Cut(uri, "?")
	for param := range strings.SplitSeq(query, "&") {
		if _, err := url.QueryUnescape(param); err != nil || strings.Contains(param, ";") {
			continue
		}
		if name, _, _ := strings.Cut(param, "="); name != "" {
			names = append(names, name)
		}
	}
	return names
}
