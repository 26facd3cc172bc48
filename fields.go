package mcpauth

import (
	"net/http"
	"slices"
	"strings"
)

// wholeOnly are fields that are true of a body as the handler wrote it, and may
// tell of what was taken out of it.
var wholeOnly = []string{"Etag", "Content-Md5", "Content-Digest", "Digest", "Repr-Digest", "Content-Range"}

// listOnly are fields that say something of all of a list, or where it goes on. A cursor in a link
// may be the name of a hidden entry, and a count or a date tells what nobody is shown.
var listOnly = []string{"Content-Location", "Last-Modified", "Link", "X-Total-Count"}

// isConditional tells the fields of a request that ask for a piece of an answer, or for none if it is the one
// that the client knows (RFC 9110 sections 13 and 14). Of a piece nothing can be judged, and the others
// tell whoever guesses what is hidden that the guess was right.
func isConditional(name string) bool {
	switch name {
	case "Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since":
		return true
	}
	return false
}

// decorate keeps shared caches away from what one caller may see, lets
// allowed origins read it, and binds a session that begins to its principal.
func (w *response) decorate(status int) {
	h := w.Header()
	w.fields = [...]string{"private", "Authorization"} // not shared with other responses, lest one be changed
	if status < 300 && first(h["Cache-Control"]) == "" {
		h["Cache-Control"] = w.fields[0:1:1]
	}
	if len(h["Vary"]) == 0 {
		h["Vary"] = w.fields[1:2:2]
	} else {
		addToList(h, "Vary", "Authorization")
	}
	w.request.decorate(h, w.r, status)
}

// isWithheld reports whether a header field of this answer, or a trailer, does not go out.
func (w *response) isWithheld(name string) bool {
	if w.filter == nil && !w.stream && !w.scoped {
		return false
	}
	name = http.CanonicalHeaderKey(strings.TrimPrefix(name, http.TrailerPrefix))
	return slices.Contains(wholeOnly, name) || w.filter != nil && slices.Contains(listOnly, name)
}

// withhold takes out what is not to go out: of the header before that is sent, and of the trailers.
func (w *response) withhold() {
	h := w.Header()
	for name := range h {
		if w.isWithheld(name) {
			delete(h, name)
		}
	}
}

// keepPrivate takes back what lets a shared cache keep an answer that took a token (RFC 9111
// sections 3.5 and 5.2.2), and what is for such caches alone. The other directives stay.
func keepPrivate(h http.Header) {
	delete(h, "Cdn-Cache-Control")
	delete(h, "Surrogate-Control")
	if len(h["Cache-Control"]) == 0 {
		return
	}
	kept := []string{"private"}
	shared, revalidated, restricted := false, false, false
	for directive := range strings.SplitSeq(strings.Join(h["Cache-Control"], ","), ",") {
		directive = strings.TrimSpace(directive)
		name, _, _ := strings.Cut(strings.ToLower(directive), "=")
		switch name = strings.TrimSpace(name); name { // some caches skip a blank there
		case "":
			continue
		case "public", "s-maxage":
			shared = true
			continue
		case "private":
			restricted = restricted || len(directive) == len(name)
			continue
		case "must-revalidate":
			revalidated = true
		case "no-store":
			restricted = true
		}
		kept = append(kept, directive)
	}
	if shared || revalidated && !restricted {
		h["Cache-Control"] = []string{strings.Join(kept, ", ")}
	}
}

// trailers finds the trailers that the handler has set: those that it declared before its
// first Write, and those by [http.TrailerPrefix].
func (w *response) trailers(h http.Header) (declared, prefixed http.Header) {
	for name, values := range h {
		bare, hasPrefix := strings.CutPrefix(name, http.TrailerPrefix)
		into := &declared
		switch {
		case w.isWithheld(bare):
			continue
		case hasPrefix:
			into = &prefixed
		case !isListed(w.header["Trailer"], name):
			continue
		}
		if *into == nil {
			*into = http.Header{}
		}
		(*into)[name] = values
	}
	return declared, prefixed
}

// addToList adds members to a header field that is a list (RFC 9110 section
// 5.6.1), as one line, except those that stand there already.
func addToList(h http.Header, name string, members ...string) {
	if present := h[name]; len(present) > 0 {
		members = slices.DeleteFunc(slices.Clone(members), func(member string) bool { return isListed(present, member) })
	}
	if len(members) > 0 {
		h[name] = append(h[name], strings.Join(members, ", "))
	}
}

func isListed(lines []string, member string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.TrimSpace(element); strings.EqualFold(element, member) || element == "*" {
				return true
			}
		}
	}
	return false
}
