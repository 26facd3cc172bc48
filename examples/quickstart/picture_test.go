package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestGoldenPicture: the picture in the README is what the demonstration prints in
// short, in the colours of a terminal. make golden draws it.
func TestGoldenPicture(t *testing.T) {
	shown := screen(t, func(w *wire) { w.short, w.colour = true, true })
	golden(t, "demo.svg", picture("$ go run ./examples/quickstart --short\n"+shown))
}

// Of the picture, in its own units: a character, a line, the margin.
const (
	cellWidth  = 7.8
	lineHeight = 19
	margin     = 16
)

const pictureHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]d" width="%[1]g" height="%[2]d" role="img">
<title>The demo in short: what was asked, the status, and what came back</title>
<style>
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}
.paper{fill:#f6f8fa;stroke:#d0d7de}
.plain{fill:#1f2328}
.red{fill:#a40e26}
.green{fill:#116329}
@media (prefers-color-scheme: dark){
.paper{fill:#161b22;stroke:#3d444d}
.plain{fill:#e6edf3}
.red{fill:#ff7b72}
.green{fill:#56d364}
}
</style>
<rect class="paper" x=".5" y=".5" width="%[3]g" height="%[4]d" rx="8"/>
`

// picture draws what a terminal shows. Each line is as long in every font.
func picture(shown string) string {
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	width, height := columns*cellWidth+2*margin, len(lines)*lineHeight+2*margin
	var svg strings.Builder
	fmt.Fprintf(&svg, pictureHead, width, height, width-1, height-1)
	for i, line := range lines {
		length := float64(utf8.RuneCountInString(painted.ReplaceAllString(line, "$2"))) * cellWidth
		fmt.Fprintf(&svg, `<text class="plain" x="%d" y="%d" textLength="%.1f" xml:space="preserve">`, margin, margin+14+i*lineHeight, length)
		svg.WriteString(spans(line))
		svg.WriteString("</text>\n")
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

// spans turns the colours of a terminal into classes of the picture.
func spans(line string) string {
	names := map[string]string{string(red): "red", string(green): "green"}
	var b strings.Builder
	for line != "" {
		part := painted.FindStringSubmatchIndex(line)
		if part == nil {
			part = []int{len(line), len(line), 0, 0, 0, 0}
		}
		_ = xml.EscapeText(&b, []byte(line[:part[0]])) // a strings.Builder takes everything
		if part[0] < len(line) {
			fmt.Fprintf(&b, `<tspan class="%s">`, names[line[part[2]:part[3]]])
			_ = xml.EscapeText(&b, []byte(line[part[4]:part[5]]))
			b.WriteString("</tspan>")
		}
		line = line[part[1]:]
	}
	return b.String()
}
