// Package identity says how a verified caller travels: the one context key, which
// no other package can set, and the names of requests without a session.
package identity

import "context"

// AliasPrefix begins the session ids that requests without a session are given.
const AliasPrefix = "mcpauth."

type key struct{}

// NewContext returns a context that carries the principal.
func NewContext(ctx context.Context, principal any) context.Context {
	return context.WithValue(ctx, key{}, principal)
}

// FromContext returns what [NewContext] stored, or nil.
func FromContext(ctx context.Context) any {
	return ctx.Value(key{})
}
