package mcpauth

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// What lasts is asked again: whether the token has been revoked, whether what
// vouches for it has been withdrawn, such as the key, and whether the policy has changed its mind.
const (
	askEvery   = time.Minute           // give or take a tenth
	askTimeout = 5 * time.Second       // for what the operator's functions take to answer
	callTime   = 50 * time.Millisecond // for the policy, and each call more
	maxDoubt   = 5 * time.Minute       // without a good answer

	unlimited = 100 * 365 * 24 * time.Hour // what lasts as long as it is vouched for

	// lastChance is the age of the last good answer at which a question can still
	// be answered in time.
	lastChance = maxDoubt - askTimeout - time.Second
)

// inquiry asks on behalf of a response that lasts.
type inquiry struct {
	lease *lease

	mu     sync.Mutex  // guards the rest
	timer  *time.Timer // the only one; nil when it is over
	ends   time.Time   // when the token does,
	exp    time.Time   // by its own account
	due    time.Time   // when the timer fires
	good   time.Time   // the last good answer
	asking questions   // which are under way, see ask
	doubt  *refusal.Refusal
	ruled  ruled // the last time that rules have allowed the calls
}

// ruled is by which configuration rules have allowed calls, and to whom. As long as neither is another one, they say so again.
type ruled struct {
	g *generation
	p *Principal
}

// questions are whether the token has been revoked, whether what vouches for it still does, and
// whether the policy allows the calls.
type questions [3]bool

func everyQuestion() questions { return questions{true, true, true} }

// arm makes the response one that lasts, once: it ends with its token, and is
// asked about until then.
func (l *lease) arm() {
	if denied := l.inquire(); denied != nil {
		l.end(denied)
	}
}

// inquire begins the inquiry, unless there is one or the request is over: who
// stops it then finds a timer to stop, or none is set.
func (l *lease) inquire() *refusal.Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inquiry != nil || l.over {
		return nil
	}
	l.inquiry = &inquiry{lease: l, good: l.verified, ruled: ruled{l.x.g, l.holder()}}
	if a := l.token.answer; a != nil { // it may have been remembered
		l.inquiry.good = a.asked
	}
	l.x.m.owned.lasts.add(l.inquiry)
	if g := l.x.m.generation(); g != l.x.g { // it is looked at after it can be found: see Reload
		if denied := l.inquiry.forbidden(g); denied != nil {
			return denied
		}
	}
	return l.inquiry.begin()
}

// withdrawn returns why a response must end at once under a configuration: it does not have the issuer as it was
// when it vouched for the token.
func (q *inquiry) withdrawn(g *generation) *refusal.Refusal {
	token, compact := q.lease.token, ""
	if token.answer != nil {
		compact = token.answer.token
	}
	if !g.verifier.goesBy(&token.evidence, compact) {
		return refusal.New(refusal.Issuer, "issuer", token.issuer.url, "an issuer of the configuration in force, with the settings of before")
	}
	return nil
}

// forbidden returns why a configuration does not allow a response. Rules are asked at once, and a policy in code
// when it is due: it may take its time.
func (q *inquiry) forbidden(g *generation) *refusal.Refusal {
	denied := q.withdrawn(g)
	if denied == nil && g.policy.isDeclared() {
		denied = q.decide(&q.lease.x.ctx, g)
	}
	return denied
}

// decide asks the policy of a configuration about the calls, unless it is one of rules that have been asked.
func (q *inquiry) decide(ctx context.Context, g *generation) *refusal.Refusal {
	now := ruled{g, q.lease.holder()}
	if g.policy.isRulesAlone() && q.isRuled(now) {
		return nil
	}
	denied := g.policy.decide(ctx, now.p, q.lease.x.calls, nil)
	if denied == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ruled = now
	}
	return denied
}

func (q *inquiry) isRuled(now ruled) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ruled == now
}

// until has a response end when its token does by a configuration, which may have another leeway: at once, if that has been.
func (q *inquiry) until(g *generation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil { // it begins with that configuration, or is over
		return
	}
	now := time.Now()
	if !q.exp.IsZero() {
		q.ends = now.Add(g.verifier.endBy(q.exp).Sub(now))
	}
	if q.ends.Before(q.due) {
		q.set(now, q.ends)
	}
}

// set has the timer fire at a moment.
func (q *inquiry) set(now, at time.Time) {
	q.due = at
	q.timer.Reset(at.Sub(now))
}

