package archtest

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What operators take from here.
const (
	alertsFile     = "deploy/alerts.yml"
	alertTestsFile = "deploy/alerts.test.yml"
	scrapeFile     = "otelmcpauth/example/prometheus.yml"
	dashboardFile  = "deploy/dashboard.json"
)

// metrics are what Prometheus reads, as the test of otelmcpauth/example has written it down.
type metrics struct {
	kinds  map[string]string
	series []string
	labels map[string]map[string]bool // of the names of series: a histogram has three
}

var (
	kindLine = regexp.MustCompile(`^# TYPE (\w+) (\w+)$`)
	labelled = regexp.MustCompile(`(\w+)="[^"]*"`)
)

func metricsIn(text string) *metrics {
	m := &metrics{map[string]string{}, nil, map[string]map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if match := kindLine.FindStringSubmatch(line); match != nil {
			m.kinds[match[1]] = match[2]
			continue
		}
		m.series = append(m.series, line)
		name, labels, _ := strings.Cut(line, "{")
		if m.labels[name] == nil {
			m.labels[name] = map[string]bool{"job": true, "instance": true} // which Prometheus adds
		}
		for _, match := range labelled.FindAllStringSubmatch(labels, -1) {
			m.labels[name][match[1]] = true
		}
	}
	return m
}

func exposition(t *testing.T) *metrics {
	t.Helper()
	m := metricsIn(string(read(t, "otelmcpauth/example/testdata/prometheus.golden")))
	require.Greater(t, len(m.kinds), 15)
	return m
}

// TestMetricNames: every instrument of otelmcpauth comes out under one name, and the guide has a
// row for each and no other.
func TestMetricNames_OBS_02_OBS_03(t *testing.T) {
	m := exposition(t)
	instruments := []string{"mcpauth_audit_lost"} // of the example's own
	for line := range strings.Lines(string(read(t, "otelmcpauth/testdata/metrics.golden"))) {
		name, _, _ := strings.Cut(line, "\t")
		instruments = append(instruments, strings.ReplaceAll(name, ".", "_"))
	}
	instruments = append(instruments, "mcpauth_config_changes") // from the first change
	var expected []string
	for _, name := range instruments {
		for _, suffix := range []string{"", "_total", "_seconds", "_bytes", "_seconds_total"} {
			if m.kinds[name+suffix] != "" {
				expected = append(expected, name+suffix)
			}
		}
	}
	assert.Len(t, expected, len(instruments), "%q", instruments)
	names := slices.Sorted(maps.Keys(m.kinds))
	assert.ElementsMatch(t, names, expected)
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`mcpauth_[^|]*) \\|").FindAllStringSubmatch(string(read(t, "docs/observability.md")), -1) {
		for _, name := range codeSpan.FindAllString(row[1], -1) {
			rows = append(rows, strings.Trim(name, "`"))
		}
	}
	assert.ElementsMatch(t, names, rows, "docs/observability.md")
}

