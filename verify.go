package mcpauth

import (
	"context"
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/dpop"
	"github.com/seed-1e292522/mcpauth/internal/introspect"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/token"
	"github.com/seed-1e292522/mcpauth/internal/tokencache"
)

// verified is a token whose signature was good, with what a later request needs to
// know whether it still is. Nothing of it ever changes: requests share it, and
// code that is not ours gets copies of the principal.
type verified struct {
	principal Principal
	notBefore int64         // the later one of nbf and iat, in microseconds since 1970
	binding   *dpop.Binding // to a key of the client; nil for a bearer token
	evidence
}

// evidence is what vouches for a token once it is verified, by its kind: the key that signed it.
// Whoever wants to know whether it still does asks here. The zero value vouches for nothing.
type evidence struct {
	issuer *issuer
	proof  keys.Proof // of a JWT
	answer *answer    // of the issuer, where it is asked about the token
}

// answer is when an issuer was asked about a token, and whether it told no end of it.
type answer struct {
	asked   time.Time
	endless bool
	second  bool // the token is a JWT, and was verified, too
	fewer   bool // scopes than that has

	// Of one request, and in nothing that is remembered.
	token    string
	narrowed atomic.Pointer[Principal] // who is granted less by now; nil for nobody
}

// isCurrent reports whether a verification that is remembered would come to the same end now. It
// does not wait.
func (e *evidence) isCurrent(now time.Time) bool {
	if e.answer != nil && reached(now, e.answer.asked.Add(seenLife)) {
		return false
	}
	return e.isOpaque() || e.issuer.keys.IsCurrent(&e.proof, now)
}

// isOpaque reports whether only the issuer can tell whether the token is good.
func (e *evidence) isOpaque() bool { return e.answer != nil && !e.answer.second }

// recheck asks what is at hand whether the evidence has been withdrawn. It does not wait; known is
// false where that does not tell, and [evidence.await] has to be asked.
func (e *evidence) recheck(now time.Time) (known bool, denied *refusal.Refusal) {
	if e.isOpaque() {
		return false, nil
	}
	known, denied = e.issuer.keys.Recheck(&e.proof, now)
	return known && e.answer == nil, denied
}

// await is recheck for who can wait, as long as ctx allows. asked is when the question arose. What an issuer has
// answered [verifier.verifyAgain] asks about, which knows the token.
func (e *evidence) await(ctx context.Context, asked time.Time) *refusal.Refusal {
	if e.isOpaque() {
		return nil
	}
	return e.issuer.keys.AwaitRecheck(ctx, &e.proof, asked)
}

// take makes of the facts whose token it is.
func (v *verified) take(facts *token.Facts) {
	v.principal.take(v.issuer.url, facts)
	if facts.Bound {
		v.binding = dpop.NewBinding(facts.Key, v.principal.caller().Key())
	}
}

// holder is the principal of a token that was verified, refused or not; nil for another one.
func (v *verified) holder() *Principal {
	if v == nil {
		return nil
	}
	return &v.principal
}

// verifier is whose tokens are accepted.
type verifier struct {
	issuers  map[string]*issuer
	ordered  []*issuer
	names    string // of the issuers, for refusals
	prefixes string // of those that are asked and listed, for refusals
	asks     bool   // an issuer about tokens that are no JWTs
	resource string
	leeway   time.Duration
	revoked  func(context.Context, *Principal) (bool, error)
	proofs   *dpop.Checker // nil where no issuer's tokens may be bound to a key
}

// goesBy reports whether a token would be judged now by who has vouched for it, by the very rules by which it was: a prefix may
// have become another issuer's.
func (v *verifier) goesBy(e *evidence, compact string) bool {
	return slices.Contains(v.ordered, e.issuer) && (!e.isOpaque() || issuerFor(compact, v.ordered) == e.issuer)
}

// endOf is when a token is good no more.
func (v *verifier) endOf(p *Principal) time.Time { return v.endBy(p.Expiry) }

func (v *verifier) endBy(exp time.Time) time.Time { return exp.Add(v.leeway) }

// clientOf names the client of a token that was not verified, "" if it names none.
func (v *verifier) clientOf(said *token.Unverified) string {
	if s := v.issuers[said.Issuer]; s != nil {
		return s.tokens.ClientID(said)
	}
	return ""
}

// credentials finds the one token of a request.
func (v *verifier) credentials(r *http.Request) (credential, *refusal.Refusal) {
	return credentials(r, v.proofs != nil)
}

