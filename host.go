package mcpauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Host is several resources on one host, each under a path of its own: what is fetched of an issuer that they share
// is fetched once. Everything else is each one's own: rules, tokens, sessions, tasks.
type Host struct {
	resources []*hosted // the longest paths first
}

type hosted struct {
	*Middleware
	resource, path string
	folded         string // the path in lower case
}

// NewHost makes a [Middleware] of each configuration, as [New] does. They have one scheme and host, one Transport, and each a path. The
// error joins one *[ConfigError] for each mistake, whose Field begins with the index of the configuration: "[1].Scopes[0]".
func NewHost(configs ...Config) (*Host, error) {
	h := &Host{}
	var errs []error
	fail := func(i int, field, value, reason string) {
		errs = append(errs, &ConfigError{Field: fmt.Sprintf("[%d].%s", i, field), Value: value, Reason: reason})
	}
	var first *Middleware
	var origin string
	legacyAS := false
	for i, config := range configs {
		auth, err := newBeside(first, config)
		if err != nil {
			errs = append(errs, indexed(i, err)...)
			continue
		}
		u, _ := url.Parse(config.Resource)
		if first == nil {
			first, origin = auth, u.Scheme+"://"+u.Host
		}
		path := strings.TrimSuffix(u.Path, "/")
		one := &hosted{auth, config.Resource, path, strings.ToLower(path)}
		switch {
		case origin != u.Scheme+"://"+u.Host:
			fail(i, "Resource", shownURL(config.Resource), "must be on the host of the others, "+origin+": another one has a handler of its own")
		case !hasOneReading(u):
			fail(i, "Resource", shownURL(config.Resource), "its path can be read in more than one way: write it without empty and dot segments, semicolons, backslashes, and encoded signs of these")
		case u.RawQuery != "":
			fail(i, "Resource", shownURL(config.Resource), "resources of one host are told apart by their paths: take the query away")
		case slices.ContainsFunc(h.resources, func(other *hosted) bool { return other.path == one.path }):
			fail(i, "Resource", shownURL(config.Resource), "another resource has this path: give each its own")
		case !isSame(config.Transport, configs[0].Transport):
			fail(i, "Transport", "another one", "what is fetched for one is there for all: give all the same")
		}
		if config.LegacyASMetadata && legacyAS {
			fail(i, "LegacyASMetadata", "true", "a host has one authorization server to show to clients of 2025-03-26: set it for one resource")
		}
		legacyAS = legacyAS || config.LegacyASMetadata
		h.resources = append(h.resources, one)
	}
	if len(configs) == 0 {
		errs = append(errs, errors.New("mcpauth: a host without a resource"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortStableFunc(h.resources, func(a, b *hosted) int { return len(b.path) - len(a.path) })
	return h, nil
}

// indexed says of which configuration mistakes are.
func indexed(i int, err error) (errs []error) {
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() { // New joins them, even one alone
		if mistake, ok := one.(*ConfigError); ok {
			one = &ConfigError{Field: fmt.Sprintf("[%d].%s", i, mistake.Field), Value: mistake.Value, Reason: mistake.Reason}
		}
		errs = append(errs, one)
	}
	return errs
}

// Resource returns the Middleware of a resource by its canonical URI, nil if there is no such resource.
func (h *Host) Resource(resource string) *Middleware {
	for _, one := range h.resources {
		if one.resource == resource {
			return one.Middleware
		}
	}
	return nil
}

// Wrap returns one handler for the whole host. Each resource's requests, those to its path and to paths under it, go to its handler as [Middleware.Wrap]
// has it; handlers are by resource. The metadata of each is at its own place. That of a resource without a path is 404 if the host
// has none. What is under no resource is 404, and so is a path that can be read in two ways (docs/proxies.md).
func (h *Host) Wrap(handlers map[string]http.Handler) http.Handler {
	wrapped := map[*hosted]http.Handler{}
	for resource, handler := range handlers {
		i := slices.IndexFunc(h.resources, func(one *hosted) bool { return one.resource == resource })
		if i < 0 {
			panic(fmt.Sprintf("mcpauth: Wrap: the host has no resource %q", resource))
		}
		wrapped[h.resources[i]] = h.resources[i].Wrap(handler)
	}
	for _, one := range h.resources {
		if wrapped[one] == nil {
			panic(fmt.Sprintf("mcpauth: Wrap: no handler for the resource %q", one.resource))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if one := h.of(r.URL); one != nil {
			wrapped[one].ServeHTTP(w, r)
			return
		}
		notFound(w)
	})
}

// of finds the resource that answers a URL, nil for none, and for one that the handlers might take for another resource's.
func (h *Host) of(u *url.URL) *hosted {
	if !hasOneReading(u) {
		return nil
	}
	if isUnder(u.Path, metadataRoot) {
		return h.first(func(one *hosted) bool { return one.generation().public.isAt(u) })
	}
	if one := h.first(func(one *hosted) bool { return one.generation().public.isOriginAS(u.Path) }); one != nil {
		return one
	}
	one := h.first(func(one *hosted) bool { return isUnder(u.Path, one.path) })
	if one == nil {
		return nil
	}
	folded := strings.ToLower(u.Path)
	nearest := h.first(func(other *hosted) bool { return isUnder(folded, other.folded) })
	if len(nearest.path) > len(one.path) { // to a handler that ignores case it is below that one
		return nil
	}
	return one
}

func (h *Host) first(is func(*hosted) bool) *hosted {
	if i := slices.IndexFunc(h.resources, is); i >= 0 {
		return h.resources[i]
	}
	return nil
}

// hasOneReading reports whether everybody finds the same segments in a path: also who decodes it twice, resolves dots, joins empty
// segments, or takes parameters off (RFC 3986 section 3.3), as servers and proxies behind a handler may.
func hasOneReading(u *url.URL) bool {
	raw := strings.ToLower(u.EscapedPath())
	if strings.Contains(raw, "%2f") || strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`;\%`, r) }) {
		return false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.Contains(u.Path, "//")
}
