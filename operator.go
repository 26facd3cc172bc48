package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/shared"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// operator is who hears of what is decided.
type operator struct {
	log        *slog.Logger
	onDecision func(context.Context, Decision)
	onServed   func(context.Context, Served)
	unasked    unasked
	loops      loops

	abandoned   atomic.Int64   // calls of Config.Revoked whose requests have had their answer
	abandonedBy owned.Accounts // by principal
}

// records reports whether code of the operator sees what a request asks for, and may keep it.
func (o *operator) records() bool { return o.onDecision != nil || o.onServed != nil }

func (o *operator) hearsAnswers() bool { return o.onServed != nil }

// recordPanic records a request that ends in a panic before it is decided. The panic goes on.
func (o *operator) recordPanic(r *http.Request, x *exchange) {
	if !x.decided {
		o.record(r, x, refusal.New(refusal.Policy, "the request ended in a panic", "", ""))
	}
}

// record tells the operator what was decided: the log of refusals, and OnDecision of every
// request. It returns what the request is answered with, which OnDecision can
// make a refusal.
func (o *operator) record(r *http.Request, x *exchange, denied *refusal.Refusal) *refusal.Refusal {
	// Somebody whom a policy has left behind may ask meanwhile.
	onward.Change(&x.onward, func() { x.decided = true })
	if denied != nil && denied.Reason == refusal.NoCredentials && o.log != nil { // nil: the zero Middleware
		x.g.public.noteChallenge(r, o.log)
	}
	if o.onDecision == nil {
		if denied != nil {
			o.logRefusal(r, x, denied)
		}
		return denied
	}
	d := o.decisionOf(r, x, denied)
	x.recording.id = d.ID
	var refused error
	d.refused = &refused
	o.tell(r.Context(), d) // before the log: the text of an error that is not ours may panic
	if denied != nil {
		o.logFinding(r, x, denied, explain.Finding{Cause: d.Cause, Detail: d.Detail}, d.ID)
	}
	if refused == nil || denied != nil {
		return denied
	}
	denied = refusal.For(refusal.Unavailable, "no record", refused).Because("audit")
	denied.RetryAfter = retrySoon
	o.logFinding(r, x, denied, explain.Finding{Cause: "audit"}, d.ID)
	return denied
}

// tell calls OnDecision and contains its failures.
func (o *operator) tell(ctx context.Context, d Decision) {
	defer func() {
		if recovered := recover(); recovered != nil {
			o.log.Error("mcpauth: OnDecision panicked", "panic", fmt.Sprintf("%T", recovered))
		}
	}()
	o.onDecision(ctx, d)
}

// tellFull tells that of so many tokens some are forgotten before their time.
func (o *operator) tellFull(tokens int) {
	o.log.Warn("mcpauth: more tokens are in use than there is memory for, and some are verified again before their minute is over",
		slog.Int("tokens", tokens))
}

// tellProofsFull tells that of so many DPoP proofs some do not count for as long as they could.
func (o *operator) tellProofsFull() {
	o.log.Warn("mcpauth: more DPoP proofs are in use than there is memory for, and those of the busiest callers count for less than 5 minutes")
}

// tellStore tells the operator what has become of the store.
func (o *operator) tellStore(err error) {
	switch {
	case err == nil:
		o.log.Info("mcpauth: the store answers again")
	case errors.Is(err, shared.ErrUnreadable):
		o.log.Error("mcpauth: an entry of the store cannot be read",
			"fix", "It was written under another SessionKey, or by another release, or not by us: whatever it is, it counts for nobody.")
	default:
		o.log.Error("mcpauth: the store cannot be reached, and until it can tasks are answered with 503", "error", shownError(err))
	}
}

// logRefusal writes the operator's line about a refusal, with its likely cause.
func (o *operator) logRefusal(r *http.Request, x *exchange, denied *refusal.Refusal) {
	if !o.logs(r, denied) {
		return
	}
	o.logFinding(r, x, denied, o.finding(r, x, denied), "")
}

