package reply

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/strictjson"
)

// listing is one kind of list that a server answers with.
type listing struct {
	method string // that asks for it
	member string // of the result that holds the entries
	naming string // member of an entry that says what it is about
	use    string // method of the calls that an entry is for
}

var lists = []listing{
	{"tools/list", "tools", "name", "tools/call"},
	{"prompts/list", "prompts", "name", "prompts/get"},
	{"resources/list", "resources", "uri", "resources/read"},
	{"tasks/list", "tasks", "taskId", "tasks/get"},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", "resources/read"},
}

// maxCursor bounds the cursor of a handler, in bytes as it stands in JSON.
const maxCursor = 64 << 10

// nextCursor is the member of a result that says how a list goes on. Readers that
// ignore case take others for it.
var nextCursor = []byte("nextCursor")

var (
	errNotAList      = errors.New("a list that is no array")
	errOtherCase     = errors.New("a result or a list under another spelling of its name")
	errCursorTooLong = errors.New("a cursor that is too long")
	errNameless      = errors.New("no name that can be read")
)

// limits bound an answer that is looked at.
var limits = strictjson.Limits{Depth: strictjson.MaxDepth, Members: MaxHeld}

// edit replaces bytes of a message.
type edit struct {
	from, to int
	with     []byte
}

// edited returns a message with the edits, which are in order. One that gets shorter is edited where it
// stands, so that a long list is not copied; another one is left as it was.
func edited(raw []byte, edits []edit) []byte {
	more, fits := 0, true
	for _, e := range edits {
		more += len(e.with) - (e.to - e.from)
		fits = fits && more <= 0
	}
	out := raw[:0]
	if !fits || more == 0 {
		out = make([]byte, 0, len(raw)+more)
	}
	at := 0
	for _, e := range edits {
		out = append(append(out, raw[at:e.from]...), e.with...)
		at = e.to
	}
	return append(out, raw[at:]...)
}

func (f *Filter) batch(r *strictjson.Reader) (edits []edit, err error) {
	_ = r.Array() // an error stays, and Element returns it
	for {
		more, err := r.Element()
		if err != nil || !more {
			return edits, err
		}
		if edits, err = f.response(r, edits); err != nil {
			return nil, err
		}
	}
}

