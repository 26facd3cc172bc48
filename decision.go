package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// Decision is the record of one request: who asked for what, what was decided
// and by which rule. It holds no token, no proof and no claim that was not
// verified, except where a name says so. Calls may hold arguments of tools:
// do not write them to a log.
type Decision struct {
	Err       *DeniedError // nil: the handler is called
	Principal *Principal   // nil if no token was verified
	Calls     []Call       // what the body asks for; nil if it was not read

	// Rulings are what the policy said of Calls, one for each in order: 32 at
	// the most, and none after a call that the policy failed on.
	Rulings []Ruling

	ID           string        // random name of the request; the log line of a refusal has it too
	Time         time.Time     // when the request arrived
	Duration     time.Duration // from then to the decision
	Verification time.Duration // from then to the end of the token's verification; 0 if it failed

	Method             string // HTTP method
	Remote             string // network address of the peer, which may be a proxy
	Era                string // "modern" (since 2026-07-28) or "legacy"; "" if the body was not read
	KeyID              string // kid of the key that verified the token; "" without one
	TokenFingerprint   string // 16 hex digits: of its jti, or keyed with Config.SessionKey
	SessionFingerprint string // of the handler's session, 16 hex digits, keyed alike; "" for none

	// What a token says that was not verified. It may be a lie.
	UnverifiedIssuer string
	UnverifiedKeyID  string

	ConfigFingerprint string // of the configuration by which it was decided: see [ConfigStatus]
	Generation        uint64 // of it: 1 for that of New, one more after each change

	// Change is set in the record of a [Middleware.Reload]. Such a record is of no request: of the other fields
	// it has ID, Time, ConfigFingerprint and Generation, those in force so far.
	Change *ConfigChange

	// Why a request was refused and what to do, for the operator: the id of a
	// cause in docs/troubleshooting.md, the facts of the case, the likely fix.
	// "" when nothing is known beyond Err.
	Cause, Detail, Fix string

	refused *error
}

// ConfigChange is what a [Decision] tells of a [Middleware.Reload]. Of each list it has 100 at the most, and then how many more there are.
type ConfigChange struct {
	Source string // of the configuration, as Reload was told
	To     string // its fingerprint; "" if it has mistakes

	// What differs, by name: `tools["read"]`, `issuers["https://login.example.com"]`, "Leeway".
	Added, Removed, Changed []string

	// Err is why the configuration in force so far stays. Nil: the other one is in force when
	// OnDecision has returned, unless that calls [Decision.Refuse].
	Err error
}

// Ruling is what the policy said of one [Call].
type Ruling struct {
	// Rule names the key of [Rules] that decided: `tools["admin_*"]`. It is
	// "known method" for a method that Rules do not list, "handshake" for what
	// every valid token may do, "policy" for any other [Policy], and "" when no rule applies.
	Rule     string
	Allowed  bool
	Required []string // the scopes that the call needs; of each any-of group one
	Missing  []string // those of them that the principal lacks
}

// Refuse makes a refusal of a decision to let a request through: 503, and the
// handler is not called. It is for an audit that must not miss a request, and
// works until OnDecision returns. Of a Change it keeps the configuration as it was. It cannot make a refusal anything else. The
// error is for the operator's log and must not be nil.
func (d Decision) Refuse(err error) {
	if d.refused != nil {
		*d.refused = err
	}
}

// Code is the stable name of the reason, for records and as a metric label:
// "expired", "insufficient_scope". docs/troubleshooting.md lists the set, to which only a minor version adds.
func (r Reason) Code() string { return refusal.Reason(r).Entry().Code }

// Reason returns the reason of a refusal, "" for a request that is let through.
func (d Decision) Reason() Reason {
	if d.Err == nil {
		return ""
	}
	return d.Err.reason()
}

// maxRulings bounds what one request can write into a record and a line of the log.
const maxRulings = 32

// recording collects what a record needs on the way. A nil one, which is that
// of a request that nobody records, takes no notice.
type recording struct {
	arrived  time.Time
	verified time.Duration
	rulings  []Ruling
	id       string // of the record; "" before there is one
}

func (o *operator) newRecording() *recording {
	if o.onDecision == nil {
		return nil
	}
	return &recording{arrived: time.Now()}
}

