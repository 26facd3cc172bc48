package reply

import "slices"

// heldPart is how much of an answer that comes in pieces is held in one, in bytes.
const heldPart = 256 << 10

// Held is an answer that is held back. It grows without copying what it has: the zero value is empty.
type Held struct {
	full [][]byte
	last []byte
	size int
}

// Write takes a piece and returns no error.
func (h *Held) Write(p []byte) (int, error) {
	n := min(len(p), cap(h.last)-len(h.last))
	h.last = append(h.last, p[:n]...)
	if rest := p[n:]; len(rest) > 0 {
		if len(h.last) > 0 {
			h.full = append(h.full, h.last)
		}
		h.last = append(make([]byte, 0, max(len(rest), min(h.size, heldPart))), rest...)
	}
	h.size += len(p)
	return len(p), nil
}

// Len returns how many bytes are held.
func (h *Held) Len() int { return h.size }

// parts returns all in order.
func (h *Held) parts() [][]byte { return append(h.full, h.last) }

// Bytes returns all in one piece, which the caller may change.
func (h *Held) Bytes() []byte {
	if len(h.full) > 0 {
		h.last, h.full = slices.Concat(h.parts()...), nil
	}
	return h.last
}