// size says what it takes to ask rules.
func (q *inquiry) size() (size int) {
	for i := range q.lease.x.calls {
		size += len(q.lease.x.calls[i].Name)
	}
	return size
}

// lasting are the inquiries that are under way.
type lasting struct {
	mu  sync.Mutex
	all map[*inquiry]struct{}
}

func (l *lasting) add(q *inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*inquiry]struct{}{}
	}
	l.all[q] = struct{}{}
}

func (l *lasting) remove(q *inquiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, q)
}

func (l *lasting) list() []*inquiry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.all))
}

// review ends what a new configuration does not allow: first what needs no rules for that, and then the callers' side by
// side, so that nobody waits for what another one has asked for.
func (l *lasting) review(m *Middleware, g *generation) {
	callers := map[owned.Caller][]*inquiry{}
	for _, q := range l.list() {
		if denied := q.withdrawn(g); denied != nil {
			go q.lease.end(denied) // the client may read slowly
			continue
		}
		q.until(g)
		caller := q.lease.token.principal.caller()
		callers[caller] = append(callers[caller], q)
	}
	if !g.policy.isDeclared() {
		return
	}
	for _, own := range callers {
		go m.reviewAll(own, g)
	}
}

// reviewAll asks rules about what one caller has, the shortest first, until there are newer rules: who puts those in force has
// them asked.
func (m *Middleware) reviewAll(own []*inquiry, g *generation) {
	slices.SortFunc(own, func(a, b *inquiry) int { return cmp.Compare(a.size(), b.size()) })
	for _, q := range own {
		if m.generation() != g {
			return
		}
		if denied := q.decide(&q.lease.x.ctx, g); denied != nil {
			go q.lease.end(denied)
		}
	}
}

// begin sets the timer, unless it is too late for that. The verification of the
// request was the first good answer. Where a response becomes a stream long after
// that, it is asked about at once.
func (q *inquiry) begin() *refusal.Refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.ends = now.Add(unlimited)
	if ends, ok := q.endOf(q.lease.token, now); ok {
		q.ends, q.exp = ends, q.lease.token.principal.Expiry
	}
	at := q.good.Add(pause())
	if oldest := now.Add(-lastChance); q.good.Before(oldest) {
		q.good = oldest
	}
	if at.After(q.ends) {
		at = q.ends
	}
	denied := q.overdue(now)
	if denied == nil {
		q.due, q.timer = at, time.AfterFunc(at.Sub(now), q.tick)
	}
	return denied
}

// endOf is when a token is good no more, on both clocks. Without ok that is not known.
func (q *inquiry) endOf(token *verified, now time.Time) (ends time.Time, ok bool) {
	ends = now.Add(q.lease.x.m.generation().verifier.endOf(&token.principal).Sub(now))
	return ends, token.answer == nil || !token.answer.endless
}

// endBy brings the end nearer, where the issuer tells an earlier one by now.
func (q *inquiry) endBy(again *verified) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	ends, ok := q.endOf(again, now)
	if !ok || !ends.Before(q.ends) || q.timer == nil {
		return
	}
	q.ends, q.exp = ends, again.principal.Expiry
	if ends.Before(q.due) {
		q.set(now, ends)
	}
}

// stop lets go of the timer.
func (q *inquiry) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}

// tick is what the timer does.
func (q *inquiry) tick() {
	now := time.Now()
	ask, denied := q.turn(now)
	if denied == nil {
		var vouched bool
		vouched, denied = q.lease.token.recheck(now)
		if denied == nil && ask != (questions{}) {
			denied = q.ask(now, ask, vouched)
		}
	}
	if denied != nil {
		q.lease.end(denied)
	}
}

// turn sets the timer again, before anybody is asked, so that one who never
// answers keeps nothing from ending; nor is he asked twice.
func (q *inquiry) turn(now time.Time) (ask questions, denied *refusal.Refusal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil || q.lease.cutFor() != nil {
		return ask, nil
	}
	if denied = q.overdue(now); denied != nil {
		return ask, denied
	}
	q.set(now, q.next(now))
	for i, asking := range q.asking {
		ask[i] = !asking
	}
	q.asking = everyQuestion()
	return ask, nil
}

