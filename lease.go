package mcpauth

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/reply"
)

// lastWrite is how long a client that reads slowly may take for the end of a
// response that was cut.
const lastWrite = 5 * time.Second

// rpcToken is the JSON-RPC error code of a token that is no longer good. Where a
// whole response can say so, it is a 401 with an OAuth error object.
const rpcToken = -31401

// lease is how long a response may go on. It stands between the handler and the
// server's own writer, so that whoever ends the response early has the last word
// in it: the handler is told by its context, what it writes after that goes
// nowhere, and a client that waits for an answer gets an error.
type lease struct {
	http.ResponseWriter // the server's own
	x                   *exchange
	token               *verified
	verified            time.Time // when the request came, with its token

	denied  atomic.Pointer[DeniedError] // why the response was cut, as the handler is told it everywhere
	inquiry *inquiry                    // nil for what does not last; set with mu held

	mu  sync.Mutex // guards over
	out sync.Mutex // guards the server's own writer, and all that stands below over

	over   bool // nothing can cut the response any more
	form   form
	sent   bool       // the header
	edge   reply.Edge // of what was sent
	word   word
	missed bool // the handler wanted to say more
	gone   bool // the request is over, and the writer is the server's again
}

// word is what has become of the last word in a stream.
type word uint8

const (
	unsaid word = iota
	saying      // nobody else may say it
	said        // and nothing is owed to the client
)

// form is what can be done to a response whose header has been sent.
type form uint8

const (
	oneMessage form = iota
	eventStream
	codedStream // nothing that we write fits into it
)

// keep holds on to a token that its issuer is asked about: for what lasts it is asked again. What others share does
// not lead to it.
func (l *lease) keep(token string) {
	if a := l.token.answer; a != nil {
		own := *l.token
		own.answer = &answer{asked: a.asked, endless: a.endless, second: a.second, fewer: a.fewer, token: token}
		l.token = &own
	}
}

// holder is who has the token, with the rights that count by now.
func (l *lease) holder() *Principal {
	if a := l.token.answer; a != nil {
		if p := a.narrowed.Load(); p != nil {
			return p
		}
	}
	return &l.token.principal
}

// narrow takes rights away that a new answer does not grant any more. It gives none.
func (l *lease) narrow(granted []string) {
	p := l.holder().clone()
	p.Scopes = slices.DeleteFunc(p.Scopes, func(scope string) bool { return !slices.Contains(granted, scope) })
	if len(p.Scopes) < len(l.holder().Scopes) {
		l.token.answer.narrowed.Store(p)
	}
}

// cutFor returns why the response was cut, nil if it was not.
func (l *lease) cutFor() *refusal.Refusal {
	if told := l.denied.Load(); told != nil {
		return told.refusal
	}
	return nil
}

// cut ends the response, once, and reports whether it did: not if it is over, or
// was cut before. It may be called from any goroutine, at any time. The cause
// of the end of the handler's context is denied.
func (l *lease) cut(denied *refusal.Refusal) (cut bool) {
	told := deniedError(denied)
	if !l.claim(told) {
		return false
	}
	cut = true
	onward.End(&l.x.onward)
	l.x.ctx.Cancel(told)
	defer func() {
		// The server's writer may be wrapped by one that panics: that is the business
		// of this request, and not of the goroutine that ends it.
		if recovered := recover(); recovered != nil {
			l.x.m.operator.log.Error("mcpauth: the end of a response cannot be written", "panic", fmt.Sprintf("%T", recovered))
		}
	}()
	l.tell()
	return cut
}

// endUnfiltered cuts an event stream in which an event cannot be filtered.
func (l *lease) endUnfiltered(err error) {
	l.x.m.operator.log.Error("mcpauth: event stream ended because an event cannot be filtered", "error", shownError(err))
	l.cut(denyUnfiltered(err))
}

// stopHandler ends the handler's context: nothing more of it is sent, but what is there is not cut.
func (l *lease) stopHandler(err error) { l.x.ctx.Cancel(err) }

// claim makes told the reason for which the response is cut.
func (l *lease) claim(told *DeniedError) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.over && l.denied.CompareAndSwap(nil, told)
}

// hurry bounds the time of a write that is under way: it may be stuck, because the
// client does not read.
func (l *lease) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.setDeadline(time.Now().Add(lastWrite))
	}
}

// setDeadline is for a writer that knows of deadlines. Where it does not, there is
// none. A server takes it off when the request is over.
func (l *lease) setDeadline(at time.Time) {
	_ = http.NewResponseController(l.ResponseWriter).SetWriteDeadline(at)
}

// tell has the last word in a stream, unless somebody is writing: then it is
// his, when he is done, and nobody waits here for a client that does not read.
func (l *lease) tell() {
	if !l.out.TryLock() {
		l.hurry()
		return
	}
	defer l.out.Unlock()
	l.tellLast()
}

