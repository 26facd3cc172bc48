package keys

import (
	"crypto/sha256"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// How many keys one token may be tried with.
const (
	maxSameKid = 4
	maxNoKid   = 8
)

// keySet is one version of an issuer's keys. It never changes.
type keySet struct {
	keys    []jose.Key
	byKid   map[string][]*jose.Key
	skipped []jose.Skipped
	anyKid  bool              // from PEM, which names no kid: any kid will do
	digest  [sha256.Size]byte // of the text it was read from; zero for static keys
}

// noKeys verify nothing.
var noKeys = newKeySet(nil, nil, false)

func newKeySet(keys []jose.Key, skipped []jose.Skipped, anyKid bool) *keySet {
	set := &keySet{keys: keys, skipped: skipped, anyKid: anyKid, byKid: make(map[string][]*jose.Key, len(keys))}
	for i := range keys {
		if key := &keys[i]; key.HasKid {
			set.byKid[key.Kid] = append(set.byKid[key.Kid], key)
		}
	}
	return set
}

// candidates appends to into the keys that may have made the signature. known
// is false when the set has no key of that kid at all.
func (set *keySet) candidates(into []*jose.Key, h *jose.Header) (keys []*jose.Key, known bool) {
	if h.HasKid && !set.anyKid {
		same := set.byKid[h.Kid]
		for _, key := range same {
			if key.Supports(h.Alg) && len(into) < maxSameKid {
				into = append(into, key)
			}
		}
		return into, len(same) > 0
	}
	for i := range set.keys {
		if set.keys[i].Supports(h.Alg) {
			into = append(into, &set.keys[i])
		}
	}
	if len(into) > maxNoKid {
		return nil, true
	}
	return into, true
}

// has reports whether the set has the very key, fit for a token that names it, or
// names none, and for the algorithm.
func (set *keySet) has(key *jose.Key, named bool, alg string) bool {
	for i := range set.keys {
		k := &set.keys[i]
		if (!named || set.anyKid || k.HasKid && k.Kid == key.Kid) && k.Supports(alg) && k.Same(key) {
			return true
		}
	}
	return false
}
