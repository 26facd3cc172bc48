package main

import (
	_ "embed"
	"io"
	"strings"
	"text/template"
)

//go:embed report.md.tmpl
var layout string

// report writes RESULTS.md.
func report(w io.Writer, d *data) error {
	us := func(f figure) string { return spread("%+.1f", f, " us") }
	page, err := template.New("report").Funcs(template.FuncMap{
		"config":   func(key string) string { return d.config[key] },
		"modules":  func() []string { return strings.Split(d.config["modules"], ", ") },
		"table":    func(name string) string { return tables[name](d) },
		"oddities": func() string { return oddities(d) },
		"alone":    func() string { return strings.TrimPrefix(us(d.mean(server("none", "RS256", "0"), "cpu-us/req")), "+") },
		"beyond": func(auth, heap string) string {
			return us(d.difference(server(auth, "RS256", heap), server("none", "RS256", heap), "cpu-us/req"))
		},
		"new": func(alg string) string {
			return number("%.0f us", d.median("ColdWrapper/alg="+alg+"/impl=mcpauth", "cpu-sec/op").times(micro).value)
		},
	}).Parse(layout)
	if err != nil {
		return err
	}
	return page.Execute(w, nil)
}
