package dpop

// heap keeps the least of its members in front. Each change costs no more than the logarithm of their number.
type heap[T any] struct {
	all   []T
	less  func(a, b T) bool
	moved func(member T, at int) // nil, or told where each stands
}

func (h *heap[T]) push(member T) {
	h.all = append(h.all, member)
	h.fix(len(h.all) - 1)
}

func (h *heap[T]) set(at int, member T) {
	h.all[at] = member
	if h.moved != nil {
		h.moved(member, at)
	}
}

// fix finds the place of a member that has changed.
func (h *heap[T]) fix(at int) {
	member := h.all[at]
	for at > 0 && h.less(member, h.all[(at-1)/2]) {
		h.set(at, h.all[(at-1)/2])
		at = (at - 1) / 2
	}
	for {
		below := 2*at + 1
		if below+1 < len(h.all) && h.less(h.all[below+1], h.all[below]) {
			below++
		}
		if below >= len(h.all) || !h.less(h.all[below], member) {
			break
		}
		h.set(at, h.all[below])
		at = below
	}
	h.set(at, member)
}

// sparse is the room from which on what is not needed is given back.
const sparse = 64

func (h *heap[T]) remove(at int) {
	last := len(h.all) - 1
	member := h.all[last]
	clear(h.all[last:])
	if h.all = h.all[:last]; at < last {
		h.all[at] = member
		h.fix(at)
	}
	if cap(h.all) > sparse && len(h.all) < cap(h.all)/4 {
		h.all = append(make([]T, 0, cap(h.all)/2), h.all...)
	}
}
