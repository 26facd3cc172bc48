package conformance

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// liveTimeout bounds an answer that is read while other requests are made.
const liveTimeout = 30 * time.Second

// live is an answer that is read while other requests are made.
type live struct {
	cancel context.CancelFunc
	began  chan struct{} // closed when the status is there, or will never be
	ended  chan struct{} // closed when the answer is over
	news   chan struct{} // has an element when a message has come

	mu     sync.Mutex // guards what follows until ended is closed
	answer answer     // without its body; rpc is the first response
	heard  []heard    // the messages, as they came
	ids    []string   // of events
	err    error      // why there is no answer
	cut    bool       // the answer had no end within liveTimeout
	took   time.Duration
}

// heard is one JSON-RPC message that came.
type heard struct {
	raw    json.RawMessage
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// isResponse reports whether the message answers a request.
func (h *heard) isResponse() bool { return h.Method == "" && (h.Result != nil || h.Error != nil) }

// open sends a request and reads its answer in the background.
func (c *client) open(ctx context.Context, r request) (*live, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	out, err := r.build(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	c.sent++
	c.presented[r.token] = true
	l := &live{cancel: cancel, began: make(chan struct{}), ended: make(chan struct{}), news: make(chan struct{}, 1)}
	go l.run(c.transport, out)
	return l, nil
}

// close ends the answer, if it has not come to its end.
func (l *live) close() {
	l.cancel()
	<-l.ended
}

func (l *live) run(transport http.RoundTripper, r *http.Request) {
	defer close(l.ended)
	began := sync.OnceFunc(func() { close(l.began) })
	defer began()
	defer l.cancel()
	start := time.Now()
	response, err := transport.RoundTrip(r)
	if err != nil {
		l.err = bareError(err)
		return
	}
	defer response.Body.Close()
	l.mu.Lock()
	l.answer.status, l.answer.header = response.StatusCode, response.Header
	l.mu.Unlock()
	began()
	l.read(io.LimitReader(response.Body, maxAnswer))
	l.took = time.Since(start)
	l.cut = l.took >= liveTimeout
}

func (l *live) read(body io.Reader) {
	if !l.answer.isStream() {
		text, _ := io.ReadAll(body)
		var batch []json.RawMessage
		if json.Unmarshal(text, &batch) != nil {
			batch = []json.RawMessage{text}
		}
		for _, message := range batch {
			l.add("", message)
		}
		return
	}
	readEvents(body, func(id string, data []byte) bool {
		l.add(id, data)
		return true
	})
}

// add takes note of an event.
func (l *live) add(id string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id != "" {
		l.ids = append(l.ids, id)
	}
	h := heard{raw: data}
	if json.Unmarshal(data, &h) != nil {
		return
	}
	l.heard = append(l.heard, h)
	if h.isResponse() && l.answer.rpc.Result == nil && l.answer.rpc.Error == nil {
		_ = json.Unmarshal(data, &l.answer.rpc)
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// isEventStream reports whether a stream of events has begun.
func (l *live) isEventStream() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer.status < 300 && l.answer.isStream()
}

// messages returns what has come so far.
func (l *live) messages() []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[:len(l.heard):len(l.heard)]
}

// isOver reports whether the answer has come to its end.
func (l *live) isOver() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// complete reports whether the request was served, and its response came.
func (l *live) complete() bool {
	return l.err == nil && !l.cut && l.answer.served() && l.answer.rpc.Result != nil
}

// String describes how the answer ended.
func (l *live) String() string {
	switch {
	case l.err != nil:
		return "no answer: " + l.err.Error()
	case l.cut:
		return l.answer.String() + " and no end within " + liveTimeout.String()
	case l.answer.status < 300 && l.answer.rpc.Result == nil && l.answer.rpc.Error == nil:
		return l.answer.String() + " and an end without a response"
	}
	return l.answer.String()
}
