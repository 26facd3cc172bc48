// Package identity holds the one context key under which a verified caller
// travels, so that the middleware and the test helpers agree on it while no
// other package can set it.
package identity

import "context"

type key struct{}

// NewContext returns a context that carries the principal.
func NewContext(ctx context.Context, principal any) context.Context {
	return context.WithValue(ctx, key{}, principal)
}

// FromContext returns what [NewContext] stored, or nil.
func FromContext(ctx context.Context) any {
	return ctx.Value(key{})
}

// IsKey reports whether a context is asked for the principal, for contexts
// that carry it without [NewContext].
func IsKey(k any) bool { return k == any(key{}) }
