package match

import (
	"cmp"
	"slices"
	"strings"
)

// index finds the texts with marks that may cover a text, without a look at the others. No wildcard of one
// segment crosses a slash, so texts and wildcards are compared segment by segment, up to the first
// wildcard for anything. What it finds must still be asked: it finds too much, and never too little.
type index struct {
	plain map[string]*index // by the next segment, if that has no marks
	wild  []wildSegment     // by what stands around the marks of the next segment
	wilds map[affixes]*index
	ends  []int         // the texts that end here
	open  prefixes[int] // those for anything from the next segment on, by what stands in front of its first mark
}

// affixes are what stands before the first mark of a segment and after the last one.
type affixes struct{ head, tail string }

// wildSegment is the lengths of affixes.
type wildSegment struct{ head, tail int }

// add adds a text, known by a number.
func (n *index) add(text string, number int) {
	for {
		segment, rest, more := strings.Cut(text, "/")
		if strings.ContainsRune(segment, anyRest) {
			n.open.add(headOf(segment), number)
			return
		}
		n = n.child(segment)
		if !more {
			n.ends = append(n.ends, number)
			return
		}
		text = rest
	}
}

// child returns where a text goes on behind its next segment.
func (n *index) child(segment string) *index {
	head := headOf(segment)
	if head == segment {
		if n.plain == nil {
			n.plain = make(map[string]*index)
		}
		if n.plain[segment] == nil {
			n.plain[segment] = new(index)
		}
		return n.plain[segment]
	}
	around := affixes{head, tailOf(segment)}
	if lengths := (wildSegment{len(around.head), len(around.tail)}); !slices.Contains(n.wild, lengths) {
		n.wild = append(n.wild, lengths)
	}
	if n.wilds == nil {
		n.wilds = make(map[affixes]*index)
	}
	if n.wilds[around] == nil {
		n.wilds[around] = new(index)
	}
	return n.wilds[around]
}

// covering appends the numbers of the texts that may cover the text, in no order.
func (n *index) covering(text string, numbers []int) []int {
	for _, length := range n.open.lengths {
		if length <= len(text) {
			numbers = append(numbers, n.open.values[text[:length]]...)
		}
	}
	segment, rest, more := strings.Cut(text, "/")
	if child := n.plain[segment]; child != nil {
		numbers = child.goOn(rest, more, numbers)
	}
	for _, w := range n.wild {
		if len(segment) < w.head+w.tail {
			continue
		}
		if child := n.wilds[affixes{segment[:w.head], segment[len(segment)-w.tail:]}]; child != nil {
			numbers = child.goOn(rest, more, numbers)
		}
	}
	return numbers
}

func (n *index) goOn(rest string, more bool, numbers []int) []int {
	if more {
		return n.covering(rest, numbers)
	}
	return append(numbers, n.ends...)
}

// closest puts numbers in order, each once: those first whose prefix is longest, then as they are.
func closest(numbers []int, prefix func(number int) int) []int {
	if len(numbers) < 2 {
		return numbers
	}
	slices.SortFunc(numbers, func(a, b int) int { return cmp.Or(prefix(b)-prefix(a), a-b) })
	return slices.Compact(numbers)
}

// overlapping appends the numbers of the texts that may stand for something for which this text with marks
// stands, too, as [overlap] has it, in no order. A wildcard may be for nothing.
func (n *index) overlapping(text string, numbers []int) []int {
	numbers = n.open.near(headOf(text), numbers)
	segment, rest, more := strings.Cut(text, "/")
	head := headOf(segment)
	switch {
	case strings.ContainsRune(segment, anyRest):
		return n.below(head, numbers)
	case head == segment:
		if child := n.plain[segment]; child != nil {
			numbers = child.overlapsOn(rest, more, numbers)
		}
	default:
		for other, child := range n.plain {
			if strings.HasPrefix(other, head) && strings.HasSuffix(other, tailOf(segment)) {
				numbers = child.overlapsOn(rest, more, numbers)
			}
		}
	}
	for other, child := range n.wilds {
		if areNear(other.head, head) && (head != segment || strings.HasSuffix(segment, other.tail)) {
			numbers = child.overlapsOn(rest, more, numbers)
		}
	}
	return numbers
}

func (n *index) overlapsOn(rest string, more bool, numbers []int) []int {
	if more {
		return n.overlapping(rest, numbers)
	}
	return append(numbers, n.ends...)
}

// below appends the numbers of all texts that may go on with the head of a segment, and then with anything.
func (n *index) below(head string, numbers []int) []int {
	numbers = n.open.near(head, numbers)
	for other, child := range n.plain {
		if strings.HasPrefix(other, head) {
			numbers = child.below("", append(numbers, child.ends...))
		}
	}
	for other, child := range n.wilds {
		if areNear(other.head, head) {
			numbers = child.below("", append(numbers, child.ends...))
		}
	}
	return numbers
}

// near appends the values whose prefix begins as the text does, as far as both go.
func (p *prefixes[T]) near(text string, values []T) []T {
	for prefix, found := range p.values {
		if areNear(prefix, text) {
			values = append(values, found...)
		}
	}
	return values
}

func areNear(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// tailOf is the text behind the last mark for one segment.
func tailOf(text string) string {
	return text[strings.LastIndex(text, string(oneSegment))+len(string(oneSegment)):]
}

func (n *neighbours) add(of neighbour) {
	place := len(n.all)
	n.all = append(n.all, of)
	n.overlaps.add(of.base, place)
	if plain := strings.TrimRight(of.base, "/"); plain != of.base {
		n.overlaps.add(plain, place)
	}
	at, _ := slices.BinarySearchFunc(n.longest, len(of.base), func(i, size int) int { return size - len(n.all[i].base) })
	n.longest = slices.Insert(n.longest, at, place)
}

// covering returns the places of the patterns that may be for a base, given without a slash at the end, or
// for the base with one, the closest first.
func (n *neighbours) covering(base string, places []int) []int {
	places = n.index.covering(base+"/", n.index.covering(base, places))
	return closest(places, func(i int) int { return len(n.patterns[i].globs.prefix) })
}

// near returns the places of the keys that may overlap a base with marks, in order: also those that are too
// long to tell.
func (n *neighbours) near(base string) []int {
	places := n.overlaps.overlapping(base, n.overlaps.overlapping(strings.TrimRight(base, "/"), nil))
	for _, i := range n.longest {
		if len(base)*len(n.all[i].base) <= maxCompared {
			break
		}
		places = append(places, i)
	}
	slices.Sort(places)
	return slices.Compact(places)
}
