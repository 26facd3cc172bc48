package sealed

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/between"
)

// errWithheld is what the handler is told when it writes more of an answer that does not go out.
var errWithheld = errors.New("sealed: the answer is withheld")

// answer is the hook of an answer in which a state may stand. It is one for all requests that ask in the same way, and
// costs nothing while what the handler writes is whole messages without a state; for anything else it puts
// an [editor] in its place.
type answer struct {
	s    *Sealer
	asks asks
}

// asks is what a request may be answered with.
type asks uint8

const (
	forRounds asks = iota // a result with a state, and then a retry
	forAny                // answers to several calls, or to those of other requests: a state is bound to none
	forOther              // a result of another method, which has no state
)

// WriteHeader sends the header.
func (a *answer) WriteHeader(w *between.Writer, status int) {
	switch {
	case status < 200:
		w.ResponseWriter.WriteHeader(status)
		return
	case w.Status != 0:
		return
	}
	if a.asks == forOther || isPage(w) {
		w.Status = int16(status)
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if isCoded(w.Header()["Content-Encoding"]) && status != http.StatusNoContent && status != http.StatusNotModified {
		e := a.edits(w)
		e.withhold(w, Unreadable)
		return
	}
	delete(w.Header(), "Content-Length") // a state gets longer
	w.Status = int16(status)
	w.ResponseWriter.WriteHeader(status)
}

// isPage reports whether a GET is answered with something else than a stream: that is none of MCP.
func isPage(w *between.Writer) bool {
	return w.Request.Method == http.MethodGet && !isEventStream(w.Header())
}

// isCoded reports whether there is a content coding (RFC 9110 section 8.4).
func isCoded(codings []string) bool {
	return slices.ContainsFunc(codings, func(c string) bool { return c != "" && !strings.EqualFold(c, "identity") })
}

// Write passes whole messages on.
func (a *answer) Write(w *between.Writer, data []byte) (int, error) {
	if isPage(w) || isStateless(data, isEventStream(w.Header())) {
		if w.Status == 0 {
			a.WriteHeader(w, http.StatusOK)
			if w.Hook != between.Hook(a) {
				return 0, errWithheld
			}
		}
		return w.ResponseWriter.Write(data)
	}
	return a.edits(w).Write(w, data)
}

// FlushError sends what was written.
func (a *answer) FlushError(w *between.Writer) error {
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// edits puts an editor in the place of the hook.
func (a *answer) edits(w *between.Writer) *editor {
	e := &editor{answer: a, lines: newLines(), isStream: isEventStream(w.Header())}
	w.Hook = e
	return e
}

func isEventStream(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(values[0], ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}

// isStateless reports whether a text is whole messages, or whole events, and there is no state in them.
func isStateless(data []byte, isStream bool) bool {
	s, l := scan{}, newLines()
	for i := 0; i < len(data); i++ {
		if s.mode == inString && !s.named && (!isStream || l.at == inData) {
			if i = skipText(data, i); i == len(data) {
				break
			}
		}
		c := data[i]
		if isStream {
			switch l.next(c) {
			case syntax:
				continue
			case eventEnd:
				s = scan{}
			}
		}
		if e := s.next(c); e == begins || e == unsuited {
			return false
		}
	}
	if isStream {
		return l.atRest()
	}
	return s.atRest()
}

// skipText passes over most of a text: what means nothing in a string, nor ends its line.
func skipText(data []byte, i int) int {
	for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// editor seals the states of one answer.
type editor struct {
	*answer
	scan     scan
	lines    lines
	isStream bool
	taking   bool   // a state is under way
	held     []byte // of it, as it is written
	begun    bool   // something of the body has been sent
	failed   bool   // and nothing more is
	cut      bool   // in the middle, so that the client has to be told
}

// WriteHeader sends the header.
func (e *editor) WriteHeader(w *between.Writer, status int) {
	if !e.failed {
		e.answer.WriteHeader(w, status)
	}
}

// Write passes on what is not of a state.
func (e *editor) Write(w *between.Writer, data []byte) (int, error) {
	if e.failed {
		return 0, errWithheld
	}
	wasWhole := !e.begun || e.isStream && e.lines.atRest()
	out, problem := e.edit(w.Request, data)
	if problem != "" {
		e.withholdRest(w, problem, wasWhole)
		return 0, errWithheld
	}
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
		if w.Hook != between.Hook(e) {
			return 0, errWithheld
		}
	}
	if len(out) > 0 {
		e.begun = true
		if _, err := w.ResponseWriter.Write(out); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}

// edit returns what stands for a piece: the piece itself, if nothing in it is a state.
func (e *editor) edit(r *http.Request, data []byte) (out []byte, problem Kind) {
	from := 0 // of what is not in out
	for i := 0; i < len(data); i++ {
		if e.scan.mode == inString && !e.scan.named && !e.taking && (!e.isStream || e.lines.at == inData) {
			if i = skipText(data, i); i == len(data) {
				break
			}
		}
		c, isData := data[i], true
		if e.isStream {
			if c, isData = e.line(c); !isData {
				continue
			}
		}
		switch {
		case e.taking && c == '\n':
			return nil, Unreadable
		case e.taking && len(e.held)+i-from >= maxValue:
			return nil, TooLarge
		}
		switch event := e.scan.next(c); {
		case e.asks == forOther:
			if event == begins {
				e.s.tellOnce()
			}
		case event == unsuited:
			return nil, Unreadable
		case event == begins:
			out, from = append(out, data[from:i]...), i
			e.taking, e.held = true, nil
		case event == ends && e.taking:
			state := append(e.held, data[from:i+1]...)
			sealed, problem := e.sealed(r, state)
			if problem != "" {
				return nil, problem
			}
			out, from = append(out, sealed...), i+1
			e.taking, e.held = false, nil
		}
	}
	switch {
	case e.taking:
		e.held = append(e.held, data[from:]...)
		return out, ""
	case from == 0:
		return data, ""
	}
	return append(out, data[from:]...), ""
}

// line tells what of a stream is data.
func (e *editor) line(c byte) (byte, bool) {
	switch e.lines.next(c) {
	case datum:
		return c, true
	case newline:
		return '\n', true
	case eventEnd:
		e.scan = scan{}
	}
	return c, false
}

// sealed returns what stands for a state, a JSON string as the handler has written it.
func (e *editor) sealed(r *http.Request, state []byte) ([]byte, Kind) {
	if e.asks == forAny || !isString(state) {
		return nil, Misplaced
	}
	m, err := find(bodyOf(r))
	if err != nil {
		return nil, NoCall
	}
	text, problem := e.s.seal(r.Context(), &m.call, state, byWrapper)
	return []byte(`"` + text + `"`), problem
}

// withholdRest ends an answer in which a state cannot be sealed. Where nothing of the message has been
// sent, an error can stand in its place; otherwise the answer breaks off.
func (e *editor) withholdRest(w *between.Writer, problem Kind, whole bool) {
	if w.Status == 0 {
		e.withhold(w, problem)
		return
	}
	e.s.tellWithheld(w.Request.Context(), problem, methodIn(bodyOf(w.Request)))
	if e.failed, e.cut = true, !whole; e.cut {
		return
	}
	text := rpcError(idOf(bodyOf(w.Request)), codeInternal, cannotSeal)
	if e.isStream {
		text = slices.Concat([]byte("data: "), text, []byte("\n\n"))
	}
	_, _ = w.ResponseWriter.Write(text)
}

// withhold answers with an error in the place of an answer of which nothing has been sent.
func (e *editor) withhold(w *between.Writer, problem Kind) {
	e.s.tellWithheld(w.Request.Context(), problem, methodIn(bodyOf(w.Request)))
	e.failed = true
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Expires", "Last-Modified", "Trailer"} {
		delete(h, name)
	}
	sendError(w.ResponseWriter, http.StatusInternalServerError, idOf(bodyOf(w.Request)), codeInternal, cannotSeal)
}

// FlushError sends what was written.
func (e *editor) FlushError(w *between.Writer) error {
	if e.failed {
		return errWithheld
	}
	return e.answer.FlushError(w)
}

// finish is called when the handler has returned. To end an answer that was cut as if it were whole would be a lie.
func finish(w *between.Writer) {
	if e, ok := w.Hook.(*editor); ok && (e.cut || e.taking && !e.failed) {
		panic(http.ErrAbortHandler)
	}
}