var (
	selector  = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	matcher   = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	groupings = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^)]*)\)`)
	ourName   = regexp.MustCompile(`\bmcpauth_\w+`)
	plainWord = regexp.MustCompile(`\w+`)
)

// wrong says which names of metrics and labels in an expression there are not.
func (m *metrics) wrong(expression string) (problems []string) {
	rest := groupings.ReplaceAllString(expression, "")
	used := ourName.FindAllString(selector.ReplaceAllString(rest, "$1"), -1)
	if len(used) == 0 {
		return []string{"no metric in " + expression}
	}
	labels := map[string]bool{}
	for _, name := range used {
		if m.labels[name] == nil {
			problems = append(problems, "no metric "+name+": "+expression)
		}
		maps.Copy(labels, m.labels[name])
	}
	for _, match := range selector.FindAllStringSubmatch(rest, -1) {
		for _, name := range matcher.FindAllStringSubmatch(match[2], -1) {
			if !m.labels[match[1]][name[1]] {
				problems = append(problems, match[1]+" has no label "+name[1]+": "+expression)
			}
		}
	}
	for _, grouping := range groupings.FindAllStringSubmatch(expression, -1) {
		for _, name := range plainWord.FindAllString(grouping[1], -1) {
			if !labels[name] {
				problems = append(problems, "nothing has a label "+name+": "+expression)
			}
		}
	}
	return problems
}

func TestWrongNames(t *testing.T) {
	m := metricsIn("# TYPE mcpauth_a gauge\n# TYPE mcpauth_b histogram\nmcpauth_a{mcpauth_issuer=\"x\"}\nmcpauth_b_sum{le=\"1\"}\n")
	assert.Equal(t, map[string]string{"mcpauth_a": "gauge", "mcpauth_b": "histogram"}, m.kinds)
	assert.Equal(t, []string{`mcpauth_a{mcpauth_issuer="x"}`, `mcpauth_b_sum{le="1"}`}, m.series)
	for expression, problems := range map[string]int{
		`mcpauth_a`: 0, `sum by (job, mcpauth_issuer) (rate(mcpauth_a{mcpauth_issuer!="", instance=~"x"}[5m])) > 1`: 0,
		`mcpauth_c`: 1, `mcpauth_issuer`: 1, `mcpauth_b`: 1, `vector(1)`: 1, `mcpauth_a{le="1"}`: 1, `sum by (color) (mcpauth_a)`: 1,
		`mcpauth_a and on (le) mcpauth_a`: 1, `mcpauth_a and on (le) mcpauth_b_sum`: 0, `mcpauth_a + mcpauth_c{d="1"}`: 2,
	} {
		assert.Len(t, m.wrong(expression), problems, expression)
	}
}

var (
	metricInPage = regexp.MustCompile(`\bmcpauth_\w+|\bmcpauth(?:\.[a-z][a-z_]*)+`)
	alertInPage  = regexp.MustCompile(`\bMcpauth[A-Z]\w*`)
)

// unknown returns the names of metrics and alerts in a text that there are not. Labels and other attributes are names, too.
func (m *metrics) unknown(text, openTelemetry, alerts string) (names []string) {
	for _, name := range metricInPage.FindAllString(text, -1) {
		isLabel := false
		for _, labels := range m.labels {
			isLabel = isLabel || labels[name]
		}
		inCode := strings.Contains(name, ".") && regexp.MustCompile(`(?m)(?:^|")`+regexp.QuoteMeta(name)+`(?:\s|")`).MatchString(openTelemetry)
		if m.kinds[name] == "" && m.labels[name] == nil && !isLabel && !inCode && name != "mcpauth.json" {
			names = append(names, name)
		}
	}
	for _, name := range alertInPage.FindAllString(text, -1) {
		if !strings.Contains(alerts, "- alert: "+name+"\n") {
			names = append(names, name)
		}
	}
	return names
}

// TestPagesMetrics: what a page, or a file for operators, says of a metric or of an alert is said of one that there is.
func TestPagesMetrics_OBS_02_TEST_16(t *testing.T) {
	m, alerts := exposition(t), string(read(t, alertsFile))
	openTelemetry := string(read(t, "otelmcpauth/testdata/metrics.golden"))
	for _, name := range goFiles(t, func(name string) bool { return isCode(name) && strings.HasPrefix(name, "otelmcpauth/") }) {
		openTelemetry += string(read(t, name))
	}
	for _, name := range append(pages(t), alertsFile, alertTestsFile, dashboardFile, scrapeFile) {
		assert.Empty(t, m.unknown(string(read(t, name)), openTelemetry, alerts), name)
	}
}

func TestUnknownNames(t *testing.T) {
	m := metricsIn("# TYPE mcpauth_a_total counter\n# TYPE mcpauth_b histogram\nmcpauth_a_total{mcpauth_issuer=\"x\"}\nmcpauth_b_sum{le=\"1\"}\n")
	text := "`mcpauth_a_total`, mcpauth_b, mcpauth_b_sum by mcpauth_issuer, mcpauth.a, mcpauth.issuer, mcpauth.json, McpauthA, mcpauth.Config"
	assert.Empty(t, m.unknown(text, "mcpauth.a\t{a}\n\"mcpauth.issuer\"", "- alert: McpauthA\n"))
	text = "mcpauth_a, mcpauth_b_total, mcpauth.a.b, mcpauth.issuers, McpauthB, mcpauth_issuers"
	assert.Equal(t, []string{"mcpauth_a", "mcpauth_b_total", "mcpauth.a.b", "mcpauth.issuers", "mcpauth_issuers", "McpauthB"},
		m.unknown(text, "mcpauth.a\t{a}\n\"mcpauth.issuer\"", "- alert: McpauthA\n"))
}

var (
	expr      = regexp.MustCompile(`(?s)\n +expr: \|?(.*?)\n +(?:for|labels):`)
	severity  = regexp.MustCompile(`\n +severity: (?:critical|warning)\n`)
	runbook   = regexp.MustCompile(`\n +runbook: (\S+)\n`)
	inputs    = regexp.MustCompile(`- series: '(.*)'`)
	isSilent  = regexp.MustCompile(`alertname: (\w+), exp_alerts: \[\]`)
	firesOnce = regexp.MustCompile(`alertname: (\w+)\n +exp_alerts:\n +- exp_labels: `)
)

// TestAlerts: alerts use names that there are, and so do the series of their test, in which each of
// them is silent and fires. They send the operator to a page that there is.
func TestAlerts_OBS_02_OBS_03(t *testing.T) {
	m := exposition(t)
	tests := string(read(t, alertTestsFile))
	for _, input := range inputs.FindAllStringSubmatch(tests, -1) {
		if !strings.HasPrefix(input[1], "up{") { // Prometheus's own
			assert.Empty(t, m.wrong(input[1]))
		}
	}
	tested := func(pattern *regexp.Regexp) (alerts []string) {
		for _, match := range pattern.FindAllStringSubmatch(tests, -1) {
			alerts = append(alerts, match[1])
		}
		return alerts
	}
	silent, fires := tested(isSilent), tested(firesOnce)
	rules := strings.Split(string(read(t, alertsFile)), "- alert: ")[1:]
	require.NotEmpty(t, rules)
	for _, rule := range rules {
		name, _, _ := strings.Cut(rule, "\n")
		if query := expr.FindStringSubmatch(rule); assert.NotNil(t, query, name) {
			assert.Empty(t, m.wrong(query[1]))
		}
		assert.Contains(t, silent, name)
		assert.Contains(t, fires, name)
		assert.Regexp(t, severity, rule)
		if page := runbook.FindStringSubmatch(rule); assert.NotNil(t, page, name) {
			assert.Empty(t, brokenLink(root, "README.md", page[1]), name)
		}
	}
}

// dashboard is what Grafana imports, as far as we look at it.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Query string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal(read(t, dashboardFile), &d))
	require.Greater(t, len(d.Panels), 10)
	return d
}

// queries are the dashboard's, as Prometheus gets them.
func (d *dashboard) queries() (all []string) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", ".*", "$issuer", ".*")
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			all = append(all, variables.Replace(target.Expr))
		}
	}
	return all
}

// TestDashboard: its queries use names that there are, and no panel lies on another.
func TestDashboard_OBS_02_OBS_03(t *testing.T) {
	m, d := exposition(t), readDashboard(t)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, panel := range d.Panels {
		assert.False(t, ids[panel.ID], "%s: another one has its id", panel.Title)
		ids[panel.ID] = true
		assert.Equal(t, panel.Type != "row", len(panel.Targets) > 0, panel.Title)
		at := panel.GridPos
		assert.LessOrEqual(t, at.X+at.W, 24, panel.Title)
		for i := range at.W * at.H {
			place := [2]int{at.X + i%at.W, at.Y + i/at.W}
			require.Empty(t, taken[place], "%s lies on it", panel.Title)
			taken[place] = panel.Title
		}
	}
	for _, query := range d.queries() {
		assert.NotContains(t, query, "$")
		assert.Empty(t, m.wrong(query))
	}
	for _, variable := range d.Templating.List {
		if variable.Name != "datasource" {
			values := regexp.MustCompile(`^label_values\((\w+)(?:\{.*\})?, (\w+)\)$`).FindStringSubmatch(variable.Query)
			require.NotNil(t, values, variable.Query)
			assert.True(t, m.labels[values[1]][values[2]], variable.Query)
		}
	}
}

// promtool is Prometheus's own judgement. Where it is missing the test is skipped, unless
// MCPAUTH_INTEROP=required, as in continuous integration.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("MCPAUTH_INTEROP") == "required" {
			t.Fatal("promtool is not installed (Debian has it in prometheus), and MCPAUTH_INTEROP=required")
		}
		t.Skip("skipped, because promtool is not installed (Debian has it in prometheus); MCPAUTH_INTEROP=required makes this a failure")
	}
	output, err := exec.CommandContext(t.Context(), "promtool", arguments...).CombinedOutput()
	assert.NoError(t, err, "promtool %s:\n%s", strings.Join(arguments, " "), output)
	t.Logf("%s", output)
}

// TestAlertsFire: each alert fires when its time has come, and neither before nor for a neighbour.
func TestAlertsFire_OBS_02_OBS_03(t *testing.T) {
	for _, name := range []string{alertsFile, alertTestsFile, scrapeFile} {
		_ = read(t, name) // so that go test knows of what promtool reads
	}
	promtool(t, "check", "config", filepath.Join("..", "..", scrapeFile)) // and the rules that it names
	promtool(t, "test", "rules", filepath.Join("..", "..", alertTestsFile))
}

// TestDashboardAnswers: Prometheus has an answer to each query of the dashboard.
func TestDashboardAnswers_OBS_02_OBS_03(t *testing.T) {
	m, d := exposition(t), readDashboard(t)
	type object = map[string]any
	var series, queries []object
	for _, line := range m.series {
		values := "0+1x60"
		switch name, _, _ := strings.Cut(line, "{"); {
		case name == "mcpauth_issuer_ready":
			values = "0x60" // of an outage
		case m.kinds[name] == "gauge":
			values = "1x60"
		}
		labels := strings.Replace(line, "{", `{job="mcp",instance="1",`, 1)
		series = append(series, object{"series": strings.Replace(labels, ",}", "}", 1), "values": values})
	}
	for _, query := range d.queries() {
		query = strings.TrimSuffix(query, " or vector(0)") // there is something
		queries = append(queries, object{
			"expr": "count((" + query + ") >= 0) > bool 0", "eval_time": "30m", "exp_samples": []object{{"labels": "{}", "value": 1}},
		})
	}
	text, err := json.Marshal(object{"tests": []object{{"interval": "1m", "input_series": series, "promql_expr_test": queries}}}) // JSON is YAML
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), path.Base(dashboardFile)+".yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	promtool(t, "test", "rules", file)
}
