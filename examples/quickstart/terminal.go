package main

import (
	"os"
	"regexp"
	"strings"
)

// columns is the width that no printed line exceeds.
const columns = 80

// indent is what the second line of a folded text begins with, and all that follow.
const indent = "    "

// paint is a colour or a weight, as terminals are told (ECMA-48, SGR).
type paint string

const (
	plain paint = ""
	bold  paint = "1"
	faint paint = "2"
	red   paint = "31"
	green paint = "32"
)

// colourful reports whether the output is a terminal, and one that shows colour.
func colourful(out *os.File, env func(string) string) bool {
	info, err := out.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && wantsColour(env)
}

// wantsColour asks the environment of a terminal: its user may want no colour
// (no-color.org), and a terminal without a name shows none.
func wantsColour(env func(string) string) bool {
	return env("NO_COLOR") == "" && env("TERM") != "" && env("TERM") != "dumb"
}

// parameter matches the beginning of a parameter of a query or a form.
var parameter = regexp.MustCompile(`[?&][a-z_]+=`)

// fold breaks a text into lines of at most width columns, the indentation of all
// but the first included: in front of each parameter of a query, and otherwise
// between words, members and items. Only a word that is wider than a line is cut.
func fold(text string, width int) []string {
	var lines []string
	from := 0
	for _, at := range append(parameter.FindAllStringIndex(text, -1), []int{len(text)}) {
		for part := text[from:at[0]]; part != ""; {
			room := width
			if len(lines) > 0 {
				room -= len(indent)
			}
			n := lineEnd(part, room)
			lines = append(lines, strings.TrimRight(part[:n], " "))
			part = strings.TrimLeft(part[n:], " ")
		}
		from = at[0]
	}
	return lines
}

// lineEnd returns how much of the text goes on a line: all of it, or what fits up
// to the last good place to end. A value goes on a line of its own where it would
// not fit on one beside its name.
func lineEnd(text string, room int) int {
	last, between, column := 0, 0, 0
	for i := range text {
		if column > room {
			break
		}
		if i > 0 {
			switch a, b := text[i-1], text[i]; {
			case b == ' ', a == ',' && strings.IndexByte(`"{[`, b) >= 0, a == '{' && b == '"':
				last = i
			case b == '"' && (a == '=' || a == ':'):
				between = i
			}
		}
		column++
	}
	switch {
	case column <= room:
		return len(text)
	case last > 0:
		return last
	case between > 0:
		return between
	}
	return len(string([]rune(text)[:room]))
}
