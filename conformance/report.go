package conformance

import (
	"fmt"
	"slices"
)

// Severity says what a finding is worth.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical" // somebody gets in who has no business there
	High     Severity = "high"     // a protection is missing, or clients cannot connect
	Medium   Severity = "medium"   // a rule is broken, with consequences for some clients
	Low      Severity = "low"      // a SHOULD, or advice
)

var severities = []Severity{Critical, High, Medium, Low}

// AtLeast reports whether s is as bad as other or worse.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) <= slices.Index(severities, other)
}

// ParseSeverity reads the name of a severity.
func ParseSeverity(name string) (Severity, error) {
	if slices.Contains(severities, Severity(name)) {
		return Severity(name), nil
	}
	return "", fmt.Errorf("conformance: %q is no severity: use critical, high, medium or low", name)
}

// Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	Pass   Outcome = "pass"
	Fail   Outcome = "fail"
	NotRun Outcome = "not run"
)

// Result is the outcome of one check.
type Result struct {
	ID          string   `json:"id"`          // stable: "token.alg-none"
	Group       string   `json:"group"`       // the part of ID before the dot
	Title       string   `json:"title"`       // what a conforming server does
	Severity    Severity `json:"severity"`    // of a failure
	Rule        string   `json:"rule"`        // "RFC 8725 section 3.1"
	Requirement string   `json:"requirement"` // in internal/archtest/requirements.tsv: "TOK-33"
	Outcome     Outcome  `json:"outcome"`
	Detail      string   `json:"detail,omitempty"` // what was got and expected, or why it was not run
	Fix         string   `json:"fix,omitempty"`    // for failures
}

// Report is what [Run] found. Results are in the order of the checks, which is fixed.
type Report struct {
	Target   string   `json:"target"`
	Issuer   string   `json:"issuer,omitempty"` // whose tokens were used
	Requests int      `json:"requests"`         // sent to the target
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	NotRun   int      `json:"not_run"`
	Results  []Result `json:"results"`
}

func (r *Report) add(result Result) {
	switch result.Outcome {
	case Pass:
		r.Passed++
	case Fail:
		r.Failed++
	default:
		r.NotRun++
	}
	r.Results = append(r.Results, result)
}

// Findings returns the failures that are at least as bad as the given severity.
func (r *Report) Findings(worst Severity) []Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(result Result) bool {
		return result.Outcome != Fail || !result.Severity.AtLeast(worst)
	})
}
