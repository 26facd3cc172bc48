package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 1 << 20
)

// request is one request to the target. Its zero value is an empty POST.
type request struct {
	method string // "" means POST
	url    string // "" means the target's
	host   string // Host header, "" for that of the URL
	header http.Header
	body   string
	token  string
	brief  bool // the body of the answer is of no interest; it may be a stream without end
}

// answer is what came back, as much of it as is looked at.
type answer struct {
	status int
	header http.Header
	body   []byte
	rpc    rpcAnswer
}

// rpcAnswer is the JSON-RPC response in a body, JSON or event stream.
type rpcAnswer struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// served reports whether the target did what was asked.
func (a *answer) served() bool {
	return a.status >= 200 && a.status < 300 && a.rpc.Error == nil && !a.toolError()
}

// toolError reports a tool result that is an error, which MCP sends with 200.
func (a *answer) toolError() bool {
	var result struct {
		IsError bool `json:"isError"`
	}
	return json.Unmarshal(a.rpc.Result, &result) == nil && result.IsError
}

// String describes the answer without its content.
func (a *answer) String() string {
	text := fmt.Sprintf("%d", a.status)
	switch {
	case a.rpc.Error != nil:
		text += fmt.Sprintf(" with JSON-RPC error %d", a.rpc.Error.Code)
	case a.toolError():
		text += " with a tool error"
	case len(a.rpc.Result) > 0:
		text += " with a result"
	}
	return text
}

// client sends requests, one at a time and not too fast.
type client struct {
	transport http.RoundTripper
	pause     time.Duration
	last      time.Time
	sent      int
	presented map[string]bool // tokens
}

// shown makes a text fit for the report: the target may have repeated anything in it,
// a token among it.
func (c *client) shown(text string) string {
	if text == "" {
		return ""
	}
	return foreign.Line(foreign.Redact(slices.Collect(maps.Keys(c.presented))...)(text))
}

func newClient(target *Target) *client {
	c := &client{transport: target.Transport, presented: map[string]bool{}}
	if c.transport == nil {
		// No proxy: what a proxy answers says nothing about the target.
		c.transport = &http.Transport{DisableCompression: true, ResponseHeaderTimeout: requestTimeout}
	}
	switch rate := target.Rate; {
	case rate == 0:
		c.pause = time.Second / DefaultRate
	case rate > 0:
		c.pause = time.Second / time.Duration(rate)
	}
	return c
}

func (c *client) close() {
	if t, ok := c.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

func (c *client) wait(ctx context.Context) error {
	delay := c.pause - time.Since(c.last)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.last = time.Now()
	return ctx.Err()
}

// build makes the request.
func (r *request) build(ctx context.Context) (*http.Request, error) {
	method := r.method
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	out, err := http.NewRequestWithContext(ctx, method, r.url, body)
	if err != nil {
		return nil, err
	}
	out.Header = r.header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	if r.token != "" {
		out.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.host != "" {
		out.Host = r.host
	}
	return out, nil
}

func (c *client) do(ctx context.Context, r request) (*answer, error) {
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out, err := r.build(ctx)
	if err != nil {
		return nil, err
	}
	c.sent++
	c.presented[r.token] = true // "" is no secret, and is left alone
	response, err := c.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: response.Header}
	if r.brief && response.StatusCode < 300 {
		return a, nil
	}
	a.read(response.Body)
	return a, nil
}

// read reads the body. An event stream is read up to the first response in it,
// because it may have no end. What cannot be read any more is left out: the
// status has been seen, and that is what counts.
func (a *answer) read(body io.Reader) {
	body = io.LimitReader(body, maxAnswer)
	if !a.isStream() {
		a.body, _ = io.ReadAll(body)
		_ = json.Unmarshal(a.body, &a.rpc)
		return
	}
	var text bytes.Buffer
	readEvents(io.TeeReader(body, &text), func(_ string, data []byte) bool {
		var rpc rpcAnswer
		if json.Unmarshal(data, &rpc) == nil && (rpc.Result != nil || rpc.Error != nil) {
			a.rpc = rpc
			return false
		}
		return true
	})
	a.body = text.Bytes()
}

// isStream reports whether the answer is an event stream.
func (a *answer) isStream() bool {
	mediaType, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return mediaType == "text/event-stream"
}

// readEvents reads an event stream (HTML Living Standard section 9.2.6) until each
// wants no more of it. An event may have an id and no data.
func readEvents(body io.Reader, each func(id string, data []byte) bool) {
	var id string
	var data []byte
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if (id != "" || len(data) > 0) && !each(id, data) {
				return
			}
			id, data = "", nil
		case field == "id":
			id = value
		case field == "data":
			data = append(append(data, value...), '\n')
		}
	}
}
