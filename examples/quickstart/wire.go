package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// wire prints what goes over the wire, in order, and in between what the MCP
// server writes to its log.
type wire struct {
	out    io.Writer
	next   http.RoundTripper
	colour bool
	short  bool                // one line for what matters, instead of the messages
	rename func(string) string // for tests: what is another in each run gets a fixed name
	status int                 // of the last answer

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
	w.message(plain, "  > ", r.Method+" "+r.URL.String(), r.Header, sent)
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	received, err := body(&response.Body)
	if err != nil {
		return nil, err
	}
	w.status = response.StatusCode
	w.message(mood(w.status), "  < ", response.Status, response.Header, received)
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

// mood is the colour of a status.
func mood(status int) paint {
	if status >= 400 {
		return red
	}
	return green
}

func (w *wire) message(p paint, mark, first string, header http.Header, content string) {
	w.print(p, mark, first)
	for _, name := range shownHeaders {
		for _, value := range header[name] {
			if other, ok := spelled[name]; ok {
				name = other
			}
			w.print(plain, mark, name+": "+value)
		}
	}
	switch {
	case strings.HasPrefix(header.Get("Content-Type"), "text/html"):
		w.print(plain, mark, fmt.Sprintf("(a page for the user, %d bytes)", len(content)))
	case strings.TrimSpace(content) != "":
		w.print(plain, mark, strings.TrimSpace(content))
	}
}

var (
	// jwt matches the three parts of a signed token.
	jwt = regexp.MustCompile(`(eyJ[\w-]{5})[\w-]+\.[\w-]+\.[\w-]+`)
	// secret matches the other values that are worth stealing.
	secret = regexp.MustCompile(`\b((?:code|code_verifier|consent)=[\w-]{5})[\w-]+`)
)

// print writes one line of a message, folded to the width of the terminal.
func (w *wire) print(p paint, mark, text string) {
	if w.short {
		return
	}
	for i, line := range fold(w.fit(text), columns-len(mark)) {
		if i > 0 {
			line = indent + line
		}
		w.line(p, mark+line)
	}
}

// fit makes a text fit to be shown: its secrets shortened.
func (w *wire) fit(text string) string {
	text = jwt.ReplaceAllString(text, "$1…")
	text = secret.ReplaceAllString(text, "$1…")
	if w.rename != nil {
		text = w.rename(text)
	}
	return text
}

func (w *wire) line(p paint, text string) {
	fmt.Fprintln(w.out, w.painted(p, text))
}

func (w *wire) painted(p paint, text string) string {
	if !w.colour || p == plain {
		return text
	}
	return "\x1b[" + string(p) + "m" + text + "\x1b[0m"
}

// title announces a step.
func (w *wire) title(n int, text string) {
	if !w.short {
		w.line(bold, fmt.Sprintf("%d. %s", n, text))
	}
}

// found says how a step ended; label is what a step that matters is called in short.
func (w *wire) found(label, text string) {
	switch {
	case !w.short:
		w.print(green, "  = ", text)
		w.line(plain, "")
	case label != "":
		status := w.painted(mood(w.status), strconv.Itoa(w.status))
		w.line(plain, fmt.Sprintf("%s  %-19s  %s", status, label, w.fit(text)))
	}
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
	w.print(faint, "  ", "the server's log:")
	for line := range strings.SplitSeq(logged, "\n") {
		w.print(faint, "    ", line)
	}
}