// verify turns a compact token that arrived now into a verified one, which nobody may change, and wants a proof with one that is bound
// to a key. A token that was verified a moment ago is not verified again. With a refusal comes what is known of the token, or nil.
func (v *verifier) verify(r *http.Request, sent credential, now time.Time, seen *memory, by *operator) (*verified, *refusal.Refusal) {
	ctx, compact := r.Context(), sent.token
	if seen.tokens == nil {
		return nil, refusal.New(refusal.Issuer, "a Middleware that New has not made", "", "one made by New")
	}
	if strings.Count(compact, ".") != 2 && !v.asks { // it is no JWS, and not worth a look into the memory
		_, denied := v.verifyAnew(ctx, compact, now, time.Time{})
		return nil, denied
	}
	key := seen.tokens.Key(compact)
	good := seen.get(key, now, v.leeway)
	if good == nil || !v.goesBy(&good.evidence, compact) {
		var denied *refusal.Refusal
		if good, denied = v.verifyAnew(ctx, compact, now, time.Time{}); denied != nil {
			return good, denied
		}
		if seen.put(key, good, now, v.leeway) {
			by.tellFull(seen.tokens.Use().Entries)
		}
	}
	if good.binding != nil || sent.dpop {
		if denied := v.checkSender(r, sent, good, now, by); denied != nil {
			return good, denied
		}
	}
	if v.revoked == nil {
		return good, nil
	}
	return good, by.await(ctx, &good.principal, v.askRevoked)
}

// verifyAnew makes every check there is. The order is the defence: what can be
// refused without a key is refused first, then one key set is looked at, then
// one signature is checked, and only then is a claim believed. A refusal after
// that names the principal too, for the operator's record. Where the issuer is asked, no answer counts that
// is older than since.
func (v *verifier) verifyAnew(ctx context.Context, compact string, now, since time.Time) (*verified, *refusal.Refusal) {
	if v.asks && introspect.IsToken(compact) && !introspect.IsJWT(compact) {
		return v.verifyOpaque(ctx, compact, now, since)
	}
	var t token.Token
	defer t.JWS.Recycle() // of what is found, nothing is a part of it
	if denied := t.Read(compact); denied != nil {
		return nil, denied
	}
	s, denied := v.issuerOf(&t)
	if denied == nil {
		denied = s.tokens.Check(&t, now, v.leeway)
	}
	if denied != nil {
		return nil, s.hide(denied)
	}
	proof, denied := s.keys.Verify(ctx, &t.JWS, t.IssuedAt(), now)
	if denied != nil {
		return nil, s.hide(denied)
	}
	good := &verified{evidence: evidence{issuer: s, proof: proof}, notBefore: t.NotBefore().UnixMicro()}
	facts, denied := s.tokens.Facts(&t)
	if denied == nil && s.confirms {
		good.answer, denied = v.confirm(ctx, s, compact, &t, &facts, now, since)
	}
	good.take(&facts)
	return good, denied
}

// confirm asks the issuer about a JWT that was verified: it may have been revoked, or grant less by now.
func (v *verifier) confirm(ctx context.Context, s *issuer, compact string, t *token.Token, facts *token.Facts, now, since time.Time) (*answer, *refusal.Refusal) {
	who := s.asked.Owner(s.url, facts.Subject, strconv.FormatBool(facts.Client))
	said, verdict := s.asked.Ask(ctx, judge{s, v.leeway}, compact, since, who)
	if verdict.Denied != nil {
		return nil, verdict.Denied
	}
	var answered token.Token
	own := len(facts.Scopes)
	denied := answered.ReadAnswer(said.Claims, s.url, said.Asked)
	if denied == nil {
		denied = s.tokens.Confirm(t, facts, &answered, now, v.leeway)
	}
	if denied != nil {
		unverified := answered.Said()
		explainAnswer(denied, &unverified, s, v.resource)
		s.asked.Refuse(compact, introspect.Verdict{By: judge{s, v.leeway}, Denied: denied})
		return nil, denied
	}
	return &answer{asked: said.Asked, second: true, fewer: len(facts.Scopes) < own}, nil
}