// levelOf: what is the client's business is information, what is ours is not.
func levelOf(denied *refusal.Refusal) slog.Level {
	switch {
	case denied.Unsettled: // anybody can bring it about
		return slog.LevelInfo
	case denied.Status() == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case denied.Status() >= 500:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (o *operator) logs(r *http.Request, denied *refusal.Refusal) bool {
	return o.log != nil && o.log.Enabled(r.Context(), levelOf(denied)) // nil: the zero Middleware
}

// logFinding is logRefusal for a finding that is there already.
func (o *operator) logFinding(r *http.Request, x *exchange, denied *refusal.Refusal, f explain.Finding, id string) {
	if !o.logs(r, denied) {
		return
	}
	attrs := []slog.Attr{slog.Int("status", denied.Status()), slog.String("reason", denied.Error())}
	for _, attr := range []slog.Attr{
		slog.String("cause", f.Cause), slog.String("detail", f.Detail), slog.String("fix", f.Fix()), slog.String("id", id),
	} {
		if attr.Value.String() != "" {
			attrs = append(attrs, attr)
		}
	}
	if x.principal != nil {
		attrs = append(attrs, slog.String("issuer", x.principal.Issuer), slog.String("subject", shown(x.principal.Subject)))
	}
	for _, call := range x.calls[:min(len(x.calls), maxRulings)] {
		attrs = append(attrs, slog.String("call", shown(call.Method+" "+call.Name)))
	}
	if omitted := len(x.calls) - maxRulings; omitted > 0 {
		attrs = append(attrs, slog.Int("calls_omitted", omitted))
	}
	o.log.LogAttrs(r.Context(), levelOf(denied), "mcpauth: request refused", attrs...)
}

// tellServed calls OnServed and contains its failures. It is deferred, and a panic of the handler goes on.
func (o *operator) tellServed(r *http.Request, x *exchange, begun time.Time) {
	out := &x.out
	if u := x.unnamed; u != nil && u.ours {
		return // the handler was not called
	} else if u != nil && u.again != nil {
		out = &u.again.out
	}
	served := Served{
		ID: x.recording.recordID(), Principal: x.principal.clone(), Calls: slices.Clone(x.calls),
		Status: int(out.status), Duration: time.Since(begun),
	}
	if served.Status == 0 && x.returned && x.lease.cutFor() == nil {
		served.Status = http.StatusOK // as net/http has it
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			o.log.Error("mcpauth: OnServed panicked", "panic", fmt.Sprintf("%T", recovered))
		}
	}()
	o.onServed(r.Context(), served)
}

// How many calls of Revoked may go on after their requests have had their answer. Whose
// own they are is counted apart, so that nobody fills the bound for others.
const (
	maxAbandoned    = 1000
	maxOwnAbandoned = 32 // of one principal
)

// await asks a function of the operator's on behalf of a request, which waits for askTimeout at
// the most: one that does not heed its context is left behind.
func (o *operator) await(ctx context.Context, p *Principal, ask func(context.Context, *Principal) *refusal.Refusal) *refusal.Refusal {
	if !o.mayAsk(p) {
		return doubtRevoked(errors.New("too many calls of it have not returned"))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer := make(chan *refusal.Refusal, 1)
	go func() {
		var denied *refusal.Refusal
		exited := true // runtime.Goexit
		defer func() {
			if exited {
				denied = refusal.New(refusal.Policy, "Revoked ended its goroutine", "", "")
			}
			answer <- denied
		}()
		denied, exited = ask(ctx, p), false
	}()
	select {
	case denied := <-answer:
		return denied
	case <-ctx.Done():
	}
	o.abandon(p.Key(), answer)
	return doubtRevoked(ctx.Err())
}

// mayAsk reports whether a call more may be left behind.
func (o *operator) mayAsk(p *Principal) bool {
	switch count := o.abandoned.Load(); {
	case count == 0:
		return true
	case count >= maxAbandoned:
		return false
	}
	owner := p.Key()
	if !o.abandonedBy.Take(owner, 1, maxOwnAbandoned) {
		return false
	}
	o.abandonedBy.Give(owner, 1)
	return true
}

// abandon counts a call until it returns. Those of one principal that were all under way
// before the first was left behind count up to its share.
func (o *operator) abandon(owner string, answer <-chan *refusal.Refusal) {
	if !o.abandonedBy.Take(owner, 1, maxOwnAbandoned) {
		return
	}
	o.abandoned.Add(1)
	go func() {
		<-answer
		o.abandoned.Add(-1)
		o.abandonedBy.Give(owner, 1)
	}()
}

// A client whose new tokens are refused for one cause, one after the other, signs its user in
// again and again. The operator is told once; each refusal has its own line besides.
const (
	loopTokens    = 5 // different tokens,
	loopFresh     = 5 * time.Minute
	loopTellEvery = 10 * time.Minute
	maxLoopLines  = 10 // in that time, of tokens that were not verified: anybody can make them up

	maxLoopsOfOne = 64       // causes and clients of one principal; all tokens that were not verified are one's
	maxLoopMemory = 64 << 10 // bytes, of all
	loopOverhead  = 512      // bytes of each
)

// loops remembers which fresh tokens were refused lately.
type loops struct {
	mu    sync.Mutex // guards what is inside the entries, and the lines
	seed  maphash.Seed
	of    *owned.Store[*loop]
	lines int // about tokens that were not verified,
	since time.Time
}

// loop is what is known of one subject, client and cause.
type loop struct {
	tokens [loopTokens]uint64 // the last ones, by hash
	at     [loopTokens]time.Time
	next   int
	told   time.Time
}

func newLoops() loops {
	return loops{seed: maphash.MakeSeed(), of: owned.New[*loop](owned.Limits{
		Overhead: loopOverhead, Entries: maxLoopsOfOne, Size: maxLoopMemory, All: maxLoopMemory,
	})}
}

// noteLoop takes note of a token that was refused, and tells the operator of a loop. What a token
// says that was not verified may be a lie: it is named so, and all liars share one account.
func (o *operator) noteLoop(x *exchange, said *token.Unverified, denied *refusal.Refusal, cause string) {
	now := time.Now()
	age := now.Sub(said.IssuedAt)
	if age > loopFresh || age < -loopFresh || cause == "" || denied.Status() >= 500 { // without iat it is as old as can be
		return
	}
	subject, client, owner, unverified := said.Subject, x.g.verifier.clientOf(said), "", "unverified_"
	if p := x.principal; p != nil {
		subject, client, owner, unverified = p.Subject, p.ClientID, p.Key(), ""
	}
	var name []byte
	for _, field := range []string{cause, challenge.JoinScopes(denied.Scopes), said.Issuer, subject, client} {
		name = owned.AppendField(name, field)
	}
	if tokens := o.loops.note(owner, name, said.Compact, now); tokens > 0 {
		o.log.Warn("mcpauth: a client gets one token after the other, and each is refused for the same cause",
			unverified+"subject", shown(subject), unverified+"client", shown(client), "tokens", tokens,
			"cause", cause, "fix", explain.Finding{Cause: cause}.Fix())
	}
}

// note returns how many different tokens there were when the operator is to be told, 0 otherwise.
func (l *loops) note(owner string, what []byte, token string, now time.Time) int {
	hash, name := maphash.String(l.seed, token), strconv.FormatUint(maphash.Bytes(l.seed, what), 36)
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.of.Get(owner, name)
	if !ok {
		e = new(loop)
		l.of.Add(owner, owner, name, e, len(name))
	}
	if slices.Contains(e.tokens[:], hash) {
		return 0
	}
	e.tokens[e.next], e.at[e.next] = hash, now
	e.next = (e.next + 1) % loopTokens
	if now.Sub(e.at[e.next]) > loopFresh || now.Sub(e.told) < loopTellEvery || owner == "" && !l.mayTell(now) {
		return 0
	}
	e.told = now
	return loopTokens
}

// mayTell bounds the lines about tokens that were not verified. It must be called with mu held.
func (l *loops) mayTell(now time.Time) bool {
	if now.Sub(l.since) >= loopTellEvery {
		l.since, l.lines = now, 0
	}
	l.lines++
	return l.lines <= maxLoopLines
}
