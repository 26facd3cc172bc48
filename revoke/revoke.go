// Package revoke is a list of access tokens that are good no more before their time: single tokens, sessions of an authorization
// server, and all that a subject was given before some moment. Replicas that share a store share the list.
package revoke

import (
	"bytes"
	"cmp"
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

// MemoryStore returns a [mcpauth.Store] in the memory of this process: for a server that is one process, and for tests.
// It holds 64 MiB, a quarter of them for revocations alone, and what does not fit is an error: it forgets nothing before its time.
func MemoryStore() mcpauth.Store { return shared.NewMemory() }

// New makes a list in a store. The key, 32 bytes or more and the same wherever the list is used, keeps those who can read
// the store from trying out whose tokens are revoked; SessionKey of [mcpauth.Config] may serve as one. What was
// revoked under an old key is found as well.
func New(store mcpauth.Store, key []byte, old ...[]byte) (*List, error) {
	if store == nil {
		return nil, errors.New("revoke: no store: give one that all replicas share, or MemoryStore() in a server that is one process")
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

// RevokeToken revokes one token, by its iss and jti. The list forgets it five minutes after until, as [mcpauth.Config].Leeway may be so long: until
// is best the token's exp. No list remembers anything for more than ten years.
func (l *List) RevokeToken(ctx context.Context, issuer, id string, until time.Time) error {
	return l.revoke(ctx, mark{before: always, until: until}, "jti", issuer, id)
}

// RevokeSession revokes the tokens of a session of the authorization server, by iss and sid (OpenID Connect Back-Channel
// Logout 1.0 section 2.1). Tokens without a sid are of no session.
func (l *List) RevokeSession(ctx context.Context, issuer, id string, until time.Time) error {
	return l.revoke(ctx, mark{before: always, until: until}, "sid", issuer, id)
}

// RevokeSubject revokes the tokens of a subject, by iss and sub, that were issued before a moment: what it is given from then on is good. A token
// that does not tell its iat is revoked. The authorization server's clock may be ahead, and so tokens of the half minute after the moment are
// refused, too.
func (l *List) RevokeSubject(ctx context.Context, issuer, subject string, before, until time.Time) error {
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
	for _, answer := range answers {
		if errors.Is(answer, errRevoked) {
			return true, nil
		}
		err = cmp.Or(err, answer) // the others have the same reason
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
	if p.TokenID != "" {
		all = append(all, [3]string{"jti", p.Issuer, p.TokenID})
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
	m, _, err := readMark(value)
	if err == nil && (issued.IsZero() || issued.Before(m.before.Add(skew))) {
		err = errRevoked
	}
	return err
}

// always is later than any iat: nothing that a mark is about is good.
var always = time.UnixMilli(1 << 52)

const (
	// skew is for the clock of an authorization server that is ahead of ours: a token may name a moment that has not come yet.
	skew = 30 * time.Second

	// leeway is how long after its exp a token may be accepted: [mcpauth.Config].Leeway is no more.
	leeway = 5 * time.Minute

	// longest is for how long a mark is remembered at most.
	longest = 10 * 365 * 24 * time.Hour
)

// strictest is the mark of one who does not know what is revoked already: up to now, and until after whatever others have said.
func strictest() mark {
	now := time.Now()
	return markOf(now.Truncate(time.Second).Add(time.Second), now.Add(longest).Truncate(24*time.Hour).Add(24*time.Hour))
}

// mark says from when on tokens are good.
type mark struct{ before, until time.Time }

// markOf makes a mark that is the same when it has been written and read.
func markOf(before, until time.Time) mark {
	return mark{time.UnixMilli(before.UnixMilli()), time.UnixMilli(until.UnixMilli())}
}

func (m mark) and(other mark) mark {
	if other.before.After(m.before) {
		m.before = other.before
	}
	if other.until.After(m.until) {
		m.until = other.until
	}
	return m
}

// covers reports whether another mark adds nothing.
func (m mark) covers(other mark) bool { return m.and(other) == m }

const version = "1"

// Each writing of a mark is told from every other one. One that its writer is going to replace has a sign.
const (
	forNow = "~"
	toStay = ""
)

func (m mark) write(sign string) []byte {
	return fmt.Appendf(nil, "%s %d %d %s%s", version, m.before.UnixMilli(), m.until.UnixMilli(), sign, rand.Text()[:13])
}

var errMark = errors.New("an entry of the store about revoked tokens cannot be read")

func readMark(value []byte) (m mark, stays bool, err error) {
	fields := strings.Split(string(value), " ")
	if len(fields) != 4 || fields[0] != version {
		return m, false, errMark
	}
	before, err1 := strconv.ParseInt(fields[1], 10, 64)
	until, err2 := strconv.ParseInt(fields[2], 10, 64)
	if err1 != nil || err2 != nil {
		return m, false, errMark
	}
	return mark{time.UnixMilli(before), time.UnixMilli(until)}, !strings.HasPrefix(fields[3], forNow), nil
}

// revoke writes a mark, if what is held does not say as much already.
func (l *List) revoke(ctx context.Context, m mark, what, issuer, id string) error {
	switch {
	case issuer == "" || id == "":
		return fmt.Errorf("revoke: no issuer, or no %s: nothing would be revoked", what)
	case !m.until.After(time.Now()):
		return errors.New("revoke: the time until which it is to be remembered is over")
	}
	if most := strictest().until; m.until.After(most) {
		m.until = most
	}
	m = markOf(m.before, m.until)
	name := l.names[0].Of(shared.Revocation, what, issuer, id)
	held, err := l.store.Get(ctx, name)
	if err == nil {
		if known, stays, unreadable := readMark(held); unreadable == nil && stays && known.covers(m) {
			return nil
		}
		err = l.add(ctx, name, m.and(heldMark(held)))
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// add writes a mark so that what others revoke, before or meanwhile, stays revoked. Nobody is told in one step what an entry
// says and that it says more: so the strictest mark stands there first, and stays if this process, or an answer of the store, is lost in between.
func (l *List) add(ctx context.Context, name string, m mark) error {
	for {
		first := m.and(strictest())
		strict := first.write(forNow)
		old, err := l.swap(ctx, name, strict, first)
		if err != nil {
			return err
		}
		m = m.and(heldMark(old)) // the strictest one if it came twice, and what stood there is lost
		last := m.write(toStay)
		old, err = l.swap(ctx, name, last, m)
		if err != nil || bytes.Equal(old, last) {
			m = m.and(first)
			_, again := l.swap(context.WithoutCancel(ctx), name, m.write(forNow), m)
			return cmp.Or(err, again)
		}
		if bytes.Equal(old, strict) || m.covers(heldMark(old)) {
			return nil
		}
		m = m.and(heldMark(old)) // somebody else was there in between
	}
}

func (l *List) swap(ctx context.Context, name string, value []byte, m mark) ([]byte, error) {
	return l.store.Swap(ctx, name, value, time.Until(m.until)+leeway)
}

// heldMark is the mark that was held, if there was one. What cannot be read may have said anything.
func heldMark(value []byte) mark {
	if value == nil {
		return mark{}
	}
	m, _, err := readMark(value)
	if err != nil {
		m = strictest()
		m.before = always
	}
	return m
}