// response looks for the result of one message.
func (f *Filter) response(r *strictjson.Reader, edits []edit) ([]edit, error) {
	if err := r.Object(); err != nil {
		return nil, err
	}
	for {
		name, more, err := r.Member()
		if err != nil || !more {
			return edits, err
		}
		f.tells = f.tells || strings.EqualFold(string(name), "method")
		switch {
		case string(name) == "result" && r.Kind() == strictjson.Object:
			edits, err = f.result(r, edits)
		case string(name) != "result" && strings.EqualFold(string(name), "result"):
			return nil, errOtherCase
		default:
			var raw []byte
			if raw, err = r.Pass(); err == nil && f.Paged && strings.EqualFold(string(name), "error") {
				edits = append(edits, edit{r.Offset() - len(raw), r.Offset(), wordless(raw)})
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// result filters the lists of one result and seals its cursor.
func (f *Filter) result(r *strictjson.Reader, edits []edit) ([]edit, error) {
	_ = r.Object() // an error stays, and Member returns it
	first, method := len(edits), f.Asked
	var cursors []edit // of what follows, as the handler wrote it
	for {
		name, more, err := r.Member()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if i := slices.IndexFunc(lists, func(l listing) bool { return l.member == string(name) }); i >= 0 {
			if edits, err = f.list(r, &lists[i], edits); err != nil {
				return nil, err
			}
			method = lists[i].method
			continue
		}
		if slices.ContainsFunc(lists, func(l listing) bool { return strings.EqualFold(l.member, string(name)) }) {
			return nil, errOtherCase
		}
		raw, err := r.Pass()
		if err != nil {
			return nil, err
		}
		if bytes.EqualFold(name, nextCursor) {
			cursors = append(cursors, edit{r.Offset() - len(raw), r.Offset(), raw})
		}
	}
	for _, cursor := range cursors {
		sealed, err := f.seal(method, cursor.with)
		if err != nil {
			return nil, err
		}
		edits = append(edits, edit{cursor.from, cursor.to, sealed})
	}
	if len(cursors) > 0 {
		slices.SortStableFunc(edits[first:], func(a, b edit) int { return a.from - b.from })
	}
	return edits, nil
}

// seal returns what stands for a cursor. Null and an empty string are none.
func (f *Filter) seal(list string, cursor []byte) ([]byte, error) {
	switch {
	case string(cursor) == "null" || string(cursor) == `""`:
		return cursor, nil
	case len(cursor) > maxCursor:
		return nil, errCursorTooLong
	}
	return []byte(`"` + f.Receiver.Seal(list, cursor) + `"`), nil
}

// list filters one list, and adds an edit for each run of entries that has to go. Null has no entries.
func (f *Filter) list(r *strictjson.Reader, l *listing, edits []edit) ([]edit, error) {
	switch err := r.Array(); {
	case err == nil:
	case r.Kind() == strictjson.Null:
		return edits, r.Null()
	case errors.Is(err, strictjson.ErrKind):
		return nil, errNotAList
	default:
		return nil, err
	}
	gap := gap{kept: r.Offset(), edits: edits}
	var all []waiting
	for {
		if err := f.goesOn(); err != nil {
			return nil, err
		}
		more, err := r.Element()
		if err != nil {
			return nil, err
		}
		if !more || len(all) == together {
			if err := f.decide(all, l, &gap); err != nil {
				return nil, err
			}
			all = all[:0]
		}
		if !more {
			return gap.end(r.Offset() - 1), nil
		}
		raw, name, err := r.PassNaming(l.naming)
		if err != nil {
			return nil, err
		}
		if from := r.Offset() - len(raw); f.Ahead != nil && l.method == "tasks/list" {
			all = append(all, waiting{from, r.Offset(), string(name)})
		} else {
			gap.entry(from, r.Offset(), f.shows(name, l))
		}
	}
}

// together is how many entries of a list are decided about at once where somebody has to be asked about each.
const together = 256

// waiting is an entry that is decided about together with others.
type waiting struct {
	from, to int
	name     string
}

// decide decides about entries that have waited.
func (f *Filter) decide(all []waiting, l *listing, gap *gap) error {
	if len(all) == 0 {
		return nil
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.name
	}
	f.Ahead(names)
	defer f.Ahead(nil)
	for _, one := range all {
		gap.entry(one.from, one.to, f.shows([]byte(one.name), l))
		if err := f.goesOn(); err != nil { // of the last one, too
			return err
		}
	}
	return nil
}

// shows reports whether the receiver is shown an entry with a name.
func (f *Filter) shows(name []byte, l *listing) bool {
	if len(name) == 0 {
		f.Receiver.Unreadable(l.method, errNameless)
		return false
	}
	return f.Receiver.Shows(l.method, l.use, string(name))
}

// gap is what is taken out of a list at one place. Its entries are left as if those that go had never
// been there, white space around the others included.
type gap struct {
	edits []edit
	kept  int  // where the last entry that stays ends, or the list begins
	some  bool // an entry stays
	from  int  // where an entry begins that goes and has none in front that stays
	to    int  // where the last entry that goes ends, 0 for none
}

// entry goes on with the next entry of the list.
func (g *gap) entry(from, to int, stays bool) {
	switch {
	case !stays:
		if g.to == 0 {
			g.from = from
		}
		g.to = to
		return
	case g.to == 0:
	case g.some: // with the commas in front of those that go
		g.edits = append(g.edits, edit{from: g.kept, to: g.to})
	default:
		g.edits = append(g.edits, edit{from: g.from, to: from})
	}
	g.kept, g.some, g.to = to, true, 0
}

// end returns all edits. A list in which nothing stays has no white space either.
func (g *gap) end(closing int) []edit {
	switch {
	case g.to == 0:
	case g.some:
		g.edits = append(g.edits, edit{from: g.kept, to: g.to})
	default:
		g.edits = append(g.edits, edit{from: g.kept, to: closing})
	}
	return g.edits
}

// wordless returns what stands for the error of a handler that was given one of its cursors.
func wordless(failure []byte) []byte {
	if string(failure) == "null" {
		return failure
	}
	code := []byte("-32603")
	for value := range membersNamed(failure, "code") {
		if isShortInteger(value) {
			code = value
		}
	}
	return slices.Concat([]byte(`{"code":`), code, []byte(`,"message":"no page for this cursor"}`))
}

func isShortInteger(value []byte) bool {
	digits := bytes.TrimPrefix(value, []byte("-"))
	return len(digits) > 0 && len(digits) <= 9 && len(bytes.Trim(digits, "0123456789")) == 0 && (digits[0] != '0' || len(digits) == 1)
}
