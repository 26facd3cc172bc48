package archtest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	maxPicture = 20 << 10
	// minContrast is that of WCAG 2.2, 1.4.3, for text of any size.
	minContrast = 4.5
	darkMode    = "@media (prefers-color-scheme: dark){"
)

var (
	// elsewhere is what a picture would fetch, run or embed. The name of the SVG
	// namespace is no address.
	elsewhere = regexp.MustCompile(`<script|<image|<foreignObject|<!|@import|@font-face|\bhref\s*=|\bsrc\s*=|["'(](https?:|data:|//)|url\([^#]|\bon[a-z]+\s*=`)
	namespace = `xmlns="http://www.w3.org/2000/svg"`
	// filled is a class with a colour of six digits, the only form in use.
	filled = regexp.MustCompile(`(?m)^\.([a-z]+)\{[^}]*fill:(#[0-9a-f]{6})`)
	image  = regexp.MustCompile(`!\[([^\]]*)\]\(([^)]+\.svg)\)`)
)

// pictureProblems checks a picture for a README: a file of its own, whose text is
// text and can be read on a light and on a dark page.
func pictureProblems(svg []byte) (problems []string) {
	if len(svg) > maxPicture {
		problems = append(problems, fmt.Sprintf("%d bytes, more than %d", len(svg), maxPicture))
	}
	if found := elsewhere.Find(bytes.Replace(svg, []byte(namespace), nil, 1)); found != nil {
		problems = append(problems, fmt.Sprintf("not a file of its own: %q", found))
	}
	classes, err := pictureClasses(svg)
	if err != nil {
		return append(problems, err.Error())
	}
	for _, element := range []string{"title", "text", "rect"} {
		if _, ok := classes[element]; !ok {
			problems = append(problems, "no "+element)
		}
	}
	light, dark, found := strings.Cut(string(svg), darkMode)
	if !found {
		return append(problems, "no colours for dark pages")
	}
	for mode, style := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, match := range filled.FindAllStringSubmatch(style, -1) {
			colours[match[1]] = match[2]
		}
		for _, text := range classes["text"] {
			for _, behind := range classes["rect"] {
				if c := contrast(colours[text], colours[behind]); colours[behind] != "" && c < minContrast {
					problems = append(problems, fmt.Sprintf("%s: %s on %s has a contrast of %.1f", mode, text, behind, c))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// pictureClasses lists which classes the elements of a name have; parts of a text
// count as text. A class without a colour is for something else.
func pictureClasses(svg []byte) (map[string][]string, error) {
	classes := map[string][]string{}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return classes, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		name := strings.Replace(start.Name.Local, "tspan", "text", 1)
		classes[name] = append(classes[name], "")
		for _, attribute := range start.Attr {
			if attribute.Name.Local == "class" {
				classes[name] = append(classes[name], strings.Fields(attribute.Value)...)
			}
		}
		slices.Sort(classes[name])
		classes[name] = slices.Compact(classes[name])
	}
}

// contrast is the ratio of WCAG 2.2 between two colours; of none it is the greatest.
func contrast(a, b string) float64 {
	if a == "" || b == "" {
		return 21
	}
	brighter, darker := max(luminance(a), luminance(b)), min(luminance(a), luminance(b))
	return (brighter + 0.05) / (darker + 0.05)
}

func luminance(colour string) (sum float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8) // the pattern has seen to it
		channel := float64(n) / 255
		if channel <= 0.04045 {
			channel /= 12.92
		} else {
			channel = math.Pow((channel+0.055)/1.055, 2.4)
		}
		sum += weight * channel
	}
	return sum
}

// TestPictures: who cannot see a picture of the README is told what it shows, and
// who can need not guess.
func TestPictures(t *testing.T) {
	var shown []string
	for _, match := range image.FindAllStringSubmatch(string(read(t, "README.md")), -1) {
		assert.Greater(t, len(match[1]), 20, "%s has no words for those who cannot see it", match[2])
		assert.Empty(t, pictureProblems(read(t, match[2])), match[2])
		shown = append(shown, match[2])
	}
	assert.ElementsMatch(t, []string{"docs/parties.svg", "examples/quickstart/demo.svg"}, shown)
}

func TestPictureProblems(t *testing.T) {
	good := "<svg " + namespace + ">\n<title>x</title>\n<style>\n.ink{fill:#000000}\n.paper{fill:#ffffff}\n" + darkMode + "\n" +
		".ink{fill:#ffffff}\n.paper{fill:#000000}\n}\n</style>\n<rect class=\"paper\"/>\n<text class=\"ink\">y</text>\n</svg>\n"
	for _, row := range []struct{ name, old, new, want string }{
		{"good", "", "", ""},
		{"too large", "y</text>", strings.Repeat("y", maxPicture) + "</text>", "more than 20480"},
		{"not XML", "</text>", "", "XML syntax error"},
		{"a font from elsewhere", "<style>", "<style>\n@import 'x';", "not a file of its own: \"@import\""},
		{"an address", "<title>", "<a x=\"https://example.com\"/><title>", "not a file of its own"},
		{"text as a picture", "<rect", "<image/><rect", "not a file of its own: \"<image\""},
		{"no text", "<text class=\"ink\">y</text>", "", "no text"},
		{"no title", "<title>x</title>", "", "no title"},
		{"for light pages only", darkMode, "@media print{", "no colours for dark pages"},
		{"pale on a light page", ".ink{fill:#000000}", ".ink{fill:#888888}", "light: ink on paper has a contrast of 3.5"},
		{"pale on a dark page", ".ink{fill:#ffffff}", ".ink{fill:#444444}", "dark: ink on paper has a contrast of 2.2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Contains(t, good, row.old)
			problems := pictureProblems([]byte(strings.Replace(good, row.old, row.new, 1)))
			if row.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], row.want)
		})
	}
	assert.InDelta(t, 21, contrast("#000000", "#ffffff"), 0.001)
	assert.InDelta(t, 4.54, contrast("#767676", "#ffffff"), 0.01) // a well-known pair
}
