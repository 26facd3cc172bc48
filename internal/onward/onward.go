// Package onward is what a request lets packages of this library have of it, through the context that its
// handler is given: the facts of the request, and its token where the configuration says that it may be exchanged.
//
// Both are dead when the request is over, whoever still holds the context. What a context answers
// has no exported method and no exported field, because code outside of this library can get hold of it, by a
// context of its own that is asked for the key. Only functions of this package lead further.
package onward

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why there is nothing.
var (
	ErrNone      = errors.New("this is not the context of a request that mcpauth has let through")
	ErrOver      = errors.New("the request is over")
	ErrForbidden = errors.New("tokens of this issuer may not be exchanged")
)

// Facts are what is known of a request. They are valid within the call of [Look] that gave them.
type Facts struct {
	Resource    string
	MetadataURL string // of the resource
	Issuer      string // of the token
	Principal   any    // a *mcpauth.Principal that all requests with the token share: not to be changed
	Modern      bool   // of MCP 2026-07-28 or later
	Calls       any    // a []mcpauth.Call
	Body        []byte // that was checked; nil for none. Not to be changed
	Deciding    bool   // the policy is being asked about the request, for the first time
}

// Ours is in the signature of methods that only packages of this library can have.
type Ours struct{}

// Owner is the request itself. It is asked only while it lasts.
type Owner interface {
	Facts() Facts
	// Metadata is that of the issuer of the token, and says whether it may name private addresses.
	Metadata(context.Context) (document []byte, private bool, err error)
}

// Request is one request. Its zero value is one of which nothing is known.
type Request struct {
	mu    sync.Mutex
	owner Owner
	token func() (token string, ends time.Time) // nil: it is not to be had
	over  bool
}

// Begin makes the facts of a request known.
func Begin(r *Request, owner Owner) { r.owner = owner }

// Carry lets the request carry its token, until that ends. The token stands in a closure, in which
// neither formatting nor encoding finds it.
func Carry(r *Request, token string, ends time.Time) {
	r.token = func() (string, time.Time) { return token, ends }
}

// Change changes what the facts are made of, when the context has been given away: nobody looks meanwhile.
func Change(r *Request, change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// End is called when the request is over, or must not go on. It waits for who looks at the facts.
func End(r *Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over, r.owner, r.token = true, nil, nil
}

type key struct{}

// IsKey reports whether a context is asked for its request.
func IsKey(k any) bool { return k == any(key{}) }

// NewContext returns a context of another request, or of none.
func NewContext(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, key{}, r)
}

// FromContext returns the request whose context this is, nil for none.
func FromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(key{}).(*Request)
	return r
}

// Look calls look with the facts, while the request cannot end. It must be quick, and call nothing of this package.
func Look(ctx context.Context, look func(Facts)) error {
	r := FromContext(ctx)
	if r == nil {
		return ErrNone
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.dead(); err != nil {
		return err
	}
	look(r.owner.Facts())
	return nil
}

// Token returns the token and when it ends.
func Token(ctx context.Context) (token string, ends time.Time, err error) {
	r := FromContext(ctx)
	if r == nil {
		return "", ends, ErrNone
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.dead(); err != nil {
		return "", ends, err
	}
	if r.token == nil {
		return "", ends, ErrForbidden
	}
	token, ends = r.token()
	if now := time.Now(); !now.Before(ends) || !now.Round(0).Before(ends.Round(0)) { // on either clock: see mcpauth's reached
		return "", time.Time{}, ErrOver
	}
	return token, ends, nil
}

// Metadata returns the metadata of the issuer of the token, and whether it may name private addresses.
func Metadata(ctx context.Context) (document []byte, private bool, err error) {
	r := FromContext(ctx)
	if r == nil {
		return nil, false, ErrNone
	}
	r.mu.Lock()
	owner, err := r.owner, r.dead()
	r.mu.Unlock() // it may take a while
	if err != nil {
		return nil, false, err
	}
	return owner.Metadata(ctx)
}

func (r *Request) dead() error {
	switch {
	case r.over:
		return ErrOver
	case r.owner == nil:
		return ErrNone
	}
	return nil
}
