// Package revoke is a list of access tokens that are good no more before their time: single tokens, sessions of an authorization
// server, and all that a subject was given before some moment. Replicas that share a store share the list.
package revoke

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/shared"
)

// List is what has been revoked. It is safe for concurrent use.
type List struct {
	store *shared.Guard
	names []shared.Names // that in use in front
}

// New makes a list in a store. The key, 32 bytes or more and the same wherever the list is used, keeps those who can read
// the store from trying out whose tokens are revoked; [mcpauth.Replicas] SessionKey may serve as one. What was
// revoked under an old key is found as well.
func New(store mcpauth.Store, key []byte, old ...[]byte) (*List, error) {
	if store == nil {
		return nil, errors.New("revoke: no store: give one that all replicas share, or mcpauth.MemoryStore() in a server that is one process")
	}
	l := &List{store: shared.NewGuard(store, func(error) {})}
	for _, key := range append([][]byte{key}, old...) {
		if len(key) < 32 {
			return nil, fmt.Errorf("revoke: a key of %d bytes: give 32 random bytes or more, the same to all replicas", len(key))
		}
		l.names = append(l.names, shared.NewNames(key))
	}
	return l, nil
}

// Token revokes one token, by its iss and jti. The list forgets it after until, which is best the token's exp and some minutes.
func (l *List) Token(ctx context.Context, issuer, id string, until time.Time) error {
	return l.revoke(ctx, mark{before: always, until: until}, "jti", issuer, id)
}

// Session revokes the tokens of a session of the authorization server, by iss and sid (OpenID Connect Back-Channel
// Logout 1.0 section 2.1). Tokens without a sid are of no session.
func (l *List) Session(ctx context.Context, issuer, id string, until time.Time) error {
	return l.revoke(ctx, mark{before: always, until: until}, "sid", issuer, id)
}

// Subject revokes the tokens of a subject, by iss and sub, that were issued before a moment: what it is given from then on is good. A token
// that does not tell its iat is revoked. iat has whole seconds, so that a token which is issued in the very second of the moment may be
// refused, too.
func (l *List) Subject(ctx context.Context, issuer, subject string, before, until time.Time) error {
	return l.revoke(ctx, mark{before: before, until: until}, "sub", issuer, subject)
}

// Revoked has the type of [mcpauth.Config].Revoked. It has an error, which is answered with 503, when the store does not tell
// within a quarter of a second.
func (l *List) Revoked(ctx context.Context, p *mcpauth.Principal) (bool, error) {
	asked, err := names(p)
	if err != nil {
		return false, err
	}
	answers := make([]error, len(asked)*len(l.names))
	var all sync.WaitGroup
	for i, what := range asked {
		for j, names := range l.names {
			all.Go(func() { answers[i*len(l.names)+j] = l.ask(ctx, names, what, p.IssuedAt) })
		}
	}
	all.Wait()
	if err = errors.Join(answers...); errors.Is(err, errRevoked) {
		return true, nil
	}
	return false, err
}

// names are those by which a token can have been revoked.
func names(p *mcpauth.Principal) ([][3]string, error) {
	var claims map[string]json.RawMessage // a struct would take SID for sid
	if err := p.Claims(&claims); err != nil {
		return nil, errors.New("the claims of the token cannot be decoded")
	}
	all := [][3]string{{"sub", p.Issuer, p.Subject}}
	if p.ID != "" {
		all = append(all, [3]string{"jti", p.Issuer, p.ID})
	}
	var session string
	if json.Unmarshal(claims["sid"], &session) == nil && session != "" {
		all = append(all, [3]string{"sid", p.Issuer, session})
	}
	return all, nil
}

var errRevoked = errors.New("revoked")

// ask reports errRevoked for a token of that time.
func (l *List) ask(ctx context.Context, names shared.Names, what [3]string, issued time.Time) error {
	value, err := l.store.Get(ctx, names.Of(shared.Revocation, what[:]...))
	if err != nil || value == nil {
		return err
	}
	m, err := readMark(value)
	if err == nil && (issued.IsZero() || issued.Before(m.before)) {
		err = errRevoked
	}
	return err
}

// always is later than any iat: nothing that a mark is about is good.
var always = time.UnixMilli(1 << 52)

// mark says from when on tokens are good.
type mark struct{ before, until time.Time }

func (m mark) and(other mark) mark {
	if other.before.After(m.before) {
		m.before = other.before
	}
	if other.until.After(m.until) {
		m.until = other.until
	}
	return m
}

const version = "1"

// write writes a mark so that it is told from every other one.
func (m mark) write() []byte {
	return fmt.Appendf(nil, "%s %d %d %s", version, m.before.UnixMilli(), m.until.UnixMilli(), rand.Text()[:13])
}

var errMark = errors.New("an entry of the store about revoked tokens cannot be read")

func readMark(value []byte) (m mark, err error) {
	fields := strings.Split(string(value), " ")
	if len(fields) != 4 || fields[0] != version {
		return m, errMark
	}
	before, err1 := strconv.ParseInt(fields[1], 10, 64)
	until, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return m, errMark
	}
	return mark{time.UnixMilli(before), time.UnixMilli(until)}, nil
}

// revoke writes a mark. What others have revoked, before or meanwhile, stays revoked: until all that is known has been put together, and should this
// process end in between, everything that was issued up to now is.
func (l *List) revoke(ctx context.Context, m mark, what, issuer, id string) error {
	switch {
	case issuer == "" || id == "":
		return fmt.Errorf("revoke: no issuer, or no %s: nothing would be revoked", what)
	case !m.until.After(time.Now()):
		return errors.New("revoke: the time until which it is to be remembered is over")
	}
	name := l.names[0].Of(shared.Revocation, what, issuer, id)
	strict := m.and(mark{before: time.Now()})
	last := strict.write()
	held, err := l.swap(ctx, name, last, strict)
	for err == nil {
		m = m.and(heldMark(held))
		next := m.write()
		if held, err = l.swap(ctx, name, next, m); bytes.Equal(held, last) {
			break
		}
		last = next // somebody else was there in between
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

func (l *List) swap(ctx context.Context, name string, value []byte, m mark) ([]byte, error) {
	return l.store.Swap(ctx, name, value, time.Until(m.until)+time.Second)
}

// heldMark is the mark that was held, if there was one. What cannot be read may have said anything.
func heldMark(value []byte) mark {
	if value == nil {
		return mark{}
	}
	m, err := readMark(value)
	if err != nil {
		m.before = always
	}
	return m
}
