package conformance

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one call of the tool that sends notifications. Its id is one that
// nobody else has, so that a cancellation of it can touch nobody else's; so
// is the token that its progress is told by.
type call struct {
	id     int64
	canary string
}

func newCall() call {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<50))
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return call{id: 1<<50 + n.Int64(), canary: "mcpauth-check-" + rand.Text()}
}

func (c call) idText() string { return strconv.FormatInt(c.id, 10) }

// way is a way to make the call, and what comes of it when nobody disturbs it.
type way struct {
	name    string
	modern  bool
	session string // of the first person, "" for none
	request func(s *suite, token, session string, c call) request
	took    time.Duration
	sent    []string // what its notifications look like
	methods []string // of the notifications
}

// waysToCall tries once how the tool can be called, and what it sends: without a
// session, or where the target insists on one, in a session; and in the revision
// that has none.
func (s *suite) waysToCall() (ways []way, problem string) {
	if s.ways != nil {
		return s.ways, s.waysProblem
	}
	s.ways = []way{}
	tool, named := s.target.notifier()
	if !named {
		return nil, ""
	}
	try := func(name string, modern bool, session string) bool {
		w := way{name: name, modern: modern, session: session}
		w.request = func(_ *suite, token, session string, c call) request {
			return noisyCall(tool, c, modern, token, session)
		}
		c := newCall()
		own := s.open(w.request(s, s.control, session, c))
		defer own.close()
		<-own.ended
		if !own.complete() {
			s.waysProblem = fmt.Sprintf("the call of %s, %s, got %s", tool.Name, name, own)
			return false
		}
		w.took = own.took
		for _, message := range own.heard {
			if message.isOfCall() {
				w.sent = append(w.sent, c.likeness(&message))
				w.methods = append(w.methods, message.Method)
			}
		}
		s.ways = append(s.ways, w)
		return true
	}
	if !s.modernOnly && !try("without a session", false, "") && s.session != "" {
		try("in a session", false, s.session)
	}
	if s.modern {
		try("of "+modernVersion, true, "")
	}
	return s.ways, s.waysProblem
}

// noisyCall is a call of the tool that asks to be told of its progress and of
// everything that the server logs.
func noisyCall(tool Tool, c call, isModern bool, token, session string) request {
	meta := map[string]any{"progressToken": c.canary}
	params := map[string]any{"name": tool.Name, "_meta": meta}
	if len(tool.Arguments) > 0 {
		params["arguments"] = tool.Arguments
	}
	if isModern {
		_ = json.Unmarshal([]byte(modernMeta), &meta)
		meta["io.modelcontextprotocol/logLevel"] = "debug"
	}
	body := encoded(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": "tools/call", "params": params})
	if isModern {
		return modern(token, "tools/call", tool.Name, body)
	}
	return legacy(token, session, body)
}

// listing is a way to have an answer where no tool was named: the list of tools.
func (s *suite) listing() *way {
	return &way{name: "of the list of tools", session: s.session, request: func(_ *suite, token, session string, c call) request {
		return legacy(token, session, encoded(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": "tools/list"}))
	}}
}

// harmless is a request of the other person with the id of the call.
func (p *pair) harmless(s *suite, session string) request {
	if p.modern && session == "" {
		return modern(p.other, "tools/list", "", strings.Replace(modernListBody, `"id":1`, `"id":`+p.call.idText(), 1))
	}
	return legacy(p.other, session, strings.Replace(pingBody, `"id":1`, `"id":`+p.call.idText(), 1))
}

var digits = regexp.MustCompile(`[0-9]+`)

// isOfCall reports whether a message of the server's is one that a tool sends to the one who
// called it, and none that everybody may get at any time.
func (h *heard) isOfCall() bool {
	return h.Method != "" && h.Method != "ping" && !strings.HasSuffix(h.Method, "/list_changed")
}

// likeness is equal for messages that say the same of two calls.
func (c call) likeness(h *heard) string {
	var message struct {
		Method string         `json:"method"`
		Params map[string]any `json:"params"`
	}
	_ = json.Unmarshal(h.raw, &message)
	delete(message.Params, "_meta")
	return digits.ReplaceAllString(strings.ReplaceAll(encoded(message), c.canary, ""), "#")
}

// tellsOnStream describes what of the call stands on a stream of another person's: "" if nothing.
func (p *pair) tellsOnStream(stream *live) string {
	if !stream.isEventStream() {
		return ""
	}
	for _, message := range stream.messages() {
		switch {
		case strings.Contains(string(message.raw), p.call.canary):
			return fmt.Sprintf("a message of the call, %q", message.Method)
		case message.isResponse() && string(message.ID) == p.call.idText():
			return "the response to the call"
		case slices.Contains(p.sent, p.call.likeness(&message)):
			return fmt.Sprintf("a message as the call sends them, %q", message.Method)
		}
	}
	return ""
}

// tellsInAnswer describes what of the call stands in an answer to another person, who
// may have made the same call.
func (p *pair) tellsInAnswer(answer *live, same bool) string {
	for _, message := range answer.messages() {
		var result struct {
			Content any `json:"content"`
		}
		_ = json.Unmarshal(message.Result, &result)
		switch {
		case strings.Contains(string(message.raw), p.call.canary):
			return fmt.Sprintf("a message of the call, %q", message.Method)
		case same:
		case result.Content != nil:
			return "the result of the call"
		case message.Method != "" && slices.Contains(p.methods, message.Method):
			return fmt.Sprintf("a message as the call sends them, %q", message.Method)
		}
	}
	return ""
}

// isSilent reports whether the tool sends nothing by which the call could be noticed.
func (w *way) isSilent() bool { return len(w.sent) == 0 }

// isQuick reports whether the call takes too little time for anybody to come in between.
func (w *way) isQuick() bool { return w.took < 100*time.Millisecond }

// isShorter reports whether the call did not come to its natural end: it took less
// than half of the time and sent less than half of its notifications.
func (w *way) isShorter(own *live) bool {
	sent := 0
	for _, message := range own.messages() {
		if message.isOfCall() {
			sent++
		}
	}
	return own.took < w.took/2 && sent <= len(w.sent)/2
}
