package strictjson

import (
	"bytes"
	"hash/maphash"
	"math"
	"math/bits"
)

const (
	// inlineNames is how many names of open objects are remembered without
	// the heap: more than a usual tool call has at one time.
	inlineNames = 24
	// scannedNames is how many names of one object are searched one by one.
	scannedNames = 16
)

// name is one member name of an open object: where it stands in the text. Its
// sum is equal for equal names and tells most others apart without touching
// their bytes. It has no pointer and is small, because a Reader is cleared
// before each use, which must not cost more than reading a small text.
type name struct {
	sum        uint64
	start, end uint32
}

// summary is the length of a name, its first eight bytes and its last eight.
func summary(b []byte) uint64 {
	sum := load(b, 0) ^ uint64(len(b))<<56
	if len(b) >= 8 {
		sum ^= bits.RotateLeft64(load(b, len(b)-8), 32)
	}
	return sum
}

// isNew adds the name data[start:end] to the innermost object if its summary tells
// that it is not there yet. Otherwise [Reader.unique] has to decide.
func (r *Reader) isNew(sum uint64, start, end int) bool {
	names := r.names[r.bases[(r.depth-1)%MaxDepth]:r.top]
	for i := range names {
		if names[i].sum == sum {
			return false
		}
	}
	return r.stack(sum, start, end)
}

// unique adds a name to the innermost object and reports whether the object
// did not have it yet. The name ends at end in the text, or, when it is not
// there as such, end is negative.
//
// The first names go on a stack shared by all open objects and are searched one
// by one, which is fastest for the few names that objects have. Further ones,
// those that were written with escapes, those beyond the first 4 GiB of a text
// and those for which the stack has no room go to a hash set, so that hostile
// input costs linear time.
func (r *Reader) unique(b []byte, end int) bool {
	depth, sum := r.depth-1, summary(b)
	for _, n := range r.names[r.bases[depth]:r.top] {
		if n.sum == sum && bytes.Equal(r.data[n.start:n.end], b) {
			return false
		}
	}
	if r.stack(sum, end-len(b), end) {
		return true
	}
	if r.spilled>>depth&1 == 0 {
		if r.hashed == nil {
			r.hashed = new(nameSet)
		}
		r.spilled |= 1 << depth
		r.hashed.objects++
		r.hashed.open[depth] = r.hashed.objects
	}
	return r.hashed.add(r.hashed.open[depth], b)
}

// stack puts a name on the stack, if it may stand there.
func (r *Reader) stack(sum uint64, start, end int) bool {
	depth, top := (r.depth-1)%MaxDepth, int(r.top)
	if top >= inlineNames || top-int(r.bases[depth]) >= scannedNames || uint64(end) > math.MaxUint32 || r.spilled>>depth&1 == 1 {
		return false
	}
	r.names[top] = name{sum, uint32(start), uint32(end)}
	r.top++
	return true
}

// nameSet is an open-addressing hash set of (object, name) pairs. Names of
// closed objects stay in it: the object's number keeps them apart, and
// [Limits.Members] bounds them.
type nameSet struct {
	objects uint32           // that have had names here so far
	open    [MaxDepth]uint32 // the numbers of those that are open, by depth
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
