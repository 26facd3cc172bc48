package mcpauth

import (
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

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
func (o *operator) noteLoop(x *exchange, token *rereadToken, denied *refusal.Refusal, cause string) {
	now, c := time.Now(), &token.claims
	age := now.Sub(c.iat.time())
	if !c.iat.present || age > loopFresh || age < -loopFresh || cause == "" || denied.Status() >= 500 || o.loops.of == nil {
		return
	}
	subject, client, owner, unverified := c.sub.value, "", "", "unverified_"
	if s := x.g.verifier.issuers[c.iss.value]; s != nil {
		client = s.clientID(c)
	}
	if p := x.principal; p != nil {
		subject, client, owner, unverified = p.Subject, p.ClientID, p.Key(), ""
	}
	var name []byte
	for _, field := range []string{cause, challenge.JoinScopes(denied.Scopes), c.iss.value, subject, client} {
		name = owned.AppendField(name, field)
	}
	if tokens := o.loops.note(owner, name, token.compact, now); tokens > 0 {
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
