package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// columns is the width that no printed line exceeds.
const columns = 100

// wire prints what goes over the wire, in order, and in between what the MCP
// server writes to its log.
type wire struct {
	out  io.Writer
	next http.RoundTripper

	mu  sync.Mutex
	log bytes.Buffer // what the server has logged since the last answer
}

func newWire(out io.Writer) *wire {
	return &wire{out: out, next: &http.Transport{DisableCompression: true}}
}

// RoundTrip sends a request and prints it and its answer.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := body(&r.Body)
	if err != nil {
		return nil, err
	}
	w.message("  > ", r.Method+" "+r.URL.String(), r.Header, sent)
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	received, err := body(&response.Body)
	if err != nil {
		return nil, err
	}
	w.message("  < ", response.Status, response.Header, received)
	w.printLog()
	return response, nil
}

// body reads a body to its end and puts it back.
func body(from *io.ReadCloser) (string, error) {
	if *from == nil {
		return "", nil
	}
	content, err := io.ReadAll(*from)
	_ = (*from).Close()
	*from = io.NopCloser(bytes.NewReader(content))
	return string(content), err
}

// shownHeaders are those that the story is about.
var shownHeaders = []string{
	"Authorization", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Accept", "Content-Type", "Cache-Control", "Location", "Www-Authenticate",
}

// spelled are the names whose usual spelling is not Go's canonical one.
var spelled = map[string]string{"Mcp-Protocol-Version": "MCP-Protocol-Version", "Www-Authenticate": "WWW-Authenticate"}

func (w *wire) message(mark, first string, header http.Header, content string) {
	w.print(mark, first)
	for _, name := range shownHeaders {
		for _, value := range header[name] {
			if other, ok := spelled[name]; ok {
				name = other
			}
			w.print(mark, name+": "+value)
		}
	}
	switch {
	case strings.HasPrefix(header.Get("Content-Type"), "text/html"):
		fmt.Fprintf(w.out, "%s(a page for the user, %d bytes)\n", mark, len(content))
	case strings.TrimSpace(content) != "":
		w.print(mark, strings.TrimSpace(content))
	}
}

var (
	// jwt matches the three parts of a signed token.
	jwt = regexp.MustCompile(`(eyJ[\w-]{5})[\w-]+\.[\w-]+\.[\w-]+`)
	// secret matches the other values that are worth stealing.
	secret = regexp.MustCompile(`\b((?:code|code_verifier|consent)=[\w-]{5})[\w-]+`)
)

// print writes one line of a message, its secrets shortened, folded to the
// width of the terminal.
func (w *wire) print(mark, text string) {
	text = jwt.ReplaceAllString(text, "$1…")
	text = secret.ReplaceAllString(text, "$1…")
	for i, line := range fold(text, columns-len(mark)) {
		if i > 0 {
			line = "    " + line
		}
		fmt.Fprintln(w.out, mark+line)
	}
}

// fold breaks a text into lines of at most width columns, the indentation of
// all but the first included: in front of each query parameter, after a space,
// a comma or a brace, and anywhere if need be.
func fold(text string, width int) []string {
	var lines []string
	for part := range strings.SplitAfterSeq(strings.ReplaceAll(text, "&", "\x00&"), "\x00") {
		for part = strings.TrimSuffix(part, "\x00"); part != ""; {
			room := width
			if len(lines) > 0 {
				room -= 4
			}
			line := part
			if utf8.RuneCountInString(part) > room {
				line = string([]rune(part)[:room])
				if end := strings.LastIndexAny(line, " ,{"); end > room/5 {
					line = line[:end+1]
				}
			}
			lines = append(lines, strings.TrimRight(line, " "))
			part = part[len(line):]
		}
	}
	return lines
}

// logger returns the log of the MCP server's operator: what clients are not told.
func (w *wire) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// Write takes a line of the log; it is printed after the answer.
func (w *wire) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *wire) printLog() {
	w.mu.Lock()
	logged := strings.TrimSpace(w.log.String())
	w.log.Reset()
	w.mu.Unlock()
	if logged == "" {
		return
	}
	fmt.Fprintln(w.out, "  the server's log:")
	for line := range strings.SplitSeq(logged, "\n") {
		w.print("    ", line)
	}
}
