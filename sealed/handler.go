package sealed

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-1e292522/mcpauth/internal/between"
)

// maxBody bounds a body that somebody between the wrapper and us has replaced: it is what the wrapper takes at most.
const maxBody = 64 << 20

// Words for clients, and the codes of JSON-RPC.
const (
	cannotSeal   = "request state cannot be sealed"
	codeParams   = -32602
	codeInternal = -32603
)

// Handler returns the handler to give to [mcpauth.Middleware.Wrap] in place of next, which may be a server in any
// language behind a proxy, and knows nothing of this package:
//
//	mux.Handle("/", auth.Wrap(sealer.Handler(proxy)))
//
// Every requestState in a result of tools/call, prompts/get and resources/read, as JSON or as an event, goes out sealed
// for the request that it answers, and is opened before next gets the retry. Nothing else of a body is
// changed; a Content-Length is not sent. A retry whose state is not accepted does not reach next: its answer is 400, JSON-RPC error
// -32602 "request state not accepted", whatever is wrong with it. So is that of a state on another method or in a batch.
//
// What cannot be sealed does not go out: a compressed answer, a state of more than 8 KiB as JSON, or of nobody. It is 500,
// or a JSON-RPC error -32603 where the header was sent, or the answer breaks off. A state in a result of another
// method is none, and passes; the log has a line about the first.
func (s *Sealer) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("sealed: Handler(nil): there is no handler to seal the states of")
	}
	return &handler{s: s, next: next, answers: [...]answer{{s, forRounds}, {s, forAny}, {s, forOther}}}
}

type handler struct {
	s       *Sealer
	next    http.Handler
	answers [3]answer
}

// ServeHTTP opens the state of a request, and seals that of its answer.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := forAny
	switch r.Method {
	case http.MethodGet: // a stream, on which an answer to another request may come
	case http.MethodPost:
		var body []byte // if there may be a state in it
		switch b, isOurs := r.Body.(between.Body); {
		case isOurs:
			kind, body = borrowed(b)
		case r.Body == nil:
			kind = forOther
		default:
			whole, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				sendError(w, http.StatusBadRequest, nil, codeParams, "body cannot be read")
				return
			}
			r, kind = withBody(r, whole), asked(whole)
			if mayHaveState(whole) {
				body = whole
			}
		}
		if body != nil {
			var problem Kind
			if r, problem = h.s.opened(r, body); problem != "" {
				h.s.tell(r.Context(), problem, methodIn(body))
				sendError(w, http.StatusBadRequest, idOf(body), codeParams, ErrState.Error())
				return
			}
		}
	default:
		h.next.ServeHTTP(w, r)
		return
	}
	if kind == forOther && h.s.told.Load() {
		h.next.ServeHTTP(w, r)
		return
	}
	out := between.New(r.Context())
	out.ResponseWriter, out.Request, out.Hook = w, r, &h.answers[kind]
	if _, flushes := w.(http.Flusher); flushes {
		h.next.ServeHTTP(out, r)
	} else {
		h.next.ServeHTTP(&out.Writer, r)
	}
	finish(&out.Writer)
}

// borrowed returns what a body that the wrapper has asks for, and a copy of it if there is a state in it, or that cannot
// be told: whoever is left behind, as by [http.TimeoutHandler], finds another request's body in its place.
func borrowed(b between.Body) (kind asks, body []byte) {
	text := b.Borrow()
	defer b.Return()
	kind = asked(text)
	if mayHaveState(text) {
		if m, err := find(text); err != nil || m.state != none {
			body = bytes.Clone(text)
		}
	}
	return kind, body
}

// withBody is the request with another body.
func withBody(r *http.Request, body []byte) *http.Request {
	out := r.WithContext(r.Context())
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return out
}

// opened returns the request with the state that the handler behind us had given, if there is one.
func (s *Sealer) opened(r *http.Request, body []byte) (*http.Request, Kind) {
	m, err := find(body)
	switch {
	case err != nil:
		return r, Malformed
	case m.state == none:
		return r, ""
	case m.state == misplaced || m.asks() != forRounds:
		return r, Misplaced
	}
	value, problem := s.open(r.Context(), &m.call, m.text, byWrapper)
	if problem != "" {
		return r, problem
	}
	return withBody(r, slices.Concat(body[:m.from], value, body[m.to:])), ""
}

// sendError answers with a JSON-RPC error.
func sendError(w http.ResponseWriter, status int, id []byte, code int, message string) {
	text := rpcError(id, code, message)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func rpcError(id []byte, code int, message string) []byte {
	text := []byte(`{"jsonrpc":"2.0",`)
	if id != nil {
		text = append(append(append(text, `"id":`...), id...), ',')
	}
	return append(text, `"error":{"code":`+strconv.Itoa(code)+`,"message":"`+message+`"}}`...)
}
