package shared

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/seal"
)

// version stands in front of each value.
const version = "1."

// ErrUnreadable is the error of an entry that was not written by us, or by another release, or under another key.
var ErrUnreadable = errors.New("an entry of the store cannot be read, and counts for nobody")

// Space is what one resource has in a store: entries under names that tell nothing, sealed. What was written under an older
// key is found as well.
type Space struct {
	*Guard
	keys       []spaceKey // that in use is the first
	unreadable sync.Once  // has been told of
}

type spaceKey struct {
	Names
	sealer seal.Sealer
}

// NewSpace makes a space with keys of which the first is in use.
func NewSpace(g *Guard, keys ...[]byte) (*Space, error) {
	s := &Space{Guard: g}
	for _, key := range keys {
		sealer, err := seal.New(key, "store")
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, spaceKey{NewNames(key), sealer})
	}
	return s, nil
}

// Name is that of an entry to be written.
func (s *Space) Name(use Use, parts ...string) string { return s.keys[0].Of(use, parts...) }

// Seal makes a value of a text, for an entry with the name.
func (s *Space) Seal(name string, text []byte) []byte {
	return append([]byte(version), s.keys[0].sealer.Seal(text, []byte(name))...)
}

// First reports whether nobody has come with this before, whoever has the space, for so long. It is written down first and
// looked for under older keys then: of two replicas with other keys in front, one sees the other. Whoever leaves meanwhile has come
// all the same.
func (s *Space) First(ctx context.Context, ttl time.Duration, use Use, parts ...string) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	mine := []byte(rand.Text()) // a client of the store may try again after a lost answer
	held, err := s.PutIfAbsent(ctx, s.Name(use, parts...), mine, ttl)
	if err != nil || held != nil && !bytes.Equal(held, mine) {
		return false, err
	}
	errs := make([]error, len(s.keys))
	var seen atomic.Bool
	var all sync.WaitGroup
	for i := range s.keys[1:] {
		all.Go(func() {
			var value []byte
			if value, errs[i] = s.Get(ctx, s.keys[1+i].Of(use, parts...)); value != nil {
				seen.Store(true)
			}
		})
	}
	all.Wait()
	if seen.Load() {
		return false, nil
	}
	return true, errors.Join(errs...)
}

// Entry is what was found in a space.
type Entry struct {
	Name  string
	Value []byte // as it stands in the store; nil for none
	Text  []byte // nil for what cannot be read
}

// Read finds an entry, under whatever key.
func (s *Space) Read(ctx context.Context, use Use, parts ...string) (e Entry, err error) {
	for i := range s.keys {
		key := &s.keys[i]
		e = Entry{Name: key.Of(use, parts...)}
		if e.Value, err = s.Get(ctx, e.Name); err != nil {
			return e, err
		}
		if e.Value != nil {
			e.Text = key.open(e.Name, e.Value)
			break
		}
	}
	if e.Value != nil && e.Text == nil {
		s.unreadable.Do(func() { s.tell(ErrUnreadable) })
	}
	return e, nil
}

// Open reads a value that stands under a name of the key in use.
func (s *Space) Open(name string, value []byte) (text []byte) { return s.keys[0].open(name, value) }

func (k *spaceKey) open(name string, value []byte) []byte {
	sealed, ours := bytes.CutPrefix(value, []byte(version))
	text, ok := k.sealer.Open(string(sealed), []byte(name))
	if !ours || !ok {
		return nil
	}
	return text
}
