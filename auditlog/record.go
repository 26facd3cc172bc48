package auditlog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Record is one decision as it is kept. The names of its JSON members are stable.
type Record struct {
	Seq  uint64    `json:"seq,omitempty"` // consecutive in a [File]; a gap is a loss
	Time time.Time `json:"time"`          // when the request arrived
	ID   string    `json:"id,omitempty"`  // random name of the request

	// Event is "decision"; "scope_elevated" for the first call that is allowed
	// after it was refused to the same principal for scopes; "reload" for a change of the configuration; "sealed" for the line that a
	// [File] writes after one that was cut off, which has no decision.
	Event    string `json:"event"`
	Decision string `json:"decision,omitempty"` // "allow" or "deny"
	Reason   string `json:"reason,omitempty"`   // code of the refusal
	Cause    string `json:"cause,omitempty"`    // id in docs/troubleshooting.md
	Status   int    `json:"status,omitempty"`   // HTTP status of the refusal

	Issuer             string   `json:"iss,omitempty"`
	Subject            string   `json:"sub,omitempty"`
	ClientID           string   `json:"client_id,omitempty"`
	Machine            bool     `json:"machine,omitempty"` // the client acts for itself
	Actors             []string `json:"actors,omitempty"`
	KeyID              string   `json:"kid,omitempty"`
	TokenFingerprint   string   `json:"token_fingerprint,omitempty"`
	SessionFingerprint string   `json:"session_fingerprint,omitempty"`

	// What an unverified token says. It proves nothing.
	UnverifiedIssuer string `json:"unverified_iss,omitempty"`
	UnverifiedKeyID  string `json:"unverified_kid,omitempty"`

	Method   string `json:"http_method,omitempty"`
	Era      string `json:"era,omitempty"`
	Remote   string `json:"remote,omitempty"`
	Duration int64  `json:"duration_us,omitempty"` // microseconds until the decision

	Config     string `json:"config,omitempty"`     // fingerprint of the configuration that decided, 16 hex digits of it
	Generation uint64 `json:"generation,omitempty"` // of it: it begins at 1 in each process

	Calls   []Call `json:"calls,omitempty"`
	Omitted int    `json:"calls_omitted,omitempty"` // calls of a batch beyond the 32 that are kept

	Change *Change `json:"change,omitempty"` // with reload; denied if the configuration stays as it was

	ElevatedFrom string `json:"elevated_from,omitempty"` // ID of the refusal, with scope_elevated
	TornBytes    int    `json:"torn_bytes,omitempty"`    // with sealed
}

// Change is what a reload has changed, or would have.
type Change struct {
	Source  string   `json:"source,omitempty"`
	To      string   `json:"to,omitempty"` // fingerprint, 16 hex digits of it
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Call is one operation of a request and what was decided about it.
type Call struct {
	Method   string   `json:"method"`
	Kind     string   `json:"kind,omitempty"`
	Name     string   `json:"name,omitempty"` // of a resource without query and fragment
	Rule     string   `json:"rule,omitempty"`
	Decision string   `json:"decision,omitempty"` // "" if nothing was decided about it, because something else was refused first
	Required []string `json:"required,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

const (
	maxCalls = 32
	maxText  = 256
	maxError = 4096 // of the mistakes in a configuration
)

// record makes the record of a decision.
func (o *Options) record(ctx context.Context, d mcpauth.Decision) Record {
	r := Record{
		Time: d.Time.UTC(), ID: d.ID, Event: "decision", Decision: "allow",
		Cause: d.Cause, KeyID: clean(d.KeyID), TokenFingerprint: d.TokenFingerprint, SessionFingerprint: d.SessionFingerprint,
		UnverifiedIssuer: clean(d.UnverifiedIssuer), UnverifiedKeyID: clean(d.UnverifiedKeyID),
		Method: clean(d.Method), Era: d.Era, Duration: d.Duration.Microseconds(),
		Config: short(d.ConfigFingerprint), Generation: d.Generation,
	}
	if d.Change != nil {
		r.change(d.Change)
		return r
	}
	if d.Err != nil {
		r.Decision, r.Reason, r.Status = "deny", d.Reason().Code(), d.Err.Status
	}
	if p := d.Principal; p != nil {
		r.Issuer, r.Subject, r.ClientID, r.Machine = clean(p.Issuer), o.subject(p.Issuer, p.Subject), clean(p.ClientID), p.Client
		for _, actor := range p.Actors {
			r.Actors = append(r.Actors, o.subject(p.Issuer, actor))
		}
	}
	if o.Remote != nil {
		r.Remote = clean(o.Remote(ctx, d))
	} else if host, _, err := net.SplitHostPort(d.Remote); err == nil {
		r.Remote = clean(host)
	}
	for i, call := range d.Calls {
		if i == maxCalls {
			r.Omitted = len(d.Calls) - maxCalls
			break
		}
		r.Calls = append(r.Calls, callOf(call, d.Rulings, i))
	}
	return r
}

func (r *Record) change(c *mcpauth.ConfigChange) {
	r.Event = "reload"
	names := func(list []string) (cleaned []string) {
		for _, name := range list {
			cleaned = append(cleaned, clean(name))
		}
		return cleaned
	}
	r.Change = &Change{Source: clean(c.Source), To: short(c.To), Added: names(c.Added), Removed: names(c.Removed), Changed: names(c.Changed)}
	if c.Err != nil {
		r.Decision, r.Change.Error = "deny", strings.Clone(foreign.LineShort(strings.ReplaceAll(c.Err.Error(), "\n", "; "), maxError))
	}
}

// short is what of a fingerprint tells configurations apart.
func short(fingerprint string) string {
	digits := strings.TrimPrefix(fingerprint, "sha256:")
	return digits[:min(len(digits), 16)]
}

func callOf(call mcpauth.Call, rulings []mcpauth.Ruling, i int) Call {
	name := call.Name
	if call.Kind == mcpauth.KindResource {
		name, _, _ = strings.Cut(name, "#")
		name, _, _ = strings.Cut(name, "?")
	}
	c := Call{Method: clean(call.Method), Kind: string(call.Kind), Name: clean(name)}
	if i < len(rulings) {
		c.Rule, c.Required, c.Missing = clean(rulings[i].Rule), rulings[i].Required, rulings[i].Missing
		c.Decision = "deny"
		if rulings[i].Allowed {
			c.Decision = "allow"
		}
	}
	return c
}

// subject names somebody, by a keyed hash if the operator wants it so, and with one
// if the name is too long to be told whole. The
// issuer is hashed too, so that the same name at two issuers is two people.
func (o *Options) subject(issuer, name string) string {
	if o.SubjectKey == nil {
		if len(name) > maxText { // two that begin alike are two people
			sum := sha256.Sum256([]byte(name))
			return clean(name) + " sha256:" + hex.EncodeToString(sum[:16])
		}
		return clean(name)
	}
	h := hmac.New(sha256.New, o.SubjectKey)
	h.Write([]byte(strconv.Itoa(len(issuer)) + ":" + issuer + name))
	return "hmac:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// clean makes a sender's text fit for a log, and its own: a record that waits must not
// keep the message or token alive that the text is a part of.
func clean(s string) string { return strings.Clone(foreign.LineShort(s, maxText)) }
