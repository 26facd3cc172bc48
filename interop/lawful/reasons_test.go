package lawful

import (
	"slices"
	"strings"
)

// reason is why something is refused that the bare server serves.
type reason struct {
	text    string
	applies func(c *try) bool
}

var reasons = []reason{
	{"Clients of 2026-07-28 send no responses: its servers ask nothing.", func(c *try) bool {
		return c.namesModern() && strings.Contains(c.message.method, " ")
	}},
	{"The header names another revision than the body. Servers of HTTP+SSE do not look at it.", func(c *try) bool {
		return c.server.sse && c.modern && c.version != nil && !c.namesModern()
	}},
	{"The revision has no such method. Servers of HTTP+SSE accept everything before they look at it.", func(c *try) bool {
		old := []string{"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result", "tasks/list"}
		fresh := []string{"server/discover", "subscriptions/listen", "tasks/update"}
		if c.modern || c.namesModern() {
			return slices.Contains(old, c.message.method)
		}
		return slices.Contains(fresh, c.message.method)
	}},
	{"Bare, the go-sdk begins a session for each such request and ends it with the answer, so that nothing comes of it. " +
		"Wrapped it is refused once a session has been begun for anybody. With gosdk.Handler it is served.", func(c *try) bool {
		return c.server.name == "go-sdk, stateful" && c.session != "own" && !c.modern && !c.namesModern()
	}},
}

// namesModern reports whether the header names the revision of 2026.
func (c *try) namesModern() bool { return len(c.version) > 0 && c.version[0] == modern }

func (c *try) reason() string {
	for _, r := range reasons {
		if r.applies(c) {
			return r.text
		}
	}
	return ""
}
