package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// state is how a step ended.
type state string

const (
	stateOK      state = "ok"
	stateFault   state = "fault"
	stateNote    state = "note" // worth knowing; nothing is refused because of it
	stateSkipped state = "skipped"
)

// step is one thing that was looked at.
type step struct {
	Section string `json:"section"`
	State   state  `json:"state"`
	Title   string `json:"title"`
	Detail  string `json:"detail,omitempty"`
	Cause   string `json:"cause,omitempty"` // id of docs/troubleshooting.md
	Fix     string `json:"fix,omitempty"`
}

// findings are the steps of a run.
type findings struct {
	Resource    string `json:"resource"`
	Faults      int    `json:"faults"`
	Unreachable bool   `json:"unreachable,omitempty"`
	Steps       []step `json:"steps"`

	redact func(string) string // takes the token out of what a server repeats; nil without one
}

// add takes a step with whatever texts it has: nothing is shown that has not come through here.
func (f *findings) add(s step) {
	for _, text := range []*string{&s.Title, &s.Detail, &s.Fix} {
		if f.redact != nil {
			*text = f.redact(*text)
		}
		*text = foreign.Line(*text)
	}
	if s.State == stateFault {
		f.Faults++
	}
	f.Steps = append(f.Steps, s)
}

// finish writes the findings and returns the error that carries the exit code.
func (f *findings) finish(env environment, asJSON bool) error {
	var err error
	if asJSON {
		err = foreign.WriteJSON(env.stdout, f)
	} else {
		err = f.write(env)
	}
	switch {
	case err != nil:
		return err
	case f.Unreachable:
		return &codedError{code: exitUnreachable}
	case f.Faults > 0:
		return &codedError{code: exitFindings}
	}
	return nil
}

var marks = map[state]struct{ sign, color string }{
	stateOK: {"✓", "32"}, stateFault: {"✗", "31"}, stateNote: {"!", "33"}, stateSkipped: {"-", "2"},
}

// paint colours a text for a terminal.
func (e environment) paint(text, color string) string {
	if !e.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (f *findings) write(env environment) error {
	var b strings.Builder
	section := ""
	for _, s := range f.Steps {
		if s.Section != section {
			if section != "" {
				b.WriteByte('\n')
			}
			section = s.Section
			fmt.Fprintln(&b, section)
		}
		mark := marks[s.State]
		fmt.Fprintf(&b, "  %s %s\n", env.paint(mark.sign, mark.color), s.Title)
		if s.Detail != "" {
			fmt.Fprintf(&b, "      %s\n", s.Detail)
		}
		if s.Fix != "" {
			fmt.Fprintf(&b, "      fix: %s\n", s.Fix)
		}
		if s.Cause != "" {
			fmt.Fprintf(&b, "      see: docs/troubleshooting.md#%s\n", s.Cause)
		}
	}
	skipped := slices.ContainsFunc(f.Steps, func(s step) bool { return s.State == stateSkipped })
	switch {
	case f.Faults == 0 && skipped:
		fmt.Fprintln(&b, "\nno fault found in what was looked at")
	case f.Faults == 0:
		fmt.Fprintln(&b, "\nno fault found")
	case f.Faults == 1:
		fmt.Fprintln(&b, "\n1 fault")
	default:
		fmt.Fprintf(&b, "\n%d faults\n", f.Faults)
	}
	_, err := io.WriteString(env.stdout, b.String())
	return err
}