// overdue returns why the response must end at this moment, whoever is asked.
func (q *inquiry) overdue(now time.Time) *refusal.Refusal {
	switch {
	case reached(now, q.ends):
		exp := q.exp.UTC().Format(time.RFC3339)
		return refusal.New(refusal.Expired, "exp "+exp, "", "later than "+now.UTC().Format(time.RFC3339))
	case reached(now, q.good.Add(maxDoubt)):
		if q.doubt == nil {
			return refusal.New(refusal.Unavailable, "no answer for "+maxDoubt.String(), "", "")
		}
		return refusal.For(refusal.Unavailable, "no good answer for "+maxDoubt.String(), q.doubt)
	}
	return nil
}

// next returns the moment of the next tick.
func (q *inquiry) next(now time.Time) time.Time {
	at := now.Add(pause())
	if last := q.good.Add(lastChance); at.After(last) {
		at = last
		if !now.Before(last) {
			at = q.good.Add(maxDoubt)
		}
	}
	if at.After(q.ends) {
		at = q.ends
	}
	return at
}

// ask asks those who may have changed their mind, and returns why the response
// must end if one of them says so. Each has its own time, so that one who does not
// answer silences no other. vouched says that the evidence for the token is known
// to be good; if not, what tells of it is not at hand, and is waited for. A good answer counts
// from when it was asked for.
func (q *inquiry) ask(asked time.Time, ask questions, vouched bool) *refusal.Refusal {
	p, calls := &q.lease.token.principal, q.lease.x.calls
	doubt := refusal.New(refusal.Unavailable, "no answer yet", "", "")
	if ask == everyQuestion() {
		doubt = nil
	}
	for i, question := range []struct {
		time time.Duration
		ask  func(context.Context) *refusal.Refusal
	}{
		{askTimeout, func(ctx context.Context) *refusal.Refusal {
			return q.lease.x.m.generation().verifier.askRevoked(ctx, p)
		}},
		{askTimeout, func(ctx context.Context) *refusal.Refusal {
			return q.askEvidence(ctx, asked, vouched)
		}},
		{policyTime(len(calls)), func(ctx context.Context) *refusal.Refusal {
			return q.decide(ctx, q.lease.x.m.generation())
		}},
	} {
		if !ask[i] {
			continue
		}
		denied := q.put(i, question.time, question.ask)
		if denied != nil && !denied.IsDoubt() {
			return denied
		}
		doubt = cmp.Or(doubt, denied)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.doubt = doubt; doubt == nil {
		q.good = asked
	}
	return nil
}

// put puts one question. An answer that comes too late is none, unless it says
// that the response must end.
func (q *inquiry) put(i int, patience time.Duration, ask func(context.Context) *refusal.Refusal) *refusal.Refusal {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(&q.lease.x.ctx, patience)
	defer cancel()
	denied := ask(ctx)
	if denied == nil && time.Since(begun) > patience {
		denied = refusal.New(refusal.Unavailable, "no answer within "+patience.String(), "", "")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asking[i] = false
	return denied
}

// policyTime is what a policy has for so many calls: a subscription may have a thousand.
func policyTime(calls int) time.Duration {
	return min(askTimeout+time.Duration(calls)*callTime, askEvery/2)
}

func (q *inquiry) askEvidence(ctx context.Context, asked time.Time, vouched bool) *refusal.Refusal {
	l := q.lease
	if vouched {
		return nil
	}
	if denied := l.token.await(ctx, asked); denied != nil || l.token.answer == nil {
		return denied
	}
	again, denied := l.x.m.verifyAgain(ctx, l.token, asked)
	if denied == nil {
		l.narrow(again.principal.Scopes)
		q.endBy(again)
	}
	return denied
}

// end cuts the response and tells the operator.
func (l *lease) end(denied *refusal.Refusal) {
	// A writer or a log that is not ours may panic. In the timer's goroutine that
	// would end the process.
	defer func() { _ = recover() }()
	if !l.cut(denied) {
		return
	}
	p := &l.token.principal
	l.x.m.operator.log.LogAttrs(&l.x.ctx, levelOf(denied), "mcpauth: stream ended early",
		slog.String("reason", denied.Error()), slog.String("issuer", p.Issuer), slog.String("subject", shown(p.Subject)))
}

// pause is askEvery, give or take a tenth: streams that began together do not ask together.
func pause() time.Duration {
	return time.Duration(float64(askEvery) * (0.9 + 0.2*rand.Float64()))
}

// reached reports whether a moment has come on either clock. The monotonic one does not believe a
// wall clock that was set back; the wall clock knows of the time that a machine has slept through.
func reached(now, moment time.Time) bool {
	return !now.Before(moment) || !now.Round(0).Before(moment.Round(0))
}
