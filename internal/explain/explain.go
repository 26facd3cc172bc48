// Package explain is the catalogue of what goes wrong: for each reason of a
// refusal its meaning, and for each cause how it is known and what to do. The
// log lines, the doctor and docs/troubleshooting.md all speak from here.
//
// Nothing of it is sent to a client.
package explain

import (
	"slices"
	"strings"
)

// Cause is one thing that operators get wrong, or that breaks.
type Cause struct {
	ID     string // stable: the attribute cause of a log line, and the anchor in the documentation
	Reason string // code of the reason under which it shows; "" for one that refuses nothing
	Means  string // one sentence: what is the matter
	Fix    string // one sentence or two: what to do
}

// Causes lists the catalogue in the order of the documentation.
func Causes() []Cause { return slices.Clone(causes) }

// ByID finds a cause.
func ByID(id string) (Cause, bool) {
	i := slices.IndexFunc(causes, func(c Cause) bool { return c.ID == id })
	if i < 0 {
		return Cause{}, false
	}
	return causes[i], true
}

// causes are the parts of the catalogue, put together once.
var causes = slices.Concat(issuerCauses, fetchCauses, keyCauses, tokenCauses, proofCauses, introspectionCauses, audienceCauses, timeCauses, scopeCauses, requestCauses)

// Finding is a cause with the facts of one case.
type Finding struct {
	Cause  string // an id of the catalogue; "" when nothing is known beyond the reason
	Detail string // the facts, in words. What a sender wrote is quoted and shortened
}

// Fix says what to do, "" for an unknown cause.
func (f Finding) Fix() string {
	c, _ := ByID(f.Cause)
	return c.Fix
}

// Means says what is the matter, "" for an unknown cause.
func (f Finding) Means() string {
	c, _ := ByID(f.Cause)
	return c.Means
}

// found makes a finding of facts that are joined by semicolons; empty ones are left out.
func found(cause string, facts ...string) Finding {
	facts = slices.DeleteFunc(facts, func(fact string) bool { return fact == "" })
	return Finding{Cause: cause, Detail: strings.Join(facts, "; ")}
}
