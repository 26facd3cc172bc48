package mcpauth

import (
	"net/http"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// batchVersion is the only revision with batches; a client that names no
// revision speaks it.
const batchVersion = "2025-03-26"

// readBatch reads a JSON-RPC batch. Its elements are calls of one request: all
// of them are allowed, or none is made, and one challenge is for all.
func readBatch(h http.Header, body []byte) (req request, denied *refusal.Refusal) {
	req.era = legacy
	if denied := checkRepeated(h); denied != nil {
		return req, denied
	}
	version, denied := versionOf(h)
	if denied != nil {
		return req, denied
	}
	if len(h["Mcp-Protocol-Version"]) > 0 && version != batchVersion {
		return req, refusal.New(refusal.InvalidRequest, "a batch", "", "one message: only revision "+batchVersion+" has batches")
	}
	messages, err := jsonrpc.ParseBatch(body)
	if err != nil {
		req.id, denied = refuseBody(err)
		return req, denied
	}
	for i := range messages {
		msg := &messages[i]
		switch {
		case msg.Method == "initialize":
			return req, refusal.New(refusal.InvalidRequest, "initialize in a batch", "", "initialize alone")
		case msg.Version.State != jsonrpc.Absent:
			return req, refusal.New(refusal.InvalidRequest, "a message of "+modernVersion+" in a batch", "", "one message")
		}
		if isMisnamed(msg) {
			return req, unknownMethod(legacy, msg.Method)
		}
		if msg.Kind == jsonrpc.Response {
			msg.Method = responseMethod
		}
		req.addPage(msg)
		if req.calls, denied = callsOf(msg, req.calls); denied != nil {
			return req, denied
		}
	}
	return req, nil
}
