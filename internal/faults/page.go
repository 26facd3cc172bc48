package faults

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Measured is what tests have found out about one fault that was set up for real.
type Measured struct {
	Fault, Cause string
	Status       int // of the answer; 0 when the configuration is refused
	Log, Doctor  string
}

// Page renders docs/troubleshooting.md: the catalogue, and how well it is used.
func Page(measured []Measured) []byte {
	var b bytes.Buffer
	b.WriteString(`# Troubleshooting

This page is made from the catalogue in internal/explain, which log lines and the doctor
use too. ` + "`make golden`" + ` writes it anew.

Set ` + "`Config.Logger`" + `. Every request that is refused is one line: ` + "`reason`" + ` says what was got and what was
expected, ` + "`cause`" + ` is one of the ids below, ` + "`detail`" + ` has the facts of the case and ` + "`fix`" + `
what to do. The client sees none of this; ` + "`id`" + ` is that of the audit record, if there is one.

    level=INFO msg="mcpauth: request refused" status=401
        reason="audience mismatch: unverified aud, got \"client-1\", expected one of [\"https://mcp.example.com/mcp\"]"
        cause=audience-client-id detail="the token is for \"client-1\"; tokens must carry \"https://mcp.example.com/mcp\""
        fix="Add an audience mapper at the authorization server that puts Config.Resource into aud, ..."

When an issuer's keys serve for the first time, a line says what was found and what to
paste into the authorization server's configuration:

    level=INFO msg="mcpauth: issuer in use" issuer=https://login.example.com
        audiences=[https://mcp.example.com/mcp] algorithms="[RS256 ...]"
        jwks_uri=https://login.example.com/jwks keys="[\"k1\" RS256]" skipped_keys=[]

## Reasons

The closed set of reasons for a refusal. ` + "`code`" + ` stands in audit records and metric labels;
the words are what the client is told.

| code | status | words | meaning |
|---|---|---|---|
`)
	for _, r := range refusal.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", r.Code, r.Status, string(r.Reason), r.Means)
	}
	writeCauses(&b)
	writeMeasured(&b, measured)
	return b.Bytes()
}

func writeCauses(b *bytes.Buffer) {
	b.WriteString("\n## Causes\n")
	for _, r := range append(refusal.Catalogue(), refusal.Entry{Reason: "nothing is refused"}) {
		var entries strings.Builder
		for _, c := range explain.Causes() {
			if c.Reason == r.Code {
				fmt.Fprintf(&entries, "\n#### %s\n\n%s\n\n%s\n", c.ID, c.Means, c.Fix)
			}
		}
		if entries.Len() > 0 {
			fmt.Fprintf(b, "\n### %s\n%s", strings.ToUpper(string(r.Reason[:1]))+string(r.Reason[1:]), entries.String())
		}
	}
}

func writeMeasured(b *bytes.Buffer, measured []Measured) {
	b.WriteString(`
## Measured

Each of these was set up on loopback, with a real authorization server of ` + "`mcpauthtest`" + `, a
wrapped handler and a request. The log column says whether the line names the cause and
carries its fix; a configuration that is refused names it in the error of ` + "`New`" + `. The doctor
column says the same of ` + "`mcpauth doctor`" + `.

| fault | answer | cause | log | doctor |
|---|---|---|---|---|
`)
	logs, doctors, faults := 0, 0, 0
	for _, m := range measured {
		answer := fmt.Sprint(m.Status)
		if m.Status == 0 {
			answer = "-"
		}
		cause := "none: it works"
		if m.Cause != "" {
			cause = fmt.Sprintf("[%s](#%s)", m.Cause, m.Cause)
			faults++
		}
		if m.Log == "yes" {
			logs++
		}
		if m.Doctor == "yes" {
			doctors++
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", m.Fault, answer, cause, m.Log, cmp.Or(m.Doctor, "-"))
	}
	fmt.Fprintf(b, "\nOf %d faults the log names %d", faults, logs)
	if doctors > 0 {
		fmt.Fprintf(b, " and the doctor %d", doctors)
	}
	b.WriteString(".\n")
}
