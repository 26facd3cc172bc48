package mcpauth

import (
	"net/http"
	"strings"
)

// isStream reports whether the request asks for a stream that lives as long as
// the client likes.
func (x *exchange) isStream() bool {
	for _, call := range x.calls {
		if call.Method == streamMethod || call.Method == "subscriptions/listen" {
			return true
		}
	}
	return false
}

// endStream gives the place of a stream back.
func (o *belongings) endStream(x *exchange) {
	by := ""
	if x.body != nil {
		by = x.tag
	}
	o.streams.End(x.principal.caller(), x.announced, by)
}

func isEventStream(h http.Header) bool {
	mediaType, _, _ := strings.Cut(first(h["Content-Type"]), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
