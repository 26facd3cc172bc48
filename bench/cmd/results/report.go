package main

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"strings"
	"text/template"
)

//go:embed report.md.tmpl
var text string

// report writes RESULTS.md.
func report(w io.Writer, d *data) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"config":  func(key string) string { return d.config[key] },
		"modules": func() []string { return strings.Split(d.config["modules"], ", ") },
		"targets": func() string { return targetTable(d) },
		"table":   func(name string) string { return tables[name](d) },
	}).Parse(text)
	if err != nil {
		return err
	}
	return page.Execute(w, nil)
}

func targetTable(d *data) string {
	var b strings.Builder
	b.WriteString("| what | target | measured | | printed by |\n|---|---|---|---|---|\n")
	for _, t := range targets() {
		sign := "<="
		if t.least {
			sign = ">="
		}
		value, verdict := t.measure(d), "missed"
		switch {
		case math.IsNaN(value) || math.IsInf(value, 0):
			fmt.Fprintf(&b, "| %s | %s "+t.format+" | not measured | | `%s` |\n", t.what, sign, t.limit, t.command)
			continue
		case t.least && value >= t.limit, !t.least && value <= t.limit:
			verdict = "met"
		}
		fmt.Fprintf(&b, "| %s | %s "+t.format+" | "+t.format+" | %s | `%s` |\n", t.what, sign, t.limit, value, verdict, t.command)
	}
	return b.String()
}