// tokenVerified notes how long the token took.
func (t *recording) tokenVerified() {
	if t != nil {
		t.verified = time.Since(t.arrived)
	}
}

// recordID names the record, "" if there is none.
func (t *recording) recordID() string {
	if t == nil {
		return ""
	}
	return t.id
}

// handshake notes a call that the policy is not asked about.
func (t *recording) handshake() {
	if t != nil && len(t.rulings) < maxRulings {
		t.rulings = append(t.rulings, Ruling{Rule: "handshake", Allowed: true})
	}
}

// ruled notes what the policy said of a call, and which rules, if it is one of rules.
func (t *recording) ruled(d *decider, p *Principal, call Call, req Requirement, rules []int) {
	if t == nil || len(t.rulings) == maxRulings {
		return
	}
	ruling := Ruling{Rule: d.nameOf(call, rules), Allowed: !req.denies()}
	if ruling.Allowed {
		ruling.Required, ruling.Allowed = d.resolve(p, req, nil)
		for _, scope := range ruling.Required {
			if !d.holds(p, scope) {
				ruling.Missing = append(ruling.Missing, scope)
			}
		}
	}
	t.rulings = append(t.rulings, ruling)
}

// decisionOf puts together what is known of a request.
func (o *operator) decisionOf(r *http.Request, x *exchange, denied *refusal.Refusal) Decision {
	d := Decision{
		Principal: x.principal.clone(), Calls: slices.Clone(x.calls), // the request's own go on to decide
		ID: randomID(), Time: time.Now(),
		ConfigFingerprint: x.g.edition.Fingerprint, Generation: x.g.edition.Number,
		Method: r.Method, Remote: r.RemoteAddr, Era: x.era.String(),
	}
	if denied != nil {
		d.Err = deniedError(denied)
	}
	if t := x.recording; t != nil {
		d.Rulings, d.Verification = t.rulings, t.verified
		d.Duration = d.Time.Sub(t.arrived)
		d.Time = t.arrived
	}
	if x.session != "" {
		d.SessionFingerprint = x.m.owned.fingerprint("session", x.session)
	}
	sent, _ := x.g.verifier.credentials(r)
	compact := sent.token
	said := token.Reread(compact, denied == nil)
	switch p := x.principal; {
	case p != nil && p.TokenID != "":
		sum := sha256.Sum256([]byte(p.TokenID))
		d.TokenFingerprint = hex.EncodeToString(sum[:8])
	case compact != "":
		d.TokenFingerprint = x.m.owned.fingerprint("token", compact)
	}
	if x.principal != nil {
		d.KeyID = said.KeyID
	} else {
		d.UnverifiedIssuer, d.UnverifiedKeyID = said.Issuer, said.KeyID
	}
	if denied != nil {
		f := o.findingOf(r, x, denied, &said)
		d.Cause, d.Detail, d.Fix = f.Cause, f.Detail, f.Fix()
	}
	return d
}

// maxChanges is how many names of a change are told of each list.
const maxChanges = 100

// recordChange tells OnDecision of a change, which can refuse it.
func (o *operator) recordChange(ctx context.Context, g *generation, c ConfigChange) (refused error) {
	if o.onDecision == nil {
		return nil
	}
	for _, list := range []*[]string{&c.Added, &c.Removed, &c.Changed} {
		if more := len(*list) - maxChanges; more > 0 {
			*list = append((*list)[:maxChanges:maxChanges], fmt.Sprintf("and %d more", more))
		}
	}
	o.tell(ctx, Decision{ID: randomID(), Time: time.Now(), ConfigFingerprint: g.edition.Fingerprint, Generation: g.edition.Number, Change: &c, refused: &refused})
	return refused
}

// randomID names a request. It is not a secret.
func randomID() string {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	return hex.EncodeToString(id[:])
}

// Served is what a handler has answered to a request that was let through. Calls may hold
// arguments of tools: do not write them to a log.
type Served struct {
	ID        string // that of the [Decision]; "" without OnDecision
	Principal *Principal
	Calls     []Call

	// Status is the handler's own, also where the client is told another one, because a list cannot be
	// filtered or the token has expired meanwhile. 0: it has panicked, or its response was ended, before it
	// had answered.
	Status   int
	Duration time.Duration // from the call of the handler to its return
}
