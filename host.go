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
	legacyAS  *hosted   // that has LegacyASMetadata
}

type hosted struct {
	*Middleware
	resource, path string
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
		one := &hosted{auth, config.Resource, strings.TrimSuffix(u.Path, "/")}
		switch {
		case origin != u.Scheme+"://"+u.Host:
			fail(i, "Resource", shownURL(config.Resource), "must be on the host of the others, "+origin+": another one has a handler of its own")
		case u.RawQuery != "":
			fail(i, "Resource", shownURL(config.Resource), "resources of one host are told apart by their paths: take the query away")
		case slices.ContainsFunc(h.resources, func(other *hosted) bool { return other.path == one.path }):
			fail(i, "Resource", shownURL(config.Resource), "another resource has this path: give each its own")
		case !isSame(config.Transport, configs[0].Transport):
			fail(i, "Transport", "another one", "what is fetched for one is there for all: give all the same")
		}
		if config.LegacyASMetadata && h.legacyAS != nil {
			fail(i, "LegacyASMetadata", "true", "a host has one authorization server to show to clients of 2025-03-26: set it for one resource")
		} else if config.LegacyASMetadata {
			h.legacyAS = one
		}
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
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, one := range joined.Unwrap() {
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
// has it; handlers are by resource. The metadata of each is at its own place, and nothing is at the place that belongs to a resource
// without a path, unless there is one. What is under no resource is 404.
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

// of finds the resource that answers a URL, nil for none.
func (h *Host) of(u *url.URL) *hosted {
	switch {
	case isUnder(u.Path, metadataRoot):
		i := slices.IndexFunc(h.resources, func(one *hosted) bool { return one.generation().public.isAt(u) })
		if i < 0 {
			return nil
		}
		return h.resources[i]
	case h.legacyAS != nil && slices.Contains(originAS, u.Path):
		return h.legacyAS
	}
	for _, one := range h.resources {
		if isUnder(u.Path, one.path) {
			return one
		}
	}
	return nil
}

// originAS are the places at the origin that clients of 2025-03-26 take for the authorization server's.
var originAS = []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/authorize", "/token", "/register"}