// verifyOpaque asks the issuer about a token that only it can read. What it answers is judged by the same
// rules as the claims of a JWT.
func (v *verifier) verifyOpaque(ctx context.Context, compact string, now, since time.Time) (*verified, *refusal.Refusal) {
	if len(compact) > introspect.MaxToken {
		return nil, refusal.New(refusal.TokenTooComplex, "a token that is no JWT is longer than 4,096 bytes", "", "")
	}
	s, denied := v.askedAbout(compact)
	if denied != nil {
		return nil, denied
	}
	said, verdict := s.asked.Ask(ctx, judge{s, v.leeway}, compact, since, 0)
	if verdict.Denied != nil {
		known, _ := verdict.About.(*verified)
		return known, verdict.Denied
	}
	var t token.Token
	if denied = t.ReadAnswer(said.Claims, s.url, said.Asked); denied == nil {
		denied = s.tokens.Check(&t, now, v.leeway)
	}
	if denied != nil {
		unverified := t.Said()
		explainAnswer(denied, &unverified, s, v.resource)
		s.asked.Refuse(compact, introspect.Verdict{By: judge{s, v.leeway}, Denied: denied})
		return nil, denied
	}
	good := &verified{evidence: evidence{issuer: s, answer: &answer{asked: said.Asked, endless: t.IsEndless()}}, notBefore: t.NotBefore().UnixMicro()}
	facts, denied := s.tokens.Facts(&t)
	good.take(&facts)
	if denied != nil {
		s.asked.Refuse(compact, introspect.Verdict{By: judge{s, v.leeway}, Denied: denied, About: good, Size: good.size()})
		return good, denied
	}
	s.asked.Good(compact, s.asked.Owner(s.url, facts.Subject, strconv.FormatBool(facts.Client)))
	return good, nil
}

// askedAbout is issuerFor for a token that does not say that another issuer has made it.
func (v *verifier) askedAbout(compact string) (found *issuer, denied *refusal.Refusal) {
	if found = issuerFor(compact, v.ordered); found == nil || introspect.IsOfOther(compact, found.url) {
		denied = refusal.New(refusal.Issuer, "a token that is no JWT", "", "one that begins with Introspect.Prefix of an issuer"+v.prefixes).Because("opaque-prefix")
		denied.Told = refusal.Revoked // as of one that is made up
		return nil, denied
	}
	return found, nil
}

// verifyAgain asks the issuer about a token once more, and returns what it grants by now.
func (v *verifier) verifyAgain(ctx context.Context, before *verified, asked time.Time, seen *memory) (*verified, *refusal.Refusal) {
	compact := before.answer.token
	again, denied := v.verifyAnew(ctx, compact, asked, asked)
	switch {
	case denied != nil:
	case again.principal.caller() != before.principal.caller():
		denied = refusal.New(refusal.Claims, "sub or client of the answer", "", "those of the answer before").Because("subject")
	case !again.binding.Equal(before.binding):
		denied = refusal.New(refusal.SenderConstrained, "cnf of the answer", "", "that of the answer before")
	}
	if denied != nil && !denied.IsDoubt() {
		seen.tokens.Remove(seen.tokens.Key(compact))
	}
	return again, denied
}

// checkSender holds a token that is bound to a key, or was sent as one, against its scheme and its
// proof: neither kind is taken for the other.
func (v *verifier) checkSender(r *http.Request, sent credential, good *verified, now time.Time, by *operator) *refusal.Refusal {
	switch {
	case good.binding == nil:
		return refusal.New(refusal.SenderConstrained, "no cnf, and the scheme is DPoP", "", "a token bound to a key, or the scheme Bearer").Because("token-unbound")
	case !sent.dpop:
		return refusal.New(refusal.SenderConstrained, "cnf, and the scheme is Bearer", "", "the scheme DPoP, with a proof").Because("bound-as-bearer")
	}
	proof := dpop.Request{Field: r.Header["Dpop"], Method: r.Method, Path: dialled(r), Token: sent.token}
	full, denied := v.proofs.Check(r.Context(), proof, good.binding, now, good.issuer.nonces)
	if full {
		by.tellProofsFull()
	}
	return denied
}

// offerNonce gives the client the nonce of its next proof, where it needs one.
func (v *verifier) offerNonce(h http.Header, token *verified, denied *refusal.Refusal, now time.Time) {
	needed := denied != nil && denied.Reason == refusal.UseNonce
	if needed || denied == nil && token.issuer.nonces {
		h.Set("DPoP-Nonce", v.proofs.Nonce(now))
		h.Set("Cache-Control", "no-store")
	}
}

// issuerOf finds the issuer by its exact name. A name that is not configured costs nothing more than this look-up.
func (v *verifier) issuerOf(t *token.Token) (*issuer, *refusal.Refusal) {
	name, denied := t.Issuer()
	if denied != nil {
		return nil, denied
	}
	if s := v.issuers[name]; s != nil {
		return s, nil
	}
	return nil, refusal.New(refusal.Issuer, "unverified iss", name, v.names)
}