// release ends the turn of one who has written.
func (l *lease) release() {
	l.out.Unlock()
	if l.cutFor() != nil {
		l.tell()
	}
}

// tellLast writes the last events of a stream, with out held: an error for each
// request that waits for an answer. An event under way cannot be made whole, and
// nothing may be glued to it.
func (l *lease) tellLast() {
	if l.word != unsaid || !l.sent || l.form != eventStream || !l.edge.Between() {
		return
	}
	l.word = saying
	l.setDeadline(time.Now().Add(lastWrite))
	for _, id := range l.x.pending() {
		if _, err := l.ResponseWriter.Write(l.x.lastEvent(id, l.cutFor())); err != nil {
			return
		}
	}
	l.word = said
	_ = http.NewResponseController(l.ResponseWriter).Flush() // what cannot flush is not a stream
	l.setDeadline(time.Time{})                               // the handler may take longer to return
}

// lastEvent is the error that stands for an answer in an event stream.
func (x *exchange) lastEvent(id []byte, denied *refusal.Refusal) []byte {
	code := denied.Reason.Entry().RPC
	if code == 0 {
		code = rpcToken
	}
	return slices.Concat([]byte("event: message\ndata: "), x.g.refuser.rpcBody(id, code, denied, x.g.refuser.scopeFor(x, denied)), []byte("\n\n"))
}

// pending are the ids of the requests that are owed an answer. Those of a batch
// are read once more, from the bytes that were read before.
func (x *exchange) pending() (ids [][]byte) {
	if x.id != nil {
		return [][]byte{x.id}
	}
	if len(x.body) == 0 || !jsonrpc.IsBatch(x.body) {
		return nil
	}
	messages, _ := jsonrpc.ParseBatch(x.body)
	for i := range messages {
		if messages[i].Kind == jsonrpc.Request {
			ids = append(ids, bytes.Clone(messages[i].ID))
		}
	}
	return ids
}

// becomesStream is called before the header of an event stream is sent.
func (l *lease) becomesStream(coded bool) {
	l.arm()
	l.out.Lock()
	defer l.out.Unlock()
	l.form = eventStream
	if coded {
		l.form = codedStream
	}
}

// WriteHeader sends the header, unless it comes too late.
func (l *lease) WriteHeader(status int) {
	l.out.Lock()
	defer l.release()
	if l.gone || l.cutFor() != nil {
		return
	}
	l.sent = l.sent || status >= 200
	l.ResponseWriter.WriteHeader(status)
}

// Write refuses what comes too late.
func (l *lease) Write(data []byte) (int, error) {
	l.out.Lock()
	defer l.release()
	if l.gone {
		return 0, http.ErrHandlerTimeout
	}
	if told := l.denied.Load(); told != nil {
		l.missed = true
		return 0, told
	}
	if l.form == eventStream {
		l.edge.Pass(data)
	}
	return l.ResponseWriter.Write(data)
}

// FlushError is a flush for [http.ResponseController].
func (l *lease) FlushError() error {
	l.out.Lock()
	defer l.release()
	if l.gone {
		return http.ErrHandlerTimeout
	}
	if told := l.denied.Load(); told != nil {
		return told
	}
	return http.NewResponseController(l.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (l *lease) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// abandon notes that the handler has not said all that it wanted to say.
func (l *lease) abandon() {
	l.out.Lock()
	defer l.out.Unlock()
	l.missed = true
}

// settle is called when the handler has returned. It returns why the response
// was cut; from here on it cannot be any more.
func (l *lease) settle() *refusal.Refusal {
	denied := l.close()
	if denied != nil {
		l.out.Lock()
		defer l.out.Unlock()
		l.tellLast()
	}
	return denied
}

func (l *lease) close() *refusal.Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	denied := l.cutFor()
	if denied != nil {
		l.setDeadline(time.Now().Add(lastWrite))
	}
	return denied
}

// isWhole reports whether a response that was cut can end as others do: its
// client has been told, or the handler had said all that it wanted to say.
func (l *lease) isWhole() bool {
	l.out.Lock()
	defer l.out.Unlock()
	if l.form == oneMessage {
		return !l.missed
	}
	return l.word == said
}

// stop is called when the request is over. The server's writer is not touched
// after that.
func (l *lease) stop() {
	l.mu.Lock()
	l.over = true
	inquiry := l.inquiry
	l.mu.Unlock()
	if inquiry != nil {
		inquiry.stop()
		l.x.m.owned.lasts.remove(inquiry)
	}
	l.out.Lock() // who has cut it may not have come to the last word
	defer l.out.Unlock()
	l.word, l.gone = max(l.word, saying), true
}
