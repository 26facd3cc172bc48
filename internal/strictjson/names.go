package strictjson

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

const (
	// inlineNames is how many names of open objects are remembered without
	// the heap: more than a usual tool call has at one time.
	inlineNames = 24
	// scannedNames is how many names of one object are searched one by one.
	scannedNames = 16
)

// name is one member name of an open object. Its sum is equal for equal names
// and tells most others apart without touching their bytes.
type name struct {
	sum   uint64
	bytes []byte
}

// object is what is remembered of an open object to find duplicates in it.
type object struct {
	id     uint32 // unlike that of every other object in the text
	base   uint8  // its scanned names are Reader.names[base:Reader.top]
	hashed bool   // it has further names in Reader.hashed
}

// summary is a few bytes of a name, chosen by its length.
func summary(b []byte) uint64 {
	switch n := len(b); {
	case n >= 8:
		return binary.LittleEndian.Uint64(b)
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		return uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return 0
}

// unique adds a name to the innermost object and reports whether the object
// did not have it yet. The first names go on a stack shared by all open
// objects and are searched one by one, which is fastest for the few names that
// objects have; further ones, and those for which the stack has no room, go to
// a hash set, so that hostile input costs linear time.
func (r *Reader) unique(b []byte) bool {
	o := &r.objects[r.depth-1]
	sum := summary(b)
	known := r.names[o.base:r.top]
	for i := range known {
		if known[i].sum == sum && bytes.Equal(known[i].bytes, b) {
			return false
		}
	}
	if !o.hashed && len(known) < scannedNames && r.top < inlineNames {
		r.names[r.top] = name{sum, b}
		r.top++
		return true
	}
	o.hashed = true
	return r.hashed.add(o.id, b)
}

// nameSet is an open-addressing hash set of (object, name) pairs. Names of
// closed objects stay in it: the object's id keeps them apart, and
// [Limits.Members] bounds them.
type nameSet struct {
	entries []nameEntry
	slots   []uint32 // index into entries plus one; 0 is free; len is a power of two
}

type nameEntry struct {
	object uint32
	hash   uint64
	name   []byte
}

// seed is random in each process, so that no client can choose names that
// collide.
var seed = maphash.MakeSeed()

// add reports whether the pair was not in the set and is now.
func (s *nameSet) add(object uint32, b []byte) bool {
	if 2*len(s.entries) >= len(s.slots) {
		s.grow()
	}
	hash := maphash.Bytes(seed, b) + uint64(object)*0x9e3779b97f4a7c15
	mask := uint64(len(s.slots) - 1)
	at := hash & mask
	for ; s.slots[at] != 0; at = (at + 1) & mask {
		e := &s.entries[s.slots[at]-1]
		if e.hash == hash && e.object == object && bytes.Equal(e.name, b) {
			return false
		}
	}
	s.entries = append(s.entries, nameEntry{object, hash, b})
	s.slots[at] = uint32(len(s.entries))
	return true
}

func (s *nameSet) grow() {
	s.slots = make([]uint32, max(64, 2*len(s.slots)))
	mask := uint64(len(s.slots) - 1)
	for i := range s.entries {
		at := s.entries[i].hash & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = uint32(i + 1)
	}
}