// Bounds of what is remembered of tokens. The bytes, counted as in
// [verified.size], are what is reached first: there are so many places that
// few tokens want the same ones.
const (
	maxSeen      = 1 << 17
	maxSeenBytes = 64 << 20
	seenLife     = time.Minute
)

// memory remembers verified tokens: the verification, never a decision. [Config].Revoked is asked for each request.
type memory struct{ tokens *tokencache.Cache[verified] }

func newMemory() memory {
	return memory{tokencache.New(maxSeen, maxSeenBytes, (*verified).size)}
}

// get returns what is known of a token that would pass all checks now as it
// did before: its time has not run out, and what vouched for it still does: for a JWT the
// key set that is the issuer's current one. A cached verification never outlives a key that the issuer has
// withdrawn, an outage beyond its bound, or a clock that was set back.
func (m *memory) get(key tokencache.Key, now time.Time, leeway time.Duration) *verified {
	v := m.tokens.Get(key, now)
	if v == nil || !now.Before(v.principal.Expiry.Add(leeway)) || now.Before(time.UnixMicro(v.notBefore).Add(-leeway)) ||
		!v.isCurrent(now) {
		return nil
	}
	return v
}

// put keeps a verified token for a minute, or until it expires, and reports whether that was the first time that
// there was no room.
func (m *memory) put(key tokencache.Key, v *verified, now time.Time, leeway time.Duration) (full bool) {
	p := &v.principal
	life := min(seenLife, p.Expiry.Add(leeway).Sub(now))
	if v.answer != nil {
		life = min(v.answer.asked.Add(seenLife).Sub(now), p.Expiry.Sub(now))
	}
	return m.tokens.Add(key, m.tokens.Owner(p.Issuer, p.Subject, strconv.FormatBool(p.Client)), v, now, life)
}

// TokenMemory is what [Middleware.TokenMemory] tells.
type TokenMemory struct {
	Tokens   int    // that are remembered
	Bytes    int    // that they take, of MaxBytes
	MaxBytes int    // 64 MiB
	Evicted  uint64 // tokens since the start that were forgotten before their minute was over, or not remembered, because there was no room
}

// use returns how full the memory is.
func (m *memory) use() TokenMemory {
	if m.tokens == nil {
		return TokenMemory{}
	}
	use := m.tokens.Use()
	return TokenMemory{Tokens: use.Entries, Bytes: use.Bytes, MaxBytes: use.MaxBytes, Evicted: use.Lost}
}

// What a verified and an answer take without their texts, in bytes.
const (
	sizeOfVerified = 352
	sizeOfAnswer   = 64
)

// size is what the verified token keeps in memory, in bytes. The texts of the principal are parts of the claims, unless they
// are written with escapes there.
func (v *verified) size() int {
	p := &v.principal
	size := sizeOfVerified + allocated(len(p.claims))
	if v.binding != nil {
		size += allocated(dpop.MaxBinding)
	}
	if strings.IndexByte(p.claims, '\\') >= 0 {
		size += allocated(len(p.claims))
	}
	if v.answer != nil {
		size += sizeOfAnswer
	}
	for _, list := range [...][]string{p.Scopes, p.Audiences, p.AMR, p.Actors} {
		size += allocated(16 * cap(list))
	}
	return size
}

// allocated is what so many bytes take of the heap, about: the allocator has sizes that are an eighth apart, and
// fewer of the large ones.
func allocated(size int) int {
	switch {
	case size == 0:
		return 0
	case size > 768:
		return size + size/8
	}
	step := max(16, 1<<bits.Len(uint(size-1))>>4)
	return (size + step - 1) &^ (step - 1)
}

// askRevoked asks the operator's function, if there is one, and contains its failures.
func (v *verifier) askRevoked(ctx context.Context, p *Principal) (denied *refusal.Refusal) {
	if v.revoked == nil {
		return nil
	}
	defer func() {
		if recovered := recover(); recovered != nil {
			denied = refusal.New(refusal.Policy, fmt.Sprintf("Revoked panicked with a %T", recovered), "", "")
		}
	}()
	revoked, err := v.revoked(ctx, p.clone())
	switch {
	case err != nil:
		return doubtRevoked(err)
	case revoked:
		return refusal.New(refusal.Revoked, "jti", p.TokenID, "a token that is not revoked")
	}
	return nil
}

func doubtRevoked(err error) *refusal.Refusal {
	denied := refusal.For(refusal.Unavailable, "Revoked", err).Because("revocation")
	denied.RetryAfter = retrySoon
	return denied
}
