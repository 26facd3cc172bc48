package archtest

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The ids of this file are put together at run time, so that the trace does
// not take them for tests of the library.

func TestIDsIn(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"tok-22 in lower case", ""},
		{"~-22 strict", "~-22"},
		{"Test~_22_Strict", "~-22"},
		{"~-22 and ~-23/~-24", "~-22 ~-23 ~-24"},
		{"X~-22", ""},
		{"~-221", ""},
		{"~22", ""},
	} {
		got := strings.Join(idsIn(strings.ReplaceAll(row.text, "~", "TOK")), " ")
		assert.Equal(t, strings.ReplaceAll(row.want, "~", "TOK"), got, row.text)
	}
}

func TestIDsOf(t *testing.T) {
	source := strings.ReplaceAll(`package p
// ~-01 in a comment proves nothing.
var table = []string{"~-02"}
func Test~_03(t *testing.T) { t.Run("~-04 a row", nil) } // ~-05
`, "~", "TOK")
	file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", source, parser.ParseComments)
	require.NoError(t, err)
	want := map[string][]string{}
	for n, where := range map[string]string{"2": "", "3": ":Test~_03", "4": ":Test~_03"} {
		want["TOK-0"+n] = []string{"p_test.go" + strings.ReplaceAll(where, "~", "TOK")}
	}
	assert.Equal(t, want, idsOf(file, "p_test.go"))
}

func TestLeftoverPatterns(t *testing.T) {
	for _, text := range []string{`"~work/main"`, "cd ~hom" + "e/me", "~root/x", "(~farm/)"} {
		assert.Regexp(t, machinePath, strings.ReplaceAll(text, "~", "/"))
	}
	for _, text := range []string{"https://example.com~work/x", "file:~/~root/x", "a~work/x", "~works/x"} {
		assert.NotRegexp(t, machinePath, strings.ReplaceAll(text, "~", "/"))
	}
	assert.Regexp(t, unfinished, "// TO"+"DO: later")
	assert.NotRegexp(t, unfinished, "mytodolist")
}

func TestClockUses(t *testing.T) {
	for body, want := range map[string]string{
		`assert.Less(t, time.Since(start), time.Second)`:                             "time.Since",
		`best := time.Since(start); assert.Less(t, best, time.Second)`:               "time.Since",
		`if time.Since(start) > time.Second { t.Fatal("slow") }`:                     "time.Since",
		`assert.True(t, time.Now().Before(deadline))`:                                "time.Now in an assertion",
		`require.Greater(t, end.Sub(start), time.Second)`:                            "Sub",
		`assert.Eventually(t, done, time.Second, time.Millisecond)`:                  "Eventually",
		`require.Never(t, done, time.Second, time.Millisecond)`:                      "Never",
		`time.Sleep(time.Second)`:                                                    "time.Sleep",
		`synctest.Test(t, func(t *testing.T) { assert.Zero(t, time.Since(start)) })`: "",
		`rows := func() { time.Sleep(time.Hour) }; synctest.Test(t, rows)`:           "",
		`took := time.Since(start); synctest.Test(t, rows)`:                          "time.Since",
		`synctest.Wait(); assert.WithinRange(t, ended, from, to)`:                    "",
		`t.Logf("%v", time.Since(start))`:                                            "",
		`assert.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))`:              "",
		`n.Sub(n, one)`: "",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "p_test.go", "package p\nfunc TestX(t *testing.T) { "+body+" }\nfunc BenchmarkX(b *testing.B) { time.Since(start) }", 0)
		require.NoError(t, err)
		var got []string
		for _, what := range clockUses(file) {
			got = append(got, what)
		}
		assert.Equal(t, want, strings.Join(got, " "), body)
	}
}
