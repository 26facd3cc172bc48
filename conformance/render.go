package conformance

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// WriteText writes the report for people: findings with the rule and the fix,
// what passed in one line each, and what was not run by its reasons.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "target %s\n", foreign.Line(r.Target))
	if r.Issuer != "" {
		fmt.Fprintf(&b, "tokens of %s\n", foreign.Line(r.Issuer))
	}
	group := ""
	for rest := r.Results; len(rest) > 0; {
		result, n := rest[0], together(rest)
		rest = rest[n:]
		if result.Group != group {
			group = result.Group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		if n > 1 {
			fmt.Fprintf(&b, "  %s %d checks not run: %s\n", mark(result), n, foreign.Line(result.Detail))
			continue
		}
		fmt.Fprintf(&b, "  %s %s\n", mark(result), result.Title)
		switch result.Outcome {
		case Fail:
			fmt.Fprintf(&b, "      %s: %s\n      rule: %s (%s)\n      fix:  %s\n      id:   %s\n",
				result.Severity, foreign.Line(result.Detail), result.Rule, result.Requirement, result.Fix, result.ID)
		case NotRun:
			fmt.Fprintf(&b, "      not run: %s\n", foreign.Line(result.Detail))
		}
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d not run; %d requests\n", r.Passed, r.Failed, r.NotRun, r.Requests)
	for _, reason := range r.notRunFor() {
		fmt.Fprintf(&b, "  %d not run: %s\n", reason.count, foreign.Line(reason.text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// together counts the checks in front of which one line tells: those of a group that were not run for one reason.
func together(results []Result) int {
	first, n := results[0], 1
	for first.Outcome == NotRun && n < len(results) && results[n].Outcome == NotRun && results[n].Group == first.Group && results[n].Detail == first.Detail {
		n++
	}
	return n
}

// notRunReason is why checks were not run, and how many.
type notRunReason struct {
	text  string
	count int
}

// notRunFor counts the reasons why checks were not run, the most frequent first.
func (r *Report) notRunFor() (reasons []notRunReason) {
	for _, result := range r.Results {
		if result.Outcome != NotRun || result.Detail == "" {
			continue
		}
		i := slices.IndexFunc(reasons, func(known notRunReason) bool { return known.text == result.Detail })
		if i < 0 {
			i = len(reasons)
			reasons = append(reasons, notRunReason{text: result.Detail})
		}
		reasons[i].count++
	}
	slices.SortStableFunc(reasons, func(a, b notRunReason) int { return cmp.Compare(b.count, a.count) })
	return reasons
}

func mark(result Result) string {
	switch result.Outcome {
	case Pass:
		return "✓"
	case Fail:
		return "✗"
	}
	return "-"
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error { return foreign.WriteJSON(w, r) }

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as one JUnit test suite, as CI systems read it.
func (r *Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: "mcpauth check " + foreign.Line(r.Target), Tests: len(r.Results), Failures: r.Failed, Skipped: r.NotRun}
	for _, result := range r.Results {
		c := junitCase{Class: "mcpauth." + result.Group, Name: result.ID}
		switch result.Outcome {
		case Fail:
			c.Failure = &junitMessage{Message: foreign.Line(result.Detail), Type: string(result.Severity),
				Text: fmt.Sprintf("%s\nrule: %s (%s)\nfix: %s", result.Title, result.Rule, result.Requirement, result.Fix)}
		case NotRun:
			c.Skipped = &junitMessage{Message: foreign.Line(result.Detail)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
